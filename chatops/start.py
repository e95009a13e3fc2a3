"""Start a job: the same order for every way in. Whatever is wrong is said before anything is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from sqlmodel import Session

from chatops.access import Access, access_file
from chatops.authorise import Principal, Role, allow, scope_of
from chatops.services import check_redis
from worker.app import engine
from worker.audit import record
from worker.engine import Engine
from worker.errors import Forbidden, ServiceError
from worker.plan import Plan
from worker.store import Store
from workflows.fleet import load_fleet
from workflows.jobs import plan_job
from workflows.options import Options


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
    access: Access | None = None,
    also: Callable[[Session, int], None] = lambda _session, _run_id: None,
) -> int:
    """Write the run and start its first lanes, or let it wait for the approval that it takes.

    `requested_by`: who asks; a name is looked up in the access file. `also` writes more in the
    same transaction, given the run's number. Returns that number.

    Raises:
        Forbidden: the asker may not.
        ServiceError: the database does not answer; nothing was started.
    """
    rules = access or access_file().current()
    asker = rules.principal(requested_by) if isinstance(requested_by, str) else requested_by
    scope = scope_of(plan.job, plan.target)
    check(ready.store, asker, "start", scope, what=f"{plan.job} {plan.target}")
    run_id = ready.create_run(
        plan,
        requested_by=asker.name,
        reason=reason,
        scope=scope,
        asker=asker.who,
        approval=rules.approval_for(plan.job, scope, ready.store.now()),
        also=also,
    )
    try:
        ready.advance(run_id)
    except ServiceError as error:  # it is written: the steward of any worker goes on with it
        warn(f"run {run_id} is written and starts as soon as it can: {error}")
    return run_id


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
        with store.write() as session:
            record(
                session, store.now(), principal.name, action, what, run_id, "refused", decision.why
            )
        raise Forbidden(decision.why)
