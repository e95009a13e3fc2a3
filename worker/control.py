"""Steering a run: retry, skip, pause, resume, approve, abort, roll back, break a lease.

Each is one transaction that looks first, so that of two people who do the same at the same instant
one wins and the other is told. What follows is `Engine.advance`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import update
from sqlmodel import Session, col, select

from worker.audit import record
from worker.engine import Engine
from worker.errors import Forbidden, UsageError, WinchError
from worker.finish import prepare_back, way_back
from worker.models import ACTIVE, BACK, FORWARD, IN_FLIGHT, Lane, Lease, Run, Step


class NotNow(WinchError):
    """The run is not in a state in which this can be done; somebody else may have been faster."""


def retry(engine: Engine, run_id: int, hosts: Sequence[str], actor: str) -> list[str]:
    """Go on from the step that failed; hosts that were cancelled or rolled back start (again).

    Returns the names of the hosts that are retried.

    Raises:
        NotNow: nothing of the run can be retried.
        UsageError: no such run, or a host that is not in it.
    """
    with engine.store.write() as session:
        run = _run(session, run_id)
        lanes = _select(session, run, hosts)
        again = [lane for lane in lanes if lane.status in ("failed", "cancelled", "rolled_back")]
        gates = [g for g in _gates(session, run) if g.status in ("failed", "cancelled")]
        if not again:
            raise NotNow(f"run {run_id} is {_shown(run)}: {_nothing(hosts)} to retry")
        for lane in [*again, *gates]:
            _again(session, lane)
        run.rolling_back = run.rolling_back and all(lane.direction == BACK for lane in again)
        _reopen(session, run)
        names = [lane.host for lane in again]
        record(
            session, engine.store.now(), actor, "retry", run.target, run_id, "granted", _some(names)
        )
    engine.advance(run_id)
    return names


def skip(engine: Engine, run_id: int, host: str, actor: str) -> None:
    """Leave a host as it is, give its leases back, and go on with the others.

    Raises:
        NotNow: the host is done, or a step of it is under way.
        UsageError: no such run or host.
    """
    with engine.store.write() as session:
        run = _run(session, run_id)
        (lane,) = _select(session, run, [host])
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
        if run.status not in ACTIVE:
            for other in session.exec(select(Lane).where(Lane.run_id == run_id)):
                if other.status == "cancelled":
                    _again(session, other)
        _reopen(session, run)
        record(session, now, actor, "skip", run.target, run_id, "granted", host)
    engine.leases.forget(released, run_id)
    engine.advance(run_id)


def pause(engine: Engine, run_id: int, actor: str) -> None:
    """Start no further host; those under way go on to their end, so that none is left out.

    Raises:
        NotNow: the run has ended, or is paused already.
    """
    _set_paused(engine, run_id, actor, paused=True)


def resume(engine: Engine, run_id: int, actor: str) -> None:
    """Undo `pause`.

    Raises:
        NotNow: the run is not paused.
    """
    _set_paused(engine, run_id, actor, paused=False)
    engine.advance(run_id)


def _set_paused(engine: Engine, run_id: int, actor: str, *, paused: bool) -> None:
    with engine.store.write() as session:
        run = _run(session, run_id)
        if run.status not in ACTIVE or run.paused == paused:
            state = "paused already" if run.paused and paused else _shown(run)
            raise NotNow(f"run {run_id} is {state}: nothing to {'pause' if paused else 'resume'}")
        run.paused = paused
        session.add(run)
        word = "pause" if paused else "resume"
        record(session, engine.store.now(), actor, word, run.target, run_id, "granted")


def approve(engine: Engine, run_id: int, actor: str, *, person: str | None = None) -> list[str]:
    """Let a run begin that waits for an approval, or the hosts go on that do. Returns their names.

    `person`: who `actor` is, if that is known; the approver of a run is not its asker.

    Raises:
        NotNow: nothing waits for one.
        Forbidden: it is the asker's own run.
    """
    with engine.store.write() as session:
        run = _run(session, run_id)
        now = engine.store.now()
        lanes = _select(session, run, [])
        names = []
        if run.needs_approval and run.status in ACTIVE:
            if (person or actor) in (run.asker, run.requested_by):
                raise Forbidden(
                    f"run {run_id} was asked for by {run.requested_by}: it takes the approval of "
                    "another person"
                )
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
            raise NotNow(f"run {run_id} is {_shown(run)}: nothing of it waits for an approval")
        record(session, now, actor, "approve", run.target, run_id, "granted", _some(names))
    engine.advance(run_id)
    return names


def abort(engine: Engine, run_id: int, actor: str) -> None:
    """End a run: nothing further starts, steps under way stop between two commands.

    A failed run that still holds leases gives them back. Hosts stay as they are.

    Raises:
        NotNow: the run has ended and holds nothing.
    """
    released: list[str] = []
    with engine.store.write() as session:
        run = _run(session, run_id)
        now = engine.store.now()
        held = session.exec(select(Lease.name).where(Lease.run_id == run_id)).all()
        if run.status not in ACTIVE and not held:
            raise NotNow(f"run {run_id} is {_shown(run)} and holds no lease: nothing to abort")
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
        run = _run(session, run_id)
        now = engine.store.now()
        names = []
        for lane in _select(session, run, []):
            under_way = lane.status == "running" and lane.direction == FORWARD
            if under_way or _can_go_back(session, lane):
                names.append(lane.host)
        if not names or (run.rolling_back and run.status in ACTIVE):
            why = "it is being rolled back" if run.rolling_back else "it has changed nothing"
            raise NotNow(f"run {run_id} is {_shown(run)}: {why}; nothing to roll back")
        run.rolling_back = True
        for lane in _select(session, run, []):
            if lane.status == "pending" and lane.direction == FORWARD:
                lane.status, lane.waiting_for = "cancelled", None
                session.add(lane)
        _reopen(session, run)
        record(session, now, actor, "rollback", run.target, run_id, "granted", _some(names))
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


def _can_go_back(session: Session, lane: Lane) -> bool:
    """Prepare a lane that is not under way for its way back, if there is one."""
    if lane.status in ("running", "rolled_back", "skipped"):
        return False
    if lane.direction == BACK:
        if lane.status == "failed":
            _again(session, lane)
            return True
        return False
    back = way_back(session, lane) if lane.changed else []
    if not back:
        return False
    prepare_back(session, lane, back)
    lane.status = "pending"
    session.add(lane)
    return True


def _run(session: Session, run_id: int) -> Run:
    run = session.exec(select(Run).where(Run.id == run_id).with_for_update()).first()
    if run is None:
        raise UsageError(f"run {run_id}: there is no such run; `winch runs` lists them")
    return run


def _gates(session: Session, run: Run) -> list[Lane]:
    return list(session.exec(select(Lane).where(Lane.run_id == run.id, col(Lane.gate).is_(True))))


def _select(session: Session, run: Run, hosts: Sequence[str]) -> list[Lane]:
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
            raise UsageError(f"run {run.id} has no host {host!r}; it has {_some(sorted(known))}")
    return [lane for lane in lanes if not hosts or lane.host in hosts]


def _again(session: Session, lane: Lane) -> None:
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


def _reopen(session: Session, run: Run) -> None:
    run.status = "running" if run.started_at is not None else "queued"
    run.aborted = run.paused = False
    run.ended_at = run.exit_code = run.detail = None
    run.needs_advance = True
    session.add(run)


def _shown(run: Run) -> str:
    if run.status in ACTIVE and (run.paused or run.needs_approval):
        return "paused" if run.paused else "waiting for approval"
    return run.status.replace("_", " ")


def _nothing(hosts: Sequence[str]) -> str:
    return f"nothing of {_some(hosts)}" if hosts else "nothing"


def _some(names: Sequence[Any], limit: int = 12) -> str:
    shown = ", ".join(str(name) for name in names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"
