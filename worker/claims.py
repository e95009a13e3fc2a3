"""Claims: one worker at a time works on a lane, and can prove it in every transaction."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from sqlalchemy import case, update
from sqlmodel import Session, col, select

from worker.leases import broken
from worker.models import FORWARD, Lane, Step
from worker.rows import row_id
from worker.store import Store


@dataclass(frozen=True)
class Claim:
    """A step that this worker may run now, and all it needs for it."""

    token: str
    run_id: int
    lane_id: int
    step_id: int
    host: str
    name: str
    params: dict[str, Any]
    memory: dict[str, Any]
    attempt: int
    started_at: float
    direction: str
    hosts: dict[str, Any]
    touches: tuple[str, ...]
    numbers: dict[str, int]
    fenced: bool
    retries: int
    broken: tuple[str, ...] = ()  # leases that somebody has taken away from the lane

    @classmethod
    def of(cls, lane: Lane, step: Step, broken: Iterable[str] = ()) -> Claim:
        """Copy from rows, so that nothing of the session is needed later."""
        return cls(
            token=lane.claim or "",
            run_id=lane.run_id,
            lane_id=row_id(lane.id),
            step_id=row_id(step.id),
            host=lane.host,
            name=step.name,
            params=dict(step.params),
            memory=dict(step.memory),
            attempt=step.attempts,
            started_at=step.started_at or 0.0,
            direction=lane.direction,
            hosts=dict(lane.hosts),
            touches=tuple(lane.touches),
            numbers=dict(lane.numbers),
            fenced=lane.fenced,
            retries=lane.retries,
            broken=tuple(broken),
        )


def claim(store: Store, step_id: int, worker_id: str, task_id: str | None) -> Claim | None:
    """Claim a step for this worker. None: somebody else has it, or it is no longer due."""
    now = store.now()
    with store.write() as session:
        lane = session.exec(
            select(Lane).where(Lane.current_step_id == step_id).with_for_update()
        ).first()
        if lane is None or lane.status != "running" or lane.claim is not None:
            return None
        step = session.get_one(Step, step_id)
        lane.claim, lane.claimed_by = uuid4().hex, worker_id
        if step.status != "waiting" or lane.retries:
            step.attempts += 1
        step.status, step.task_id = "running", task_id
        if step.started_at is None:
            step.started_at = now
        session.add_all((lane, step))
        return Claim.of(lane, step, broken(session, lane))


def fenced(store: Store, claim: Claim) -> None:
    """Record that every host which the lane touches knows its numbers."""
    with store.write() as session:
        session.exec(
            update(Lane).where(col(Lane.id) == claim.lane_id, _held(claim)).values(fenced=True)
        )


def still_held(store: Store, claim: Claim) -> bool:
    """Whether the claim is the lane's still."""
    with store.read() as session:
        return session.exec(select(Lane.claim).where(Lane.id == claim.lane_id)).first() == (
            claim.token
        )


def remember(store: Store, claim: Claim, memory: dict[str, Any]) -> bool:
    """Write what a step remembers, before it acts. False: the claim was lost."""
    with store.write() as session:
        if held_lane(session, claim) is None:
            return False
        session.exec(update(Step).where(col(Step.id) == claim.step_id).values(memory=memory))
        return True


def recall(store: Store, claim: Claim, name: str) -> dict[str, Any]:
    """What the lane's step of that name remembered, on its way forward; else on its way back.

    A step that is there both ways is asked for to be undone: what it saw on its way back is not it.
    """
    with store.read() as session:
        found = session.exec(
            select(Step.memory)
            .where(Step.lane_id == claim.lane_id, Step.name == name)
            .order_by(case((col(Step.direction) == FORWARD, 0), else_=1), col(Step.position))
        ).first()
        return dict(found or {})


def _held(claim: Claim) -> Any:
    return col(Lane.claim) == claim.token


def held_lane(session: Session, claim: Claim) -> Lane | None:
    """The lane, locked, if the claim is still its own."""
    return session.exec(
        select(Lane).where(Lane.id == claim.lane_id, _held(claim)).with_for_update()
    ).first()
