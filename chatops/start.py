"""Start a job: the same order for every way in. Whatever is wrong is said before anything is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from sqlmodel import Session

from chatops.access import Access, access_file
from chatops.authorise import Principal, Role, allow, scope_of
from chatops.services import check_redis
from chatops.times import When
from worker.app import engine
from worker.audit import record
from worker.begin import begins
from worker.engine import Engine
from worker.errors import Forbidden, Frozen, ServiceError, UsageError
from worker.plan import Plan
from worker.store import Store
from worker.windows import words
from workflows.fleet import load_fleet
from workflows.jobs import plan_job
from workflows.options import Options

NOW = When()

Also = Callable[[Session, int], None]  # given the run's number


def make_plan(
    fleet_file: Path, job: str, target: str, hosts: Sequence[str], options: Options
) -> Plan:
    """Load the fleet and plan a job; nothing is contacted.

    Raises:
        UsageError: the fleet file or what was asked for is wrong.
        Refused: the job can never be done like that.
    """
    return plan_job(load_fleet(fleet_file), job, target, hosts, options)


def ready_engine() -> Engine:
    """Return the engine, if Redis and the database answer.

    Raises:
        ServiceError: one of them does not.
    """
    check_redis()
    return engine()


def start(
    ready: Engine,
    plan: Plan,
    *,
    requested_by: str | Principal,
    reason: str | None,
    warn: Callable[[str], None],
    when: When = NOW,
    override_freeze: bool = False,
    access: Access | None = None,
    also: Also = lambda _session, _run_id: None,
) -> int:
    """Write the run and start its first lanes, or let it wait for the approval that it takes.

    `requested_by`: who asks; a name is looked up in the access file. `when`: not before, in which
    case the steward starts it. `override_freeze`: although its scope is frozen; that takes a
    reason. `also` writes more in the same transaction, given the run's number. Returns that number.

    Raises:
        Forbidden: the asker may not.
        Frozen: a freeze holds when it is to start.
        UsageError: an override without a reason, or `window` where there is none.
        ServiceError: the database does not answer; nothing was started.
    """
    rules = access or access_file().current()
    asker = rules.principal(requested_by) if isinstance(requested_by, str) else requested_by
    scope = scope_of(plan.job, plan.target)
    check(ready.store, asker, "start", scope, what=f"{plan.job} {plan.target}")
    what = f"{plan.job} {plan.target}"
    if override_freeze:
        check_override(ready.store, asker, scope, reason, what=what)
    if when.needs_window and not plan.policy.windows:
        raise UsageError(f"--at window: {what} has no windows in the fleet file (policy.windows)")
    if not when.windows:
        also = _leave_windows(ready.store, asker, plan, also)
        policy = plan.policy.model_copy(update={"windows": []})
        plan = plan.model_copy(update={"policy": policy})
    begins_at = begins(plan.policy, when.at, ready.store.now())
    try:
        run_id = ready.create_run(
            plan,
            requested_by=asker.name,
            reason=reason,
            scope=scope,
            asker=asker.who,
            approval=rules.approval_for(plan.job, scope, begins_at),
            start_at=when.at,
            override_freeze=override_freeze,
            also=also,
        )
    except Frozen as error:
        refused(ready.store, asker, "start", what, None, str(error))
        raise
    try:
        ready.advance(run_id)
    except ServiceError as error:  # it is written: the steward of any worker goes on with it
        warn(f"run {run_id} is written and starts as soon as it can: {error}")
    return run_id


def _leave_windows(store: Store, asker: Principal, plan: Plan, also: Also) -> Also:
    """Keep in the audit that a job is started although its windows are closed."""

    def noted(session: Session, run_id: int) -> None:
        also(session, run_id)
        now = store.now()
        if begins(plan.policy, None, now) > now:
            said = f"outside of {words(plan.policy.windows)}"
            record(session, now, asker.name, plan.job, plan.target, run_id, "at now", said)

    return noted


def check(
    store: Store,
    principal: Principal,
    action: str,
    scope: str | None = None,
    *,
    what: str,
    run_id: int | None = None,
    role: Role | None = None,
) -> None:
    """Refuse what a principal may not do, and keep the refusal in the audit.

    What is granted is recorded with what it leads to, in one transaction.

    Raises:
        Forbidden: it may not; the message names what is missing.
    """
    decision = allow(principal, action, scope, role=role)
    if not decision.allowed:
        refused(store, principal, action, what, run_id, decision.why)
        raise Forbidden(decision.why)


def check_override(
    store: Store,
    principal: Principal,
    scope: str,
    reason: str | None,
    *,
    what: str,
    run_id: int | None = None,
) -> None:
    """See that somebody may override a freeze, and says why.

    Raises:
        Forbidden: they may not.
        UsageError: they do not say why.
    """
    check(store, principal, "override freeze", scope, what=what, run_id=run_id)
    if not (reason or "").strip():
        raise UsageError("--override-freeze takes --reason TEXT: it is kept in the audit")


def refused(
    store: Store, principal: Principal, action: str, what: str, run_id: int | None, why: str
) -> None:
    """Keep a refusal in the audit."""
    with store.write() as session:
        record(session, store.now(), principal.name, action, what, run_id, "refused", why)
