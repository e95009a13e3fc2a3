"""What earlier runs have done, as far as a step may want to know."""

from __future__ import annotations

from sqlmodel import col, select

from worker.models import FORWARD, Lane, Run, Step
from worker.store import Store


def reached(store: Store, job: str, target: str, step: str) -> frozenset[str] | None:
    """The hosts at which a step has begun, in the newest run of a job in which it did anywhere.

    None: there is no such run.
    """
    begun = (
        Step.name == step,
        Step.direction == FORWARD,
        col(Step.attempts) > 0,
        Run.job == job,
        Run.target == target,
    )
    with store.read() as session:
        newest = session.exec(
            select(Run.id)
            .join(Step, col(Step.run_id) == Run.id)
            .where(*begun)
            .order_by(col(Run.id).desc())
            .limit(1)
        ).first()
        if newest is None:
            return None
        hosts = select(Lane.host).join(Step, col(Step.lane_id) == Lane.id).where(
            Step.run_id == newest, Step.name == step, Step.direction == FORWARD,
            col(Step.attempts) > 0,
        )  # fmt: skip
        return frozenset(session.exec(hosts).all())
