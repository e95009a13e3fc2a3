"""Who may do what: one pure function for the command line, HTTP and chat.

A principal has a role and scopes. A scope is `pool:web` or `pair:*`; none at all means everything.
What a job is about has a scope, too: `scope_of("roll", "web")` is `pool:web`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from worker.errors import UsageError
from worker.scopes import parts, within
from workflows.jobs import JOBS
from workflows.problems import nearest
from workflows.values import shown

Role = Literal["viewer", "operator", "admin"]
ROLES: tuple[Role, ...] = ("viewer", "operator", "admin")  # each may do what those before it may

KINDS = {"pools": "pool", "pairs": "pair", "nginx": "nginx", "balancers": "balancer"}

# What can be done, and the role it takes.
ACTIONS: dict[str, Role] = {
    "look": "viewer",
    "metrics": "viewer",
    "start": "operator",
    "retry": "operator",
    "skip": "operator",
    "pause": "operator",
    "resume": "operator",
    "approve": "operator",
    "abort": "operator",
    "rollback": "operator",
    "freeze": "operator",
    "unfreeze": "operator",  # one's own; those of others: admin
    "override freeze": "admin",
    "break lease": "admin",
    "audit": "admin",
}

# Actions that are about everything at once: a principal with scopes may not do them.
_UNSCOPED = frozenset({"metrics", "audit"})

_SCOPE = re.compile(r"(pool|pair|nginx|balancer):(\*|[A-Za-z0-9_][A-Za-z0-9_.-]{0,62})", re.ASCII)


@dataclass(frozen=True)
class Principal:
    """Somebody who asks: `http:NAME` (a token), `cli:USER`, `slack:U02ABC`, …

    `role` None: may do nothing. `person`: who that is, when one person has several names.
    """

    name: str
    role: Role | None
    scopes: tuple[str, ...] = ()
    person: str = ""

    @property
    def who(self) -> str:
        """The person behind the name, or else the name."""
        return self.person or self.name


@dataclass(frozen=True)
class Decision:
    """Whether something may be done, and if not, why: one line that names what is missing."""

    allowed: bool
    why: str = ""


def allow(
    principal: Principal, action: str, scope: str | None = None, *, role: Role | None = None
) -> Decision:
    """Decide whether a principal may do something.

    `scope`: what it is about; None asks only whether the role suffices. `role`: what it takes, if
    that is more than usual (the approver that a policy wants).
    """
    needed = max(ACTIONS[action], role or "viewer", key=ROLES.index)
    if principal.role is None:
        return Decision(
            False, f"{principal.name} has no role here: it takes {needed} for `{action}`"
        )
    if ROLES.index(principal.role) < ROLES.index(needed):
        return Decision(
            False, f"{principal.name} is {principal.role}: it takes {needed} for `{action}`"
        )
    if action in _UNSCOPED and principal.scopes:
        return Decision(
            False,
            f"{principal.name} is bound to {_list(principal.scopes)}: `{action}` is about "
            "everything and takes a role without scopes",
        )
    if scope is not None and not covers(principal.scopes, scope):
        about = scope or "this"
        return Decision(
            False,
            f"{principal.name} is bound to {_list(principal.scopes)}: {about} is not within it",
        )
    return Decision(True)


def covers(scopes: Sequence[str], scope: str) -> bool:
    """Whether scopes include all that `scope` is about. No scopes include everything.

    `scope` may name several: `balancer:lb1,lb2`. Nothing but "everything" includes an unknown one.
    """
    if not scopes:
        return True
    wanted = parts(scope)
    return bool(wanted) and all(within(scopes, part) for part in wanted)


def touches(scopes: Sequence[str], scope: str) -> bool:
    """Whether scopes include anything that `scope` is about. No scopes include everything."""
    return not scopes or any(within(scopes, part) for part in parts(scope))


def scope_of(job: str, target: str) -> str:
    """Say what a job is about: `pool:web`; empty for a job that is not known."""
    known = JOBS.get(job)
    kind = None if known is None else KINDS.get(known.target)
    return "" if kind is None else f"{kind}:{target}"


def check_scope(text: str) -> str:
    """Accept a scope.

    Raises:
        ValueError: it is none.
    """
    if _SCOPE.fullmatch(text) is None:
        raise ValueError(
            f"{shown(text)} is no scope: pool:NAME, pair:NAME, nginx:NAME, balancer:NAME, or * "
            "for the name"
        )
    return text


def parse_scopes(texts: Iterable[str]) -> tuple[str, ...]:
    """Read `pool:web,pair:*`.

    Raises:
        UsageError: one is no scope.
    """
    found = [part.strip() for text in texts for part in text.split(",")]
    try:
        return tuple(dict.fromkeys(check_scope(part) for part in found if part))
    except ValueError as error:
        raise UsageError(f"--scope: {error}") from None


def parse_role(text: str) -> Role:
    """Read a role.

    Raises:
        UsageError: there is no such role.
    """
    for role in ROLES:
        if role == text:
            return role
    raise UsageError(f"there is no role {shown(text)}{nearest(text, ROLES)}")


def _list(scopes: Sequence[str]) -> str:
    return ", ".join(scopes)
