"""Freeze and unfreeze: the same for the command line, HTTP and chat.

Whoever may start a job may see to it that none starts. Who has frozen may unfreeze; to lift what
another person has frozen takes an admin, and so does an override.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from chatops.authorise import KINDS, Principal, Role, check_scope, touches
from chatops.start import check
from chatops.times import parse_time
from worker.control import NotNow
from worker.errors import UsageError, WinchError
from worker.freezes import freeze, freeze_document, in_force, unfreeze
from worker.models import Freeze, Run
from worker.report import iso, moment
from worker.scopes import EVERYTHING
from worker.store import Store
from workflows.model import Fleet
from workflows.problems import nearest
from workflows.values import has_control, shown


@dataclass(frozen=True)
class Frost:
    """A freeze that was made, and the runs that are to start while it lasts."""

    id: int
    scope: str
    until: float
    caught: list[Run] = field(default_factory=list)

    @property
    def text(self) -> str:
        """Say it in a line."""
        return f"{_about(self.scope)} is frozen until {moment(self.until)}"

    @property
    def caught_text(self) -> str | None:
        """Say which runs will be refused; None: none."""
        if not self.caught:
            return None
        runs = ", ".join(f"{run.id} ({run.job} {run.target})" for run in self.caught[:12])
        more = "" if len(self.caught) <= 12 else f" and {len(self.caught) - 12} more"  # noqa: PLR2004
        return f"refused when they are to start, unless it is lifted before: run {runs}{more}"

    def document(self) -> dict[str, Any]:
        """Write it as a document."""
        runs = [run.id for run in self.caught]
        return {"id": self.id, "scope": self.scope, "until": iso(self.until), "runs": runs}


def freeze_scope(
    store: Store,
    principal: Principal,
    scope: str | None,
    until: str | None,
    reason: str | None,
    *,
    fleet: Callable[[], Fleet],
) -> Frost:
    """Let no job start in a scope (None: at all) until a time.

    Raises:
        Forbidden: the principal may not.
        UsageError: the scope is none or names nothing, the time is none, or there is no reason.
    """
    wanted = read_scope(scope)
    check(store, principal, "freeze", wanted, what=f"freeze {wanted}")
    if until is None or reason is None or not reason.strip():
        raise UsageError("freeze takes --until TIME and --reason TEXT: who is stopped is told both")
    if has_control(reason):
        raise UsageError("--reason: control characters are not allowed")
    end = parse_time("--until", until, store.now())
    _check_there(wanted, fleet)
    number, caught = freeze(
        store, wanted, end, reason.strip(), principal.name, person=principal.who
    )
    return Frost(number, wanted, end, caught)


def unfreeze_scope(store: Store, principal: Principal, scope: str | None) -> list[Freeze]:
    """Lift the freezes of exactly that scope (None: those of everything). Returns them.

    Raises:
        NotNow: it is not frozen; somebody else may have been faster.
        Forbidden: the principal may not; it takes an admin to lift what another one has frozen.
        UsageError: the scope is none.
    """
    wanted = read_scope(scope)
    with store.read() as session:
        rows = in_force(session, store.now())
    found = [row for row in rows if row.scope == wanted]
    others = any(row.person != principal.who for row in found)
    role: Role | None = "admin" if others else None
    check(store, principal, "unfreeze", wanted, what=f"unfreeze {wanted}", role=role)
    ids = [row.id for row in found if row.id is not None]
    lifted = unfreeze(store, wanted, principal.name, ids) if ids else []
    if not lifted:
        seen = [row.scope for row in rows if _may_know(principal, row)]
        known = f"; frozen: {', '.join(dict.fromkeys(seen))}" if seen else ""
        raise NotNow(f"{_about(wanted)} is not frozen as such{known}; `winch freezes` lists them")
    return lifted


def freezes_for(store: Store, principal: Principal) -> list[dict[str, Any]]:
    """List the freezes that hold now and that somebody may know of."""
    with store.read() as session:
        rows = in_force(session, store.now())
    return [freeze_document(row) for row in rows if _may_know(principal, row)]


def read_scope(text: str | None) -> str:
    """Read the scope of a freeze; none is everything.

    Raises:
        UsageError: it is none.
    """
    if text is None or text.strip() in ("", EVERYTHING):
        return EVERYTHING
    try:
        return check_scope(text.strip())
    except ValueError as error:
        raise UsageError(f"SCOPE: {error}, or * alone for everything") from None


def _check_there(scope: str, fleet: Callable[[], Fleet]) -> None:
    """Refuse a scope that names nothing: a slip would freeze nothing, and nobody would notice."""
    kind, _, name = scope.partition(":")
    if name in ("", EVERYTHING):
        return
    try:
        found = fleet()
    except WinchError:
        return  # to freeze must be possible all the same
    section = next(key for key, value in KINDS.items() if value == kind)
    names = getattr(found, section)
    if name not in names:
        raise UsageError(f"SCOPE: there is no {kind} {shown(name)}{nearest(name, names)}")


def _may_know(principal: Principal, row: Freeze) -> bool:
    kind, _, name = row.scope.partition(":")
    if row.scope == EVERYTHING or touches(principal.scopes, row.scope):
        return True
    return name == EVERYTHING and any(one.startswith(f"{kind}:") for one in principal.scopes)


def _about(scope: str) -> str:
    return "everything" if scope == EVERYTHING else scope
