"""What steering a run is made of: find its lanes, make them pending again, look for freezes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlmodel import Session, col, select

from worker.audit import record
from worker.engine import Engine
from worker.errors import Frozen, UsageError
from worker.finish import prepare_back, way_back
from worker.freezes import freezing, said, why
from worker.models import ACTIVE, BACK, FORWARD, Lane, Run, Step


def check_freeze(
    session: Session, engine: Engine, run: Run, action: str, override: str | None
) -> str | None:
    """See that hosts may start that a person lets start. Returns what was overridden, and why.

    Raises:
        Frozen: a freeze holds, and it is not overridden.
    """
    if run.override_freeze and run.started_at is None:
        return None  # it was asked for like that
    freeze = freezing(session, run.scope, engine.store.now())
    if freeze is None:
        return None
    if override is None:
        raise Frozen(why(f"{action} run {run.id}", freeze))
    run.override_freeze = True
    return f"{action}: {override} ({said(freeze)})"


def record_override(
    session: Session, now: float, actor: str, run: Run, overridden: str | None
) -> None:
    """Keep in the audit what `check_freeze` has returned; at the transaction's end."""
    if overridden is not None:
        scope = run.scope
        record(session, now, actor, "override freeze", scope, run.id, "granted", overridden)


def can_go_back(session: Session, lane: Lane) -> bool:
    """Prepare a lane that is not under way for its way back, if there is one."""
    if lane.status in ("running", "rolled_back", "skipped"):
        return False
    if lane.direction == BACK:
        if lane.status == "failed":
            again(session, lane)
            return True
        return False
    back = way_back(session, lane) if lane.changed else []
    if not back:
        return False
    prepare_back(session, lane, back)
    lane.status = "pending"
    session.add(lane)
    return True


def find_run(session: Session, run_id: int) -> Run:
    """Find a run, and lock it.

    Raises:
        UsageError: there is none.
    """
    run = session.exec(select(Run).where(Run.id == run_id).with_for_update()).first()
    if run is None:
        raise UsageError(f"run {run_id}: there is no such run; `winch runs` lists them")
    return run


def gates(session: Session, run: Run) -> list[Lane]:
    """The lanes that only look."""
    return list(session.exec(select(Lane).where(Lane.run_id == run.id, col(Lane.gate).is_(True))))


def select_lanes(session: Session, run: Run, hosts: Sequence[str]) -> list[Lane]:
    """The lanes of the named hosts; no names: all."""
    lanes = list(
        session.exec(
            select(Lane)
            .where(Lane.run_id == run.id, col(Lane.gate).is_(False))
            .order_by(col(Lane.position))
        )
    )
    known = {lane.host for lane in lanes}
    for host in hosts:
        if host not in known:
            raise UsageError(f"run {run.id} has no host {host!r}; it has {some(sorted(known))}")
    return [lane for lane in lanes if not hosts or lane.host in hosts]


def again(session: Session, lane: Lane) -> None:
    """Make a lane pending again: from its failed step, or from the start if it was rolled back."""
    steps = list(session.exec(select(Step).where(Step.lane_id == lane.id)))
    if lane.status == "rolled_back":
        lane.direction, lane.changed, lane.numbers = FORWARD, False, {}
        for step in steps:
            step.status = "pending" if step.direction == FORWARD else "idle"
            step.memory, step.changed = {}, False
            step.started_at = step.ended_at = None
    else:
        for step in steps:
            if step.direction == lane.direction and step.status in ("failed", "cancelled"):
                step.status = "pending"
                step.started_at = step.ended_at = None
    session.add_all(steps)
    lane.status, lane.retries = "pending", 0
    lane.ended_at = lane.waiting_for = lane.wait_until = lane.waiting_since = None
    session.add(lane)


def reopen(session: Session, run: Run) -> None:
    """Let a run go on that has ended."""
    run.status = "running" if run.started_at is not None else "queued"
    run.aborted = run.paused = False
    run.ended_at = run.exit_code = run.detail = None
    run.needs_advance = True
    session.add(run)


def shown(run: Run) -> str:
    """Say in a word or two how a run stands."""
    if run.status in ACTIVE and (run.paused or run.needs_approval):
        return "paused" if run.paused else "waiting for approval"
    return run.status.replace("_", " ")


def nothing(hosts: Sequence[str]) -> str:
    """Say that none of the named hosts is meant; no names: none at all."""
    return f"nothing of {some(hosts)}" if hosts else "nothing"


def some(names: Sequence[Any], limit: int = 12) -> str:
    """List names, the first of them if there are many."""
    shown = ", ".join(str(name) for name in names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"
