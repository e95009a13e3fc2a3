"""What comes after a step: the next one, a wait, the way back, or the end of the lane.

`decide` is pure; `finish` writes its decision in one transaction, if the claim is still valid.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import update
from sqlmodel import Session, col, select

from worker.audit import record
from worker.claims import Claim, held_lane
from worker.errors import Busy, Refused, StepError, Unreachable
from worker.leases import Leases
from worker.models import BACK, FORWARD, Lane, Run, Step
from worker.rows import row_id
from worker.step import Done, Outcome, Wait
from worker.store import Store

# Seconds before the next tries after a host did not answer; then the lane fails. A gate is not so
# patient: nothing has begun, and somebody is watching.
RETRY_AFTER = (1.0, 3.0, 6.0)
GATE_RETRIES = 1

After = Literal["next", "wait", "retry", "back", "fail", "cancel"]


@dataclass(frozen=True)
class Standing:
    """What the decision depends on, besides the step's own end."""

    direction: str
    retries: int
    changed: bool  # the lane has changed something
    on_failure: str
    has_way_back: bool
    aborted: bool
    rolling_back: bool
    gate: bool = False


def decide(end: Outcome | StepError, standing: Standing) -> After:
    """Decide what comes after a step that ended like this."""
    forward = standing.direction == FORWARD
    turn: After = "back" if forward and standing.has_way_back and standing.changed else "fail"
    if standing.aborted:
        return "cancel"
    if isinstance(end, StepError):
        return _after_error(end, standing, turn)
    if standing.rolling_back and forward:
        return "back" if turn == "back" else "cancel"
    return "next" if isinstance(end, Done) else "wait"


def _after_error(error: StepError, standing: Standing, turn: After) -> After:
    if isinstance(error, Busy):
        return "retry"  # as often as it takes: what runs there is bounded by its own timeout
    if isinstance(error, Unreachable):
        patience = GATE_RETRIES if standing.gate else len(RETRY_AFTER)
        again = not error.permanent and standing.retries < patience
        return "retry" if again else "fail"  # there is no way back on a host that does not answer
    wanted = standing.on_failure == "rollback" or standing.rolling_back
    return turn if wanted else "fail"


@dataclass(frozen=True)
class Next:
    """What the worker does after the commit."""

    chain_goes_on: bool = False
    publish: bool = False  # the lane's other steps have to be published anew
    advance: bool = False  # the lane has ended: others may start
    forget: tuple[str, ...] = ()  # leases given back


def finish(
    store: Store,
    leases: Leases,
    claim: Claim,
    end: Outcome | StepError,
    *,
    began: bool,
    memory: dict[str, Any] | None = None,
    also: Callable[[Session], None] = lambda _session: None,
) -> Next | None:
    """Write how a step ended, and what comes next. None: the claim was lost.

    `began`: the step acted on a host. `memory`: what it remembered since it last acted. `also`
    writes more in the same transaction, whoever holds the claim (the record of its commands).
    """
    now = store.now()
    with store.write() as session:
        # The run before the lane and the lane before its leases, as everybody locks them.
        run = session.exec(
            select(Run).where(Run.id == claim.run_id).with_for_update(key_share=True)
        ).one()
        also(session)
        lane = held_lane(session, claim)
        if lane is None:
            return None
        step = session.get_one(Step, claim.step_id)
        lane.claim = lane.claimed_by = None
        if memory is not None:
            step.memory = memory
        changed = _changed(end, began)
        lane.changed = lane.changed or changed
        step.changed = step.changed or changed
        turns = lane.changed and (isinstance(end, StepError) or run.rolling_back)
        back = way_back(session, lane) if turns else []
        standing = Standing(
            direction=lane.direction,
            retries=lane.retries,
            changed=lane.changed,
            on_failure=run.policy["on_failure"],
            has_way_back=bool(back),
            aborted=run.aborted,
            rolling_back=run.rolling_back,
            gate=lane.gate,
        )
        after = decide(end, standing)
        _write_step(step, end, after, now)
        session.add_all((lane, step))
        match after:
            case "next":
                if lane.gate and isinstance(end, Done):
                    _put_in_order(session, run, end.order)
                return _go_on(session, leases, run, lane, now)
            case "wait" | "retry":
                _wait(lane, end, now)
                if lane.waiting_for == "approval":
                    why = f"{lane.host}: {step.detail}"
                    record(session, now, "engine", run.job, run.target, run.id, "waiting", why)
                return Next()
            case "back":
                if isinstance(end, StepError):
                    lane.outcome, lane.detail = end.outcome, f"{step.name}: {end.message}"
                turn_back(session, lane, back, now)
                return Next(publish=True)
            case "fail" | "cancel":
                return _end_badly(session, leases, run, lane, step, end, after, now)


def _changed(end: Outcome | StepError, began: bool) -> bool:
    match end:
        case Done():
            return end.changed
        case Refused():
            return False  # that is what it says
        case _:
            return began


def _write_step(step: Step, end: Outcome | StepError, after: After, now: float) -> None:
    step.detail = end.message if isinstance(end, StepError) else end.detail
    match end, after:
        case Done(), _:
            step.status, step.ended_at = "succeeded", now
        case _, "wait" | "retry":
            step.status = "waiting"
            if isinstance(end, StepError):
                step.detail = f"waiting for retry: {end.message}"
            elif isinstance(end, Wait) and not end.detail.startswith("waiting for "):
                step.detail = f"waiting for {end.reason}: {end.detail}"
        case Wait(), _:
            step.status, step.ended_at = "cancelled", now
        case StepError(), "cancel":
            step.status, step.ended_at = "cancelled", now
        case _:
            step.status, step.ended_at = "failed", now


