"""What a run looks like: the document of `winch show --json`, and the lists."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, func
from sqlmodel import Session, col, select

from worker.errors import UsageError
from worker.models import ACTIVE, FORWARD, IN_FLIGHT, Lane, Lease, RemoteCommand, Run, Step
from worker.store import Store


def run_document(store: Store, run_id: int) -> dict[str, Any]:
    """One run, as `winch show RUN --json` prints it.

    Raises:
        UsageError: there is no such run.
    """
    with store.read() as session:
        run = session.get(Run, run_id)
        if run is None:
            raise UsageError(f"run {run_id}: there is no such run; `winch runs` lists them")
        lanes = session.exec(
            select(Lane).where(Lane.run_id == run_id).order_by(col(Lane.position))
        ).all()
        steps: dict[int, list[Step]] = {}
        for step in session.exec(
            select(Step).where(Step.run_id == run_id).order_by(col(Step.position))
        ):
            steps.setdefault(step.lane_id, []).append(step)
        shown = [lane for lane in lanes if not lane.gate]
        forward = [
            step
            for lane in shown
            for step in steps.get(lane.id or 0, [])
            if step.direction == FORWARD
        ]
        done = sum(step.status in ("succeeded", "skipped") for step in forward)
        document = _summary(run, _status(run, lanes))
        document["progress"] = {"done": done, "total": len(forward)}
        document["hosts"] = [
            _host(lane, steps.get(lane.id or 0, []), store.now()) for lane in shown
        ]
        gate = next((lane for lane in lanes if lane.gate and lane.status != "succeeded"), None)
        if gate is not None and document["detail"] is None:
            said = [step.detail for step in steps.get(gate.id or 0, []) if step.detail]
            document["detail"] = gate.detail or (f"preflight: {said[-1]}" if said else None)
        return document


def run_list(
    store: Store,
    *,
    limit: int = 50,
    before: int | None = None,
    where: Sequence[ColumnElement[bool]] = (),
) -> list[dict[str, Any]]:
    """The newest runs first, without their hosts; `before`: only runs with a lower number."""
    with store.read() as session:
        query = select(Run).where(*where).order_by(col(Run.id).desc()).limit(limit)
        if before is not None:
            query = query.where(col(Run.id) < before)
        runs = session.exec(query).all()
        progress = _progress(session, [run.id for run in runs if run.id is not None])
        found = []
        for run in runs:
            lanes: Sequence[Lane] = ()
            if run.status in ACTIVE:
                lanes = session.exec(
                    select(Lane).where(
                        Lane.run_id == run.id,
                        col(Lane.status).in_((*IN_FLIGHT, "pending")),
                    )
                ).all()
            document = _summary(run, _status(run, lanes))
            done, total = progress.get(run.id or 0, (0, 0))
            document["progress"] = {"done": done, "total": total}
            found.append(document)
        return found


def _progress(session: Session, runs: list[int]) -> dict[int, tuple[int, int]]:
    counts: dict[int, tuple[int, int]] = {}
    for run_id, status, number in session.exec(
        select(Step.run_id, Step.status, func.count())
        .join(Lane, col(Lane.id) == col(Step.lane_id))
        .where(col(Step.run_id).in_(runs), Step.direction == FORWARD, col(Lane.gate).is_(False))
        .group_by(col(Step.run_id), col(Step.status))
    ):
        done, total = counts.get(run_id, (0, 0))
        ended = number if status in ("succeeded", "skipped") else 0
        counts[run_id] = (done + ended, total + number)
    return counts


def run_commands(
    store: Store,
    run_id: int,
    host: str | None = None,
    *,
    after: int | None = None,
    limit: int | None = None,
) -> list[dict[str, Any]]:
    """Every remote command of a run, in order; `host`: only those of that host's lane.

    `limit`: at most so many, in the order in which they were written, those `after` an id.

    Raises:
        UsageError: there is no such run, or no such host in it.
    """
    with store.read() as session:
        if session.get(Run, run_id) is None:
            raise UsageError(f"run {run_id}: there is no such run; `winch runs` lists them")
        query = (
            select(RemoteCommand, Step, Lane)
            .join(Step, col(Step.id) == col(RemoteCommand.step_id))
            .join(Lane, col(Lane.id) == col(Step.lane_id))
            .where(RemoteCommand.run_id == run_id)
            .order_by(col(RemoteCommand.at), col(RemoteCommand.id))
        )
        if limit is not None:
            query = query.order_by(None).order_by(col(RemoteCommand.id)).limit(limit)
            query = query.where(col(RemoteCommand.id) > (after or 0))
        if host is not None:
            query = query.where(Lane.host == host, col(Lane.gate).is_(False))
            known = session.exec(
                select(Lane.host).where(Lane.run_id == run_id, col(Lane.gate).is_(False))
            ).all()
            if host not in known:
                raise UsageError(f"run {run_id} has no host {host!r}; it has {', '.join(known)}")
        return [
            {
                "id": command.id,
                "at": iso(command.at),
                "host": "preflight" if lane.gate else lane.host,
                "step": step.name,
                "attempt": command.attempt,
                "on": command.host,
                "changes": command.mutating,
                "command": command.command,
                "exit_code": command.exit_code,
                "stdout": command.stdout,
                "stderr": command.stderr,
                "seconds": command.seconds,
                "times": command.times,
            }
            for command, step, lane in session.exec(query)
        ]


def lease_list(store: Store) -> list[dict[str, Any]]:
    """Who holds which lease, since when, and for what."""
    with store.read() as session:
        rows = session.exec(
            select(Lease, Run, Lane)
            .join(Run, col(Run.id) == col(Lease.run_id))
            .join(Lane, col(Lane.id) == col(Lease.lane_id), isouter=True)
            .order_by(col(Lease.name))
        )
        return [
            {
                "name": lease.name,
                "number": lease.number,
                "run": run.id,
                "job": run.job,
                "target": run.target,
                "run_status": run.status,
                "host": None if lane is None else lane.host,
                "requested_by": run.requested_by,
                "since": iso(lease.taken_at),
                "scope": run.scope,
            }
            for lease, run, lane in rows
        ]


def iso(seconds: float | None) -> str | None:
    """A time as ISO 8601 in UTC, to the second."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(seconds: float) -> str:
    """A time for people; in UTC, for those who read it are anywhere."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _summary(run: Run, status: str) -> dict[str, Any]:
    return {
        "id": run.id,
        "job": run.job,
        "target": run.target,
        "status": status,
        "requested_by": run.requested_by,
        "reason": run.reason,
        "created_at": iso(run.created_at),
        "start_at": iso(run.start_at),
        "started_at": iso(run.started_at),
        "ended_at": iso(run.ended_at),
        "vars": run.vars,
        "detail": _waits(run) or run.detail,
        "exit_code": run.exit_code,
        "scope": run.scope,
        "approval": _approval(run),
    }


def _approval(run: Run) -> dict[str, Any] | None:
    """What is known of the approval that a run takes; None if it takes none."""
    if run.approval is None:
        return None
    return {
        "needed": run.needs_approval and run.status in ACTIVE,
        "why": run.approval,
        "role": run.approval_role,
        "approved_by": run.approved_by,
    }


def _waits(run: Run) -> str | None:
    """Say what a run waits for as a whole: an approval, a time, or both."""
    if run.status not in ACTIVE:
        return None
    said = []
    if run.needs_approval:
        said.append(
            f"waiting for approval by another person ({run.approval_role}) than "
            f"{run.asker or run.requested_by}: {run.approval}"
        )
    if run.start_at is not None:
        begun = run.started_at is not None
        what = "its window is closed; it goes on" if begun else "starts"
        said.append(f"{what} at {moment(run.start_at)}")
    return "; ".join(said) or None


def _status(run: Run, lanes: Sequence[Lane]) -> str:
    if run.status not in ACTIVE:
        return run.status
    if run.paused:
        return "paused"
    if run.needs_approval:
        return "waiting"
    under_way = [lane for lane in lanes if lane.status in IN_FLIGHT]
    waits_for_lease = any(_waits_for_lease(lane) for lane in lanes)
    if under_way and all(lane.status == "waiting" for lane in under_way):
        return "waiting"
    if run.start_at is not None and not under_way:
        return "queued" if run.started_at is None else "waiting"
    return "waiting" if waits_for_lease and not under_way else run.status


def _waits_for_lease(lane: Lane) -> bool:
    return lane.status == "pending" and lane.waiting_for == "lease"


def _host(lane: Lane, steps: list[Step], now: float) -> dict[str, Any]:
    shown = [_step(step) for step in steps if step.status != "idle"]
    if _waits_for_lease(lane):
        first = next((step for step in shown if step["status"] == "pending"), None)
        if first is not None:
            first["status"], first["detail"] = "waiting", lane.detail
    return {
        "name": lane.host,
        "status": "waiting" if _waits_for_lease(lane) else lane.status,
        "outcome": lane.outcome,
        # What is due (approved, say) waits for nothing but the steward.
        "waiting_for": None if _due(lane, now) else lane.waiting_for,
        "waiting_since": None if lane.waiting_for is None else iso(lane.waiting_since),
        "detail": lane.detail,
        "steps": shown,
    }


def _due(lane: Lane, now: float) -> bool:
    return lane.wait_until is not None and lane.wait_until <= now


def _step(step: Step) -> dict[str, Any]:
    ended = None if step.ended_at is None or step.started_at is None else step.ended_at
    return {
        "name": step.name,
        "status": step.status,
        "changed": step.changed,
        "attempts": step.attempts,
        "started_at": iso(step.started_at),
        "ended_at": iso(step.ended_at),
        "seconds": None if ended is None else round(ended - (step.started_at or 0.0), 3),
        "detail": step.detail,
        "task_id": step.task_id,
    }
