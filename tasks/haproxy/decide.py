"""What follows from what was observed: no I/O in here."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tasks.haproxy.facts import Backend, Server, State


def suggest(name: str, known: Iterable[str]) -> str:
    """Word what may have been meant: ` (there are: web1, web2)`, the nearest names first."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    if near:
        return f"; did you mean {' or '.join(near)}?"
    few = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")  # noqa: PLR2004
    return f" (there are: {few})" if names else " (it has none)"


def _counts(server: Server, count_backup: bool) -> bool:
    return count_backup or not server.backup


def available(
    backend: Backend, leaving: Iterable[str], *, count_backup: bool, exactly_up: bool = True
) -> int:
    """Count the servers that carry traffic when `leaving` are out.

    Only full UP (or no check at all) counts, with admin state ready and a weight above 0; a
    backup server only if the policy says so, because it takes nothing while another is UP.
    With `exactly_up` False, one that missed a check (`UP 1/2`) counts too.
    """
    out = set(leaving)
    return sum(
        (server.up or (not exactly_up and server.status.startswith("UP ")))
        and server.name not in out
        and not server.admin.maint
        and not server.admin.drain
        and server.weight > 0
        and _counts(server, count_backup)
        for server in backend.servers.values()
    )


def needed(backend: Backend, min_available: str, *, count_backup: bool) -> int:
    """Turn `min_available` ("2", "25%") into a number; a share is of the servers that count."""
    if not min_available.endswith("%"):
        return int(min_available)
    size = sum(_counts(server, count_backup) for server in backend.servers.values())
    return math.ceil(size * int(min_available[:-1]) / 100)


def lacking(
    backend: Backend,
    leaving: Iterable[str],
    min_available: str,
    *,
    count_backup: bool,
    exactly_up: bool = True,
) -> str | None:
    """Say what is missing if `leaving` went out of `backend` now; None if it can go."""
    want = needed(backend, min_available, count_backup=count_backup)
    have = available(backend, leaving, count_backup=count_backup, exactly_up=exactly_up)
    if have >= want:
        return None
    others = ", ".join(
        f"{server.name} {server.status}" + (" (backup)" if server.backup else "")
        for server in backend.servers.values()
        if server.name not in set(leaving)
    )
    return (
        f"backend {backend.name}: expected at least {want} other servers UP, "
        f"found {have} ({others or 'there is no other server'})"
    )


def out_already(server: Server) -> str | None:
    """Say how somebody has taken a server out; None if nobody has."""
    if server.admin.maint:
        return "in maintenance"
    return "draining" if server.admin.drain else None


@dataclass(frozen=True)
class Stood:
    """How a server stood at one place before anybody of this run touched it.

    `state` is what HAProxy had last been told (ready, drain, maint), `weight` is absolute, `up`
    whether it carried traffic.
    """

    state: State
    weight: int
    up: bool

    @classmethod
    def of(cls, server: Server) -> Stood:
        """Take it from what was observed."""
        return cls(server.admin.forced, server.weight, server.up)

    @classmethod
    def load(cls, facts: Mapping[str, Any]) -> Stood:
        """Take it from a step's memory."""
        return cls(facts["state"], facts["weight"], facts["up"])

    def dump(self) -> dict[str, Any]:
        """Make it JSON for a step's memory."""
        return {"state": self.state, "weight": self.weight, "up": self.up}


def weight_steps(weight: int, percents: Iterable[int]) -> list[int]:
    """Turn percents of a weight into absolute weights; a weight above 0 never becomes 0."""
    return [max(1, weight * percent // 100) if weight > 0 else 0 for percent in percents]


@dataclass(frozen=True)
class Marks:
    """Counters at the start of a stable window: a change between two looks shows in them."""

    chkdown: int
    chkfail: int

    @classmethod
    def of(cls, server: Server) -> Marks:
        """Read them."""
        return cls(server.stat.number("chkdown"), server.stat.number("chkfail"))


Standing = Literal["up", "rising", "fell"]


def standing(server: Server, marks: Marks | None) -> Standing:
    """Judge a server that should be UP; `marks` are those of the window, None before the first.

    up: in full service, and has been since the marks. rising: not there (yet), or a single check
    failed: the window starts anew. fell: it was UP and was taken down again, by its checks or by
    somebody.
    """
    if marks is None:
        return "up" if server.up else "rising"
    now = Marks.of(server)
    if now.chkdown > marks.chkdown or not server.status.startswith(("UP", "no check")):
        return "fell"
    # Smaller counters are those of a new process: HAProxy was reloaded.
    return "up" if server.up and now == marks else "rising"