def _wait(lane: Lane, end: Outcome | StepError, now: float) -> None:
    lane.status = "waiting"
    lane.waiting_since = now
    if isinstance(end, Wait):
        lane.waiting_for = end.reason
        lane.wait_until = None if end.seconds is None else now + end.seconds
        text = end.detail
    else:
        delay = RETRY_AFTER[min(lane.retries, len(RETRY_AFTER) - 1)]
        lane.waiting_for, lane.wait_until = "retry", now + delay
        text = str(end)
        lane.retries += 0 if isinstance(end, Busy) else 1
    if lane.direction != BACK:  # there the lane says why it goes back, and the step this
        lane.detail = text


def _put_in_order(session: Session, run: Run, hosts: Sequence[str]) -> None:
    """Let lanes that have not begun change places, so that they come in this order."""
    lanes = session.exec(
        select(Lane)
        .where(Lane.run_id == run.id, col(Lane.gate).is_(False), col(Lane.host).in_(hosts))
        .order_by(col(Lane.position))
    ).all()
    if any(lane.status != "pending" or lane.changed for lane in lanes):
        return
    places = [lane.position for lane in lanes]
    for lane, place in zip(sorted(lanes, key=lambda x: hosts.index(x.host)), places, strict=True):
        lane.position = place
        session.add(lane)


def _go_on(session: Session, leases: Leases, run: Run, lane: Lane, now: float) -> Next:
    lane.retries = 0
    session.flush()
    following = session.exec(
        select(Step.id)
        .where(Step.lane_id == lane.id, Step.direction == lane.direction, Step.status == "pending")
        .order_by(col(Step.position))
        .limit(1)
    ).first()
    if following is not None:
        lane.current_step_id = following
        lane.published_at, lane.publishes = now, 1
        return Next(chain_goes_on=True)
    lane.current_step_id, lane.ended_at = None, now
    if lane.direction == BACK:
        lane.status = "rolled_back"
        session.exec(
            update(Step)
            .where(
                col(Step.lane_id) == lane.id,
                col(Step.direction) == FORWARD,
                col(Step.status) == "succeeded",
            )
            .values(status="rolled_back")
        )
    else:
        lane.status, lane.outcome, lane.detail = "succeeded", None, None
    return _ended(session, leases, run, lane, give_back=True)


def _end_badly(
    session: Session,
    leases: Leases,
    run: Run,
    lane: Lane,
    step: Step,
    end: Outcome | StepError,
    after: After,
    now: float,
) -> Next:
    session.exec(
        update(Step)
        .where(
            col(Step.lane_id) == lane.id,
            col(Step.direction) == lane.direction,
            col(Step.status) == "pending",
        )
        .values(status="cancelled")
    )
    lane.ended_at = now
    if after == "cancel":
        lane.status, lane.detail = "cancelled", f"aborted at {step.name}"
        return _ended(session, leases, run, lane, give_back=True)
    before = f"{lane.detail}; on the way back, " if lane.direction == BACK and lane.detail else ""
    lane.status = "failed"
    lane.detail = f"{before}{step.name}: {end if isinstance(end, StepError) else end.detail}"
    if lane.direction == FORWARD or lane.outcome is None:
        lane.outcome = end.outcome if isinstance(end, StepError) else "failed"
    # A lane that broke half-way keeps its leases: nobody may take out the other half.
    return _ended(session, leases, run, lane, give_back=not lane.changed)


def _ended(session: Session, leases: Leases, run: Run, lane: Lane, *, give_back: bool) -> Next:
    lane.waiting_for = lane.wait_until = None
    run.needs_advance = True
    names = leases.release(session, lane) if give_back else []
    session.add_all((lane, run))
    return Next(advance=True, forget=tuple(names))


def way_back(session: Session, lane: Lane) -> list[Step]:
    """The steps back that undo something which has begun, in their order."""
    if lane.direction == BACK:
        return []
    begun: set[str] = set()
    back: list[Step] = []
    for step in session.exec(
        select(Step).where(Step.lane_id == lane.id).order_by(col(Step.position))
    ):
        if step.direction == FORWARD and step.attempts > 0:
            begun.add(step.name)
        elif step.direction == BACK and begun.intersection(step.undoes):
            back.append(step)
    return back


def turn_back(session: Session, lane: Lane, back: list[Step], now: float) -> None:
    """Let a lane go back at once, from where it is."""
    prepare_back(session, lane, back)
    lane.status = "running"
    lane.published_at, lane.publishes = now, 1


def prepare_back(session: Session, lane: Lane, back: list[Step]) -> None:
    """Make the steps of the way back the ones to be done next."""
    for step in back:
        step.status, step.memory, step.detail = "pending", {}, None
        step.started_at = step.ended_at = None
    session.add_all(back)
    session.exec(
        update(Step)
        .where(
            col(Step.lane_id) == lane.id,
            col(Step.direction) == FORWARD,
            col(Step.status).in_(("pending", "waiting")),
        )
        .values(status="cancelled")
    )
    lane.direction, lane.retries = BACK, 0
    lane.waiting_for = lane.wait_until = None
    lane.current_step_id = row_id(back[0].id)
    session.add(lane)
