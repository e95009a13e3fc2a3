"""Steering a run: retry, skip, pause, resume, approve, abort, roll back, break a lease.

Each is one transaction that looks first, so that of two people who do the same at the same instant
one wins and the other is told. What follows is `Engine.advance`.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import update
from sqlmodel import Session, col, select

from worker.audit import record
from worker.engine import Engine
from worker.errors import Forbidden, UsageError, WinchError
from worker.models import ACTIVE, BACK, FORWARD, IN_FLIGHT, Audit, Lane, Lease, Step
from worker.reopen import (
    again,
    can_go_back,
    check_freeze,
    find_run,
    gates,
    nothing,
    record_override,
    reopen,
    select_lanes,
    shown,
    some,
)


class NotNow(WinchError):
    """The run is not in a state in which this can be done; somebody else may have been faster."""


# Seconds within which a retry and an abort are of the same instant: whoever asks for the second one
# has not seen the first. Nobody sees a run's new state and decides about it any faster.
INSTANT = 2.0
_OPPOSED = {"retry": "abort", "abort": "retry"}


def retry(
    engine: Engine, run_id: int, hosts: Sequence[str], actor: str, *, override: str | None = None
) -> list[str]:
    """Go on from the step that failed; hosts that were cancelled or rolled back start (again).

    `override`: why it is done although a freeze holds. A way back goes on without.
    Returns the names of the hosts that are retried.

    Raises:
        NotNow: nothing of the run can be retried, or it was aborted at this very instant.
        Frozen: a freeze holds.
        UsageError: no such run, or a host that is not in it.
    """
    with engine.store.write() as session:
        run = find_run(session, run_id)
        lanes = select_lanes(session, run, hosts)
        chosen = [lane for lane in lanes if lane.status in ("failed", "cancelled", "rolled_back")]
        looks = [g for g in gates(session, run) if g.status in ("failed", "cancelled")]
        if not chosen:
            raise NotNow(f"run {run_id} is {shown(run)}: {nothing(hosts)} to retry")
        _check_instant(session, engine.store.now(), run_id, "retry", actor)
        overridden = None
        if any(lane.direction == FORWARD or lane.status == "rolled_back" for lane in chosen):
            overridden = check_freeze(session, engine, run, "retry", override)
        for lane in [*chosen, *looks]:
            again(session, lane)
        run.rolling_back = run.rolling_back and all(lane.direction == BACK for lane in chosen)
        reopen(session, run)
        names = [lane.host for lane in chosen]
        now = engine.store.now()
        record(session, now, actor, "retry", run.target, run_id, "granted", some(names))
        record_override(session, now, actor, run, overridden)
    engine.advance(run_id)
    return names


def skip(
    engine: Engine, run_id: int, host: str, actor: str, *, override: str | None = None
) -> None:
    """Leave a host as it is, give its leases back, and go on with the others.

    `override`: why a run that has ended goes on although a freeze holds.

    Raises:
        NotNow: the host is done, or a step of it is under way.
        Frozen: a freeze holds, and others would start.
        UsageError: no such run or host.
    """
    with engine.store.write() as session:
        run = find_run(session, run_id)
        (lane,) = select_lanes(session, run, [host])
        if lane.status in ("succeeded", "skipped") or lane.status == "running":
            raise NotNow(
                f"run {run_id}: {host} is {lane.status}: only a host that waits, failed or "
                "has not started can be skipped"
            )
        now = engine.store.now()
        lane.status, lane.outcome, lane.ended_at = "skipped", None, now
        lane.detail = f"skipped by {actor}"
        lane.waiting_for = lane.wait_until = lane.current_step_id = None
        released = engine.leases.release(session, lane)
        session.add(lane)
        session.exec(
            update(Step)
            .where(
                col(Step.lane_id) == lane.id,
                col(Step.status).in_(("pending", "waiting", "failed", "cancelled")),
            )
            .values(status="skipped")
        )
        overridden = None
        if run.status not in ACTIVE:
            others = session.exec(
                select(Lane).where(Lane.run_id == run_id, Lane.status == "cancelled")
            ).all()
            if others:
                overridden = check_freeze(session, engine, run, "skip", override)
            for other in others:
                again(session, other)
        reopen(session, run)
        record(session, now, actor, "skip", run.target, run_id, "granted", host)
        record_override(session, now, actor, run, overridden)
    engine.leases.forget(released, run_id)
    engine.advance(run_id)


def pause(engine: Engine, run_id: int, actor: str) -> None:
    """Start no further host; those under way go on to their end, so that none is left out.

    Raises:
        NotNow: the run has ended, or is paused already.
    """
    _set_paused(engine, run_id, actor, paused=True)


def resume(engine: Engine, run_id: int, actor: str, *, override: str | None = None) -> None:
    """Undo `pause`. `override`: why it is done although a freeze holds.

    Raises:
        NotNow: the run is not paused.
        Frozen: a freeze holds.
    """
    _set_paused(engine, run_id, actor, paused=False, override=override)
    engine.advance(run_id)


def _set_paused(
    engine: Engine, run_id: int, actor: str, *, paused: bool, override: str | None = None
) -> None:
    with engine.store.write() as session:
        run = find_run(session, run_id)
        if run.status not in ACTIVE or run.paused == paused:
            state = "paused already" if run.paused and paused else shown(run)
            raise NotNow(f"run {run_id} is {state}: nothing to {'pause' if paused else 'resume'}")
        overridden = None
        if not paused and not run.rolling_back:
            overridden = check_freeze(session, engine, run, "resume", override)
        run.paused = paused
        session.add(run)
        word, now = "pause" if paused else "resume", engine.store.now()
        record(session, now, actor, word, run.target, run_id, "granted")
        record_override(session, now, actor, run, overridden)


def approve(
    engine: Engine,
    run_id: int,
    actor: str,
    *,
    person: str | None = None,
    override: str | None = None,
) -> list[str]:
    """Let a run begin that waits for an approval, or the hosts go on that do. Returns their names.

    `person`: who `actor` is, if that is known; the approver of a run is not its asker. `override`:
    why a run may begin although a freeze holds; hosts in the middle of their way go on without.

    Raises:
        NotNow: nothing waits for one.
        Forbidden: it is the asker's own run.
        Frozen: the run has not begun, and a freeze holds.
    """
    with engine.store.write() as session:
        run = find_run(session, run_id)
        now = engine.store.now()
        lanes = select_lanes(session, run, [])
        names = []
        overridden = None
        if run.needs_approval and run.status in ACTIVE:
            if (person or actor) in (run.asker, run.requested_by):
                raise Forbidden(
                    f"run {run_id} was asked for by {run.requested_by}: it takes the approval of "
                    "another person"
                )
            if run.start_at is None or run.start_at <= now:  # else it is looked at then
                overridden = check_freeze(session, engine, run, "approve", override)
            run.needs_approval, run.approved_by, run.needs_advance = False, actor, True
            session.add(run)
            names = [lane.host for lane in lanes if lane.status == "pending"]
            lanes = []
        for lane in lanes:
            if lane.status == "waiting" and lane.waiting_for == "approval":
                step = session.get_one(Step, lane.current_step_id)
                if "approved_by" in step.memory and (lane.wait_until or now + 1) <= now:
                    continue  # somebody was faster; the steward has not seen it yet
                step.memory = {**step.memory, "approved_by": actor}
                lane.wait_until = now
                session.add_all((lane, step))
                names.append(lane.host)
        if not names:
            raise NotNow(f"run {run_id} is {shown(run)}: nothing of it waits for an approval")
        record(session, now, actor, "approve", run.target, run_id, "granted", some(names))
        record_override(session, now, actor, run, overridden)
    engine.advance(run_id)
    return names


def abort(engine: Engine, run_id: int, actor: str) -> None:
    """End a run: nothing further starts, steps under way stop between two commands.

    A failed run that still holds leases gives them back. Hosts stay as they are.

    Raises:
        NotNow: the run has ended and holds nothing, or it was retried at this very instant.
    """
    released: list[str] = []
    with engine.store.write() as session:
        run = find_run(session, run_id)
        now = engine.store.now()
        held = session.exec(select(Lease.name).where(Lease.run_id == run_id)).all()
        if run.status not in ACTIVE and not held:
            raise NotNow(f"run {run_id} is {shown(run)} and holds no lease: nothing to abort")
        _check_instant(session, now, run_id, "abort", actor)
        if run.status not in ACTIVE:
            run.status = "aborted"
        run.aborted, run.paused = True, False
        run.needs_advance = True
        session.add(run)
        for lane in session.exec(select(Lane).where(Lane.run_id == run_id)):
            idle = lane.status in IN_FLIGHT and lane.claim is None
            if idle or lane.status == "pending":
                lane.status, lane.detail, lane.ended_at = "cancelled", f"aborted by {actor}", now
                lane.waiting_for = lane.wait_until = None
                session.add(lane)
            if lane.claim is None:
                released += engine.leases.release(session, lane)
        session.exec(
            update(Step)
            .where(col(Step.run_id) == run_id, col(Step.status).in_(("pending", "waiting")))
            .values(status="cancelled")
        )
        record(session, now, actor, "abort", run.target, run_id, "granted")
    engine.leases.forget(released, run_id)
    engine.advance(run_id)


def rollback(engine: Engine, run_id: int, actor: str) -> list[str]:
    """Let every host go back that the run has changed. Returns their names.

    Hosts with a step under way turn back when it has ended.

    Raises:
        NotNow: the run has changed nothing that could be undone.
    """
    with engine.store.write() as session:
        run = find_run(session, run_id)
        now = engine.store.now()
        names = []
        for lane in select_lanes(session, run, []):
            under_way = lane.status == "running" and lane.direction == FORWARD
            if under_way or can_go_back(session, lane):
                names.append(lane.host)
        if not names or (run.rolling_back and run.status in ACTIVE):
            why = "it is being rolled back" if run.rolling_back else "it has changed nothing"
            raise NotNow(f"run {run_id} is {shown(run)}: {why}; nothing to roll back")
        run.rolling_back = True
        for lane in select_lanes(session, run, []):
            if lane.status == "pending" and lane.direction == FORWARD:
                lane.status, lane.waiting_for = "cancelled", None
                session.add(lane)
        reopen(session, run)
        record(session, now, actor, "rollback", run.target, run_id, "granted", some(names))
    engine.advance(run_id)
    return names


def break_lease(engine: Engine, name: str, reason: str, actor: str) -> int | None:
    """Take a lease away from the run that holds it; its number grows, so that the hosts refuse it.

    Returns the run that held it.

    Raises:
        UsageError: there is no such lease, or nobody holds it.
    """
    with engine.store.write() as session:
        row = session.exec(select(Lease).where(Lease.name == name).with_for_update()).first()
        if row is None or row.run_id is None:
            raise UsageError(f"lease {name!r} is not held by anybody; `winch leases` lists them")
        now = engine.store.now()
        holder = row.run_id
        row.number = max(row.number + 1, int(now * 1000))
        row.run_id = row.lane_id = row.taken_at = None
        session.add(row)
        record(session, now, actor, "lease break", name, holder, "granted", reason)
    engine.leases.forget([name], holder)
    return holder


def _check_instant(session: Session, now: float, run_id: int, action: str, actor: str) -> None:
    """See that nobody else has asked for the opposite at the same instant: one wins.

    Raises:
        NotNow: somebody has.
    """
    line = session.exec(
        select(Audit)
        .where(
            Audit.run_id == run_id,
            Audit.action == _OPPOSED[action],
            Audit.outcome == "granted",
            Audit.actor != actor,
            col(Audit.at) > now - INSTANT,
        )
        .order_by(col(Audit.id).desc())
        .limit(1)
    ).first()
    if line is not None:
        ago = max(0.0, now - line.at)
        raise NotNow(
            f"run {run_id}: {line.actor} was faster: {line.action}, {ago:.1f} s ago; look at it, "
            f"and ask again if you still want to {action} it"
        )
