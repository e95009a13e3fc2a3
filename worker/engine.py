"""The engine: writes runs, starts lanes, claims steps, and decides what comes after a step.

Everything happens in SQL transactions; messages are published after the commit, and whatever is
lost between is found again by the steward (`worker.steward`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import func, update
from sqlmodel import Session, col, select

from worker.audit import record
from worker.begin import begins, due, frozen, too_early
from worker.errors import Frozen
from worker.freezes import freezing, said, why
from worker.leases import Conflict, Leases
from worker.models import ACTIVE, BACK, FORWARD, IN_FLIGHT, Lane, Lease, Run, Step
from worker.plan import LaneSpec, Plan, Policy, StepSpec
from worker.report import moment
from worker.rows import row_id
from worker.schedule import Ending, Slots, Tally, ending, slots
from worker.store import Store


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
                _write_lane(session, run_id, position, lane, plan)
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
        gates, tally = _tally(session, run)
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
            for lane in _pending(session, run, gate=True, limit=gates.pending):
                _start(session, lane, now)
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
        for lane in _pending(session, run, gate=False, limit=2 * left + 8):
            resumed = lane.changed and not run.rolling_back
            if not resumed and fresh <= 0:
                break  # those that may be resumed come first
            conflict = _ahead(session, lane) or self.leases.acquire(session, lane, now)
            if conflict is None:
                _start(session, lane, now)
                started.append(row_id(lane.id))
                fresh -= 0 if resumed else 1
            elif conflict.run_id != run.id:
                waiting += _wait_for_lease(session, lane, conflict, policy, now)
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
                message = _chain(session, lane_id)
            if message is not None:
                self.publish(message)


def _lanes(run: Run) -> Any:
    return select(Lane).where(Lane.run_id == run.id)


def _write_lane(session: Session, run_id: int, position: int, spec: LaneSpec, plan: Plan) -> None:
    needed = _hosts_of(spec, plan)
    lane = Lane(
        run_id=run_id,
        position=position,
        host=spec.host,
        site=spec.site,
        gate=spec.gate,
        leases=sorted(spec.leases),
        touches=list(spec.touches),
        hosts={name: plan.hosts[name].model_dump(mode="json") for name in sorted(needed)},
    )
    session.add(lane)
    session.flush()
    forward: list[tuple[StepSpec, str, list[str]]] = [(step, FORWARD, []) for step in spec.steps]
    back = [(back.step, BACK, list(back.undoes)) for back in spec.back]
    for number, (step, direction, undoes) in enumerate(forward + back):
        session.add(
            Step(
                run_id=run_id,
                lane_id=row_id(lane.id),
                position=number,
                direction=direction,
                name=step.name,
                summary=step.summary,
                params=step.params,
                undoes=undoes,
                status="pending" if direction == FORWARD else "idle",
            )
        )


def _hosts_of(spec: LaneSpec, plan: Plan) -> set[str]:
    """The hosts a lane can talk to: its own, those it touches, and the way to them.

    A gate looks at the whole fleet of the run.
    """
    wanted = set(plan.hosts) if spec.gate else {spec.host, *spec.touches, *spec.reads}
    todo = list(wanted)
    while todo:
        host = plan.hosts.get(todo.pop())
        if host is not None and host.ssh.jump is not None and host.ssh.jump not in wanted:
            wanted.add(host.ssh.jump)
            todo.append(host.ssh.jump)
    return wanted & set(plan.hosts)


def _tally(session: Session, run: Run) -> tuple[Tally, Tally]:
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


def _pending(session: Session, run: Run, *, gate: bool, limit: int) -> Iterator[Lane]:
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


def _start(session: Session, lane: Lane, now: float) -> None:
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


def _ahead(session: Session, lane: Lane) -> Conflict | None:
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


def _wait_for_lease(
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


def _chain(session: Session, lane_id: int) -> ChainMessage | None:
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
