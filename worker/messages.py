"""What travels: the rest of a lane, as one Celery chain. It carries no state."""

from __future__ import annotations

from dataclasses import dataclass

from sqlmodel import Session, col, select

from worker.models import Lane, Step
from worker.rows import row_id


@dataclass(frozen=True)
class Message:
    """One step as it travels: its id, its name, and what a person reads in Flower."""

    step_id: int
    name: str
    label: str


@dataclass(frozen=True)
class ChainMessage:
    """The rest of a lane, published as one Celery chain to the queue of the host's site."""

    site: str | None
    run_id: int
    steps: tuple[Message, ...]


def chain(session: Session, lane_id: int) -> ChainMessage | None:
    """Make the message of a lane; None: nothing of it is under way."""
    lane = session.get_one(Lane, lane_id)
    if lane.current_step_id is None:
        return None
    current = session.get_one(Step, lane.current_step_id)
    rest = session.exec(
        select(Step.id, Step.name, Step.summary)
        .where(
            Step.lane_id == lane_id,
            Step.direction == lane.direction,
            col(Step.position) >= current.position,
            col(Step.status).in_(("pending", "running", "waiting")),
        )
        .order_by(col(Step.position))
    )
    label = "preflight" if lane.gate else lane.host
    return ChainMessage(
        lane.site,
        lane.run_id,
        tuple(Message(row_id(i), name, f"{label} · {summary}") for i, name, summary in rest),
    )
