"""The desk: what can be asked for, whoever asks and by whichever way. HTTP and chat come here.

    desk = Desk(engine, access_file(), fleet_file)
    desk.ask(principal, Order("roll", "web", options=…))
    desk.steer(principal, "retry", 12, ["web1"])

Every method decides whether the principal may, records a refusal, and raises what went wrong.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlmodel import Session

from chatops import idempotency
from chatops.access import AccessFile
from chatops.authorise import Principal, Role, covers, parse_role, scope_of
from chatops.orders import NO_OVERRIDE, OVERRIDING, STEERING, Asked, Order, Override
from chatops.preview import preview
from chatops.start import check, check_override, refused, start
from chatops.times import parse_when
from worker import control
from worker.engine import Engine
from worker.errors import Forbidden, Frozen, ServiceError, UsageError
from worker.models import Lease, Run
from worker.plan import Plan
from workflows.fleet import load_fleet
from workflows.jobs import plan_job
from workflows.model import Fleet

log = logging.getLogger(__name__)

_PREVIEWS = 4  # at once: each looks at many hosts
_PATIENCE = 10.0  # seconds


class NotFound(UsageError):
    """There is no such run, or the principal may not know of it: the two look alike."""


class KeyReused(UsageError):
    """An Idempotency-Key came again with another request."""


class Desk:
    """One process's desk. Thread-safe."""

    def __init__(self, engine: Engine, access: AccessFile, fleet_file: Path) -> None:
        self.engine = engine
        self.access = access
        self.store = engine.store
        self._fleet_file = fleet_file
        self._previews = BoundedSemaphore(_PREVIEWS)

    def fleet(self) -> Fleet:
        """Read the fleet file.

        Raises:
            ServiceError: it is not valid; that is not the asker's fault.
        """
        try:
            return load_fleet(self._fleet_file)
        except UsageError as error:
            log.warning("the fleet file is not valid: %s", error)
            raise ServiceError(
                "the fleet file cannot be used; `winch fleet check` says what is wrong with it"
            ) from None

    def ask(
        self, principal: Principal, order: Order, *, key: idempotency.Key | None = None
    ) -> Asked:
        """Start a job, or let it wait for the approval that it takes.

        `key`: the same one again gives the same run, also when two come at once.

        Raises:
            Forbidden: the principal may not.
            UsageError: what was asked for cannot be meant.
            Refused: the job can never be done like that.
            Frozen: a freeze holds when it is to start.
            KeyReused: the key came with another order before.
            ServiceError: the database does not answer; nothing was started.
        """
        self._check_start(principal, order)
        before = None if key is None else idempotency.find(self.store, key)
        if before is not None:
            return _replayed(before, key)
        when = parse_when(order.at, self.store.now())
        plan = self._plan(order)

        def keep(session: Session, run_id: int) -> None:
            if key is not None:
                idempotency.keep(session, key, run_id, self.store.now())

        try:
            run_id = start(
                self.engine,
                plan,
                requested_by=principal,
                reason=order.reason,
                warn=log.warning,
                when=when,
                override_freeze=order.override_freeze,
                access=self.access.current(),
                also=keep,
            )
        except IntegrityError:  # the same key at the same instant: the other one was faster
            before = None if key is None else idempotency.find(self.store, key)
            if before is None:
                raise
            return _replayed(before, key)
        return Asked(run_id)

    def preview(self, principal: Principal, order: Order) -> dict[str, Any]:
        """Say what a job would do now, as `winch plan --json` does. Changes nothing.

        Raises:
            Forbidden: the principal may not start it.
            UsageError: what was asked for cannot be meant.
            Refused: the job can never be done like that.
            ServiceError: too many ask at once.
        """
        self._check_start(principal, order)
        parse_when(order.at, self.store.now())
        plan = self._plan(order)
        if not self._previews.acquire(timeout=_PATIENCE):
            raise ServiceError("too many plans are being made; try again")
        try:
            return preview(plan)
        finally:
            self._previews.release()

    def _check_start(self, principal: Principal, order: Order) -> None:
        """First of all, so that a principal learns nothing of what is not its own."""
        what = f"{order.job} {order.target}"
        scope = scope_of(order.job, order.target)
        if principal.scopes and not scope:
            check(self.store, principal, "start", "", what=what)
        check(self.store, principal, "start", scope or None, what=what)

    def _plan(self, order: Order) -> Plan:
        return plan_job(self.fleet(), order.job, order.target, order.hosts, order.options)

    def run(self, principal: Principal, run_id: int, action: str = "look") -> Run:
        """Return a run that the principal may know of, and do `action` to.

        Raises:
            NotFound: there is none.
            Forbidden: it may be looked at, but no more.
        """
        with self.store.read() as session:
            run = session.get(Run, run_id)
        what = f"run {run_id}"
        if run is None or not covers(principal.scopes, run.scope):
            if run is not None:
                try:
                    check(self.store, principal, action, run.scope, what=what, run_id=run_id)
                except Forbidden as error:
                    log.info("%s", error)
            raise NotFound(f"run {run_id}: there is no such run; `winch runs` lists them")
        wanted = parse_role(run.approval_role or "operator") if action == "approve" else None
        role: Role | None = wanted if run.needs_approval else None
        check(self.store, principal, action, run.scope, what=what, run_id=run_id, role=role)
        return run

    def steer(
        self,
        principal: Principal,
        action: str,
        run_id: int,
        hosts: Sequence[str] = (),
        *,
        override: Override = NO_OVERRIDE,
    ) -> list[str]:
        """Retry, skip, pause, resume, approve, abort or roll back. Returns the hosts it is about.

        Raises:
            NotFound: there is no such run.
            Forbidden: the principal may not.
            NotNow: the run is not in that state; somebody else may have been faster.
            Frozen: a freeze keeps hosts from starting, and it is not overridden.
            UsageError: a host is not in the run, or an override without a reason.
        """
        run = self.run(principal, run_id, action)
        what = f"run {run_id}"
        if override.freeze:
            if action not in OVERRIDING:
                raise UsageError(f"{action} {what}: no freeze keeps anybody from it")
            why = override.reason
            check_override(self.store, principal, run.scope, why, what=what, run_id=run_id)
        try:
            return self._steer(principal, action, run_id, hosts, override.why)
        except Frozen as error:
            refused(self.store, principal, action, what, run_id, str(error))
            raise

    def _steer(
        self,
        principal: Principal,
        action: str,
        run_id: int,
        hosts: Sequence[str],
        override: str | None,
    ) -> list[str]:
        name = principal.name
        match action:
            case "retry":
                return control.retry(self.engine, run_id, hosts, name, override=override)
            case "rollback":
                return control.rollback(self.engine, run_id, name)
            case "approve":
                return self._approve(principal, run_id, override)
            case "skip":
                if len(hosts) != 1:
                    raise UsageError(f"skip run {run_id}: name one host")
                control.skip(self.engine, run_id, hosts[0], name, override=override)
                return list(hosts)
            case "pause":
                control.pause(self.engine, run_id, name)
            case "resume":
                control.resume(self.engine, run_id, name, override=override)
            case "abort":
                control.abort(self.engine, run_id, name)
            case _:
                raise UsageError(f"there is no {action}; there is {', '.join(STEERING)}")
        return []

    def _approve(self, principal: Principal, run_id: int, override: str | None) -> list[str]:
        name, person = principal.name, principal.who
        try:
            return control.approve(self.engine, run_id, name, person=person, override=override)
        except Forbidden as error:
            refused(self.store, principal, "approve", f"run {run_id}", run_id, str(error))
            raise

    def break_lease(self, principal: Principal, name: str, reason: str) -> int | None:
        """Take a lease away from the run that holds it. Returns that run.

        Raises:
            NotFound: nobody holds such a lease.
            Forbidden: the principal may not.
        """
        check(self.store, principal, "break lease", what=name)
        with self.store.read() as session:
            lease = session.get(Lease, name)
            holder = None if lease is None or lease.run_id is None else lease.run_id
            run = None if holder is None else session.get(Run, holder)
        if run is None or not covers(principal.scopes, run.scope):
            raise NotFound(f"lease {name} is not held by anybody")
        return control.break_lease(self.engine, name, reason, principal.name)


def _replayed(before: idempotency.Before, key: idempotency.Key | None) -> Asked:
    if key is not None and before.body_hash != key.body_hash:
        raise KeyReused(
            f"this Idempotency-Key has started run {before.run_id} with another request; a new "
            "request takes a new key"
        )
    return Asked(before.run_id, replayed=True)
