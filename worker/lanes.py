"""A run's lanes in the database: counted, found, started, and made to wait for a lease."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import func
from sqlmodel import Session, col, select

from worker.leases import Conflict
from worker.models import ACTIVE, IN_FLIGHT, Lane, Lease, Run, Step
from worker.plan import Policy
from worker.schedule import Tally


def tally_lanes(session: Session, run: Run) -> tuple[Tally, Tally]:
    """Count a run's lanes: its gates, and the others."""
    counts: dict[bool, dict[tuple[str, bool], int]] = {True: {}, False: {}}
    for gate, status, changed, number in session.exec(
        select(Lane.gate, Lane.status, Lane.changed, func.count())
        .where(Lane.run_id == run.id)
        .group_by(col(Lane.gate), col(Lane.status), col(Lane.changed))
    ):
        counts[gate][status, changed] = number
    stopped = run.paused or run.aborted or run.needs_approval
    gates = _tally_of(counts[True], rolling_back=run.rolling_back, gates_open=True, stopped=stopped)
    succeeded = sum(n for (status, _), n in counts[True].items() if status == "succeeded")
    gates_open = run.rolling_back or succeeded == sum(counts[True].values())
    rest = _tally_of(
        counts[False], rolling_back=run.rolling_back, gates_open=gates_open, stopped=stopped
    )
    return gates, rest


def _tally_of(
    counts: dict[tuple[str, bool], int], *, rolling_back: bool, gates_open: bool, stopped: bool
) -> Tally:
    def number(*statuses: str, changed: bool | None = None) -> int:
        return sum(
            n
            for (status, was_changed), n in counts.items()
            if status in statuses and changed in (None, was_changed)
        )

    failures = ("failed",) if rolling_back else ("failed", "rolled_back")
    # When a run is rolled back, lanes that succeeded are pending again, and changed, but in
    # rotation: each takes a slot like a fresh one.
    pending_out = 0 if rolling_back else number("pending", changed=True)
    return Tally(
        total=sum(counts.values()) - number("cancelled"),
        pending=number("pending"),
        in_flight=number(*IN_FLIGHT),
        out=number("failed", changed=True) + pending_out,
        pending_out=pending_out,
        failures=number(*failures),
        ended=number("succeeded", "skipped", "rolled_back", "failed"),
        gates_open=gates_open,
        stopped=stopped,
    )


def pending_lanes(session: Session, run: Run, *, gate: bool, limit: int) -> Iterator[Lane]:
    """Lanes that may start next: those that are out already first, then in the plan's order.

    Each is loaded when it is asked for: mostly one starts, and a lane is a heavy row.
    """
    ids: list[int | None] = []
    for changed in (True, False):  # two questions, each in the order of the index
        ids += session.exec(
            select(Lane.id)
            .where(Lane.run_id == run.id, Lane.gate == gate, Lane.status == "pending")
            .where(col(Lane.changed).is_(changed))
            .order_by(col(Lane.position))
            .limit(limit - len(ids))
        ).all()
    return (session.get_one(Lane, lane_id) for lane_id in ids)


def start_lane(session: Session, lane: Lane, now: float) -> None:
    """Make a lane ready for a worker."""
    lane.status = "running"
    lane.current_step_id = next_step_id(session, lane)
    lane.waiting_for = lane.wait_until = lane.waiting_since = None
    lane.claim = lane.claimed_by = None
    lane.published_at, lane.publishes = now, 1
    if lane.started_at is None:
        lane.started_at = now
    lane.ended_at = lane.outcome = lane.detail = None
    session.add(lane)


def next_step_id(session: Session, lane: Lane) -> int | None:
    """The first step of a lane's direction that is still to be done."""
    return session.exec(
        select(Step.id)
        .where(
            Step.lane_id == lane.id,
            Step.direction == lane.direction,
            col(Step.status).in_(("pending", "running", "waiting")),
        )
        .order_by(col(Step.position))
        .limit(1)
    ).first()


def ahead(session: Session, lane: Lane) -> Conflict | None:
    """An older lane of another run that waits for one of the same leases and could take it now."""
    if not lane.leases:
        return None
    mine = set(lane.leases)
    older = session.exec(
        select(Lane)
        .join(Run, col(Run.id) == col(Lane.run_id))
        .where(
            Lane.waiting_for == "lease",
            Lane.status == "pending",
            col(Lane.id) < lane.id,
            Lane.run_id != lane.run_id,
            col(Run.paused).is_(False),
            col(Run.start_at).is_(None),
            col(Run.status).in_(ACTIVE),
        )
        .order_by(col(Lane.id))
    )
    for other in older:
        shared = mine.intersection(other.leases)
        if shared and not _taken(session, other):
            return Conflict(min(shared), other.run_id, other.id)
    return None


def _taken(session: Session, lane: Lane) -> bool:
    return (
        session.exec(
            select(Lease.name).where(
                col(Lease.name).in_(lane.leases),
                col(Lease.run_id).is_not(None),
                col(Lease.lane_id) != lane.id,
            )
        ).first()
        is not None
    )


def wait_for_lease(
    session: Session, lane: Lane, conflict: Conflict, policy: Policy, now: float
) -> int:
    """Let a lane wait for a lease, or give up after `lock_wait`. Returns 1 while it waits."""
    holder = session.get(Run, conflict.run_id)
    who = f"run {conflict.run_id}" if holder is None else _who(holder)
    lane.waiting_for = "lease"
    lane.waiting_since = lane.waiting_since or now
    lane.detail = f"waiting for lease {conflict.name}, held by {who}"
    session.add(lane)
    if now - lane.waiting_since < policy.lock_wait:
        return 1
    lane.status, lane.outcome, lane.waiting_for, lane.ended_at = "failed", "lease", None, now
    lane.detail = (
        f"lease {conflict.name} is held by {who}; waited {policy.lock_wait:.0f} s; "
        f"end that run (`winch retry`, `skip`, `rollback` or `abort {conflict.run_id}`) "
        "and retry this one"
    )
    return 0


def _who(run: Run) -> str:
    return f"run {run.id} ({run.job} {run.target}, {run.status}, by {run.requested_by})"
