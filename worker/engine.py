"""The engine: writes runs, starts lanes, claims steps, and decides what comes after a step.

Everything happens in SQL transactions; messages are published after the commit, and whatever is
lost between is found again by the steward (`worker.steward`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import update
from sqlmodel import Session, col, select

from worker.audit import record
from worker.begin import begins, due, frozen, too_early
from worker.errors import Frozen
from worker.freezes import freezing, said, why
from worker.lanes import ahead, pending_lanes, start_lane, tally_lanes, wait_for_lease
from worker.leases import Leases
from worker.messages import ChainMessage, chain
from worker.models import ACTIVE, Lane, Run, Step
from worker.plan import Plan, Policy
from worker.report import moment
from worker.rows import row_id
from worker.schedule import Ending, Slots, ending, slots
from worker.store import Store
from worker.writing import write_lane


@dataclass(frozen=True)
class Approval:
    """That a run takes the approval of another person: why, and the role that person needs."""

    why: str
    role: str


Publisher = Callable[[ChainMessage], None]


class Engine:
    """One process's engine. Thread-safe."""

    def __init__(self, store: Store, leases: Leases, publish: Publisher) -> None:
        self.store = store
        self.leases = leases
        self.publish = publish

    # --- runs -----------------------------------------------------------------------------------

    def create_run(
        self,
        plan: Plan,
        *,
        requested_by: str,
        reason: str | None = None,
        scope: str = "",
        asker: str | None = None,
        approval: Approval | None = None,
        start_at: float | None = None,
        override_freeze: bool = False,
        also: Callable[[Session, int], None] = lambda _session, _run_id: None,
    ) -> int:
        """Write a plan as a run. Nothing starts before `advance`.

        `scope`: what it is about, for who may see it. `asker`: the person behind `requested_by`.
        `approval`: nothing of it starts before another person has approved. `start_at`: nothing
        of it starts before (epoch seconds), nor out of its windows. `override_freeze`: it starts
        although its scope is frozen. `also` writes more in the same transaction, given the run's
        number.

        Raises:
            Frozen: a freeze holds when it is to start; nothing was written.
        """
        with self.store.write() as session:
            now = self.store.now()
            at = begins(plan.policy, start_at, now)
            freeze = freezing(session, scope, at)
            if freeze is not None and not override_freeze:
                raise Frozen(why(f"{plan.job} {plan.target}", freeze))
            run = Run(
                job=plan.job,
                target=plan.target,
                requested_by=requested_by,
                reason=reason,
                created_at=now,
                vars=plan.vars,
                policy=plan.policy.model_dump(mode="json"),
                sites=sorted({lane.site for lane in plan.lanes if lane.site is not None}),
                scope=scope,
                asker=asker,
                needs_approval=approval is not None,
                approval=None if approval is None else approval.why,
                approval_role=None if approval is None else approval.role,
                start_at=at if at > now else None,
                override_freeze=override_freeze,
            )
            session.add(run)
            session.flush()
            run_id = row_id(run.id)
            for position, lane in enumerate(plan.lanes):
                write_lane(session, run_id, position, lane, plan)
            also(session, run_id)
            record(session, now, requested_by, plan.job, plan.target, run_id, "asked", reason)
            if override_freeze:
                about = "nothing is frozen" if freeze is None else said(freeze)
                detail = f"{reason or '-'} ({about})"
                record(
                    session, now, requested_by, "override freeze", scope, run_id, "granted", detail
                )
            if approval is not None:
                detail = f"waiting for approval: {approval.why}"
                record(session, now, "engine", plan.job, plan.target, run_id, "waiting", detail)
            if at > now:
                detail = f"until {moment(at)}"
                record(session, now, "engine", plan.job, plan.target, run_id, "waiting", detail)
        return run_id

    def advance(self, run_id: int) -> None:
        """Start what may start now, and end the run when nothing can.

        Raises:
            ServiceError: the database or Redis does not answer; nothing was started.
        """
        released: list[str] = []
        with self.store.write() as session:
            run = session.exec(select(Run).where(Run.id == run_id).with_for_update()).one()
            run.needs_advance = False
            session.add(run)
            started = [] if run.status not in ACTIVE else self._start_lanes(session, run, released)
        self.leases.forget(released, run_id)
        self._publish_lanes(started)

    def _start_lanes(self, session: Session, run: Run, released: list[str]) -> list[int]:
        now = self.store.now()
        policy = Policy.model_validate(run.policy)
        if run.rolling_back:  # a person asked: neither stages nor failures hold the others up
            policy = policy.model_copy(update={"stages": [], "max_failures": 1_000_000})
        gates, tally = tally_lanes(session, run)
        started: list[int] = []
        stopped = run.paused or run.needs_approval or run.aborted
        was_due = due(run, now)
        free = slots(tally, policy)
        early = False
        if not stopped and not run.rolling_back and (gates.pending or free.fresh):
            early = too_early(run, policy, now)
            refusal = None if early else frozen(session, run, now)
            if refusal is not None:
                released += self._end_run(session, run, now, refusal)
                return []
        # The gates of a retried run open the way for hosts that are out, at any time.
        gates_may = not stopped and not run.rolling_back and (not early or tally.pending_out > 0)
        if gates_may and gates.pending:
            for lane in pending_lanes(session, run, gate=True, limit=gates.pending):
                start_lane(session, lane, now)
                started.append(row_id(lane.id))
        if early:
            free = replace(free, fresh=0)
        waiting = self._start_hosts(session, run, policy, free, now, started)
        if started and run.started_at is None:
            run.started_at = now
        if started:
            run.status = "running"
        under_way = gates.in_flight + tally.in_flight + len(started) + waiting
        held = run.paused or run.needs_approval or early
        if under_way == 0 and (run.aborted or not held or tally.pending + gates.pending == 0):
            released += self._end_run(session, run, now)
        elif was_due is not None and started:
            detail = f"it was to start at {moment(was_due)}"
            record(session, now, "engine", run.job, run.target, run.id, "due", detail)
        return started

    def _start_hosts(
        self,
        session: Session,
        run: Run,
        policy: Policy,
        free: Slots,
        now: float,
        started: list[int],
    ) -> int:
        """Start lanes that may, and add them to `started`. Returns how many wait for a lease."""
        waiting = 0
        left = free.fresh + free.resumed
        if not left:
            return 0
        fresh = free.fresh
        for lane in pending_lanes(session, run, gate=False, limit=2 * left + 8):
            resumed = lane.changed and not run.rolling_back
            if not resumed and fresh <= 0:
                break  # those that may be resumed come first
            conflict = ahead(session, lane) or self.leases.acquire(session, lane, now)
            if conflict is None:
                start_lane(session, lane, now)
                started.append(row_id(lane.id))
                fresh -= 0 if resumed else 1
            elif conflict.run_id != run.id:
                waiting += wait_for_lease(session, lane, conflict, policy, now)
        return waiting

    def _end_run(
        self, session: Session, run: Run, now: float, refusal: str | None = None
    ) -> list[str]:
        released: list[str] = []
        for lane in session.exec(_lanes(run).where(Lane.status == "pending")):
            # A retried lane that was not reached again is still as broken as it was.
            lane.status = "failed" if lane.changed and not run.aborted else "cancelled"
            lane.waiting_for = None
            session.add(lane)
            if run.aborted or not lane.changed:
                released += self.leases.release(session, lane)
        session.exec(
            update(Step)
            .where(col(Step.run_id) == run.id, col(Step.status).in_(("pending", "waiting")))
            .values(status="cancelled")
        )
        statuses: set[str] = set()
        outcomes: set[str] = set()
        changed = False
        for status, outcome, lane_changed in session.exec(
            select(Lane.status, Lane.outcome, Lane.changed).where(Lane.run_id == run.id).distinct()
        ):
            statuses.add(status)
            changed = changed or lane_changed
            if status == "failed" and outcome is not None:
                outcomes.add(outcome)
        end = ending(
            statuses,
            outcomes,
            aborted=run.aborted,
            changed=changed,
            rolling_back=run.rolling_back,
        )
        if refusal is not None:
            end = Ending("failed", Frozen.exit_code)
        run.status, run.exit_code, run.ended_at = end.status, end.exit_code, now
        run.start_at = None
        run.detail = refusal or _run_detail(session, run)
        record(session, now, "engine", run.job, run.target, run.id, end.status, run.detail)
        return released

    def publish_lane(self, lane_id: int) -> None:
        """Publish the rest of a lane (again)."""
        self._publish_lanes([lane_id])

    def _publish_lanes(self, lane_ids: Sequence[int]) -> None:
        for lane_id in lane_ids:
            with self.store.read() as session:
                message = chain(session, lane_id)
            if message is not None:
                self.publish(message)


def _lanes(run: Run) -> Any:
    return select(Lane).where(Lane.run_id == run.id)


def _run_detail(session: Session, run: Run) -> str | None:
    """Why a run ended as it did, in one line: what its first lanes that failed say."""
    lanes = session.exec(
        select(Lane.host, Lane.detail, Lane.gate)
        .where(Lane.run_id == run.id, col(Lane.status).in_(("failed", "rolled_back")))
        .order_by(col(Lane.position))
        .limit(3)
    ).all()
    lines = [detail or "" if gate else f"{host}: {detail}" for host, detail, gate in lanes]
    return " · ".join(lines) or None
