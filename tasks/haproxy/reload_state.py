"""Which states of servers were set at run time, and how they outlive a new process. No I/O here.

HAProxy's own rules for a state file are followed (src/server_state.c): where the configuration has
changed, the configuration wins; else what was set at run time stays. With one exception: a server
whose weight was set to 0 carries nothing, and goes on carrying nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.haproxy.client import set_server_state, set_weight
from tasks.haproxy.facts import ServerState, SrvAdminState, State
from tasks.haproxy.parsers import parse_servers_state

_HEADER = (
    "be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight "
    "srv_time_since_last_change srv_check_status srv_check_result srv_check_health "
    "srv_check_state srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord "
    "srv_use_ssl srv_check_port srv_check_addr srv_agent_addr srv_agent_port"
)
_MOST_PORT = 65535


@dataclass(frozen=True)
class Kept:
    """A server that is not as its configuration says. `state` None: only its weight differs."""

    backend: str
    server: str
    state: State | None
    weight: int
    initial: int

    @classmethod
    def load(cls, row: Sequence[Any]) -> Kept:
        """Take it from a step's memory."""
        backend, server, state, weight, initial = row
        return cls(backend, server, state, weight, initial)

    def dump(self) -> list[Any]:
        """Make it JSON for a step's memory."""
        return [self.backend, self.server, self.state, self.weight, self.initial]

    @property
    def key(self) -> tuple[str, str]:
        """Backend and server."""
        return self.backend, self.server

    @property
    def out(self) -> bool:
        """Whether it must take no new traffic."""
        return self.state in ("drain", "maint") or self.weight == 0 < self.initial

    def __str__(self) -> str:
        words: list[str] = [self.state] if self.state is not None else []
        if self.weight != self.initial:
            words.append(f"weight {self.weight}")
        return f"{self.backend}/{self.server} ({', '.join(words)})"


def set_at_run_time(admin: SrvAdminState) -> State | None:
    """Say to which state a server was set at run time; None where it stands as configured."""
    if admin & SrvAdminState.FDRAIN:
        return "drain"
    configured = bool(admin & SrvAdminState.CMAINT)
    forced = bool(admin & SrvAdminState.FMAINT)
    if forced == configured:
        return None
    return "maint" if forced else "ready"


def kept_of(states: Iterable[ServerState]) -> list[Kept]:
    """List the servers that are not as configured."""
    kept = [
        Kept(s.backend, s.server, set_at_run_time(s.admin), s.uweight, s.iweight) for s in states
    ]
    return [one for one in kept if one.state is not None or one.weight != one.initial]


def fingerprint(states: Iterable[ServerState]) -> str:
    """Return what `reload.sh` makes of `show servers state`: a change in between shows in it."""
    rows = [f"{s.backend} {s.server} {int(s.admin)} {s.uweight}\n" for s in states]
    return hashlib.sha256("".join(rows).encode()).hexdigest()


def state_file(dump: str, kept: Iterable[Kept], ports: Mapping[tuple[str, str], int]) -> str:
    """Write a server-state-file with the servers that are not as configured, and nothing else.

    Whatever HAProxy would take from it in place of the (new) configuration is left out: addresses,
    names, ports of checks; and what it would take in any case, the port, is the configuration's.
    A weight of 0 becomes a drain: it holds whatever the configured weight is now.
    """
    wanted = {one.key: one for one in kept}
    lines = ["1", f"# {_HEADER}"]
    header: list[str] = []
    for line in dump.splitlines():
        if line.startswith("#"):
            header = line.lstrip("# ").split()
            continue
        row = dict(zip(header, line.split(" "), strict=False))
        one = wanted.get((row.get("be_name", ""), row.get("srv_name", "")))
        if one is None:
            continue
        row |= dict.fromkeys(
            ("srv_addr", "srv_fqdn", "srvrecord", "srv_check_addr", "srv_agent_addr"), "-"
        )
        # 1 is no order to begin with TLS: where it is not configured, it is ignored.
        row |= {"srv_use_ssl": "1", "srv_check_port": "0", "srv_agent_port": "0"}
        row["srv_port"] = str(ports[one.key])
        if one.state != "maint" and one.weight == 0 < one.initial:
            admin = SrvAdminState(int(row["srv_admin_state"]))
            row["srv_admin_state"] = str(int(admin | SrvAdminState.FDRAIN))
        lines.append(" ".join(row.get(column, "0") for column in _HEADER.split()))
    return "\n".join(lines) + "\n"


def port_of(one: Kept, states: Iterable[ServerState], configured: int | None) -> int | None:
    """Choose the port to write; None where there is none that HAProxy would read.

    `configured`: as the configuration's text says, None where that cannot be told: then it is the
    one that it has.
    """
    if configured is not None:
        return configured
    now = next((s.port for s in states if (s.backend, s.server) == one.key), 0)
    return now if now <= _MOST_PORT else None


def assertions(kept: Iterable[Kept]) -> list[str]:
    """Build the commands that make a new process hold what must not serve, whatever else."""
    commands: list[str] = []
    for one in kept:
        if one.weight == 0 < one.initial:
            commands.append(set_weight(one.backend, one.server, 0))
        if one.state is not None:
            commands.append(set_server_state(one.backend, one.server, one.state))
        elif one.weight == 0 < one.initial:  # it was carried as a drain
            commands.append(set_server_state(one.backend, one.server, "ready"))
    return commands


@dataclass(frozen=True)
class Difference:
    """What is not as it was, the command that mends it, and how it reads."""

    kept: Kept
    command: str
    text: str


def differences(kept: Iterable[Kept], states: Iterable[ServerState]) -> list[Difference]:
    """Compare servers with what was saved, by HAProxy's own rules for changed configurations."""
    now = {(s.backend, s.server): s for s in states}
    return [
        difference for one in kept if one.key in now for difference in _differs(one, now[one.key])
    ]


def _differs(one: Kept, server: ServerState) -> list[Difference]:
    found: list[Difference] = []
    wanted = one.state
    if wanted == "ready" and not server.admin & SrvAdminState.CMAINT:
        wanted = None  # no longer `disabled` in the configuration: it is ready anyway
    forced = server.admin.forced
    if wanted is not None and forced != wanted:
        command = set_server_state(*one.key, wanted)
        found.append(Difference(one, command, f"{'/'.join(one.key)} is {forced}, not {wanted}"))
    if one.state is None and set_at_run_time(server.admin) == "drain":
        command = set_server_state(*one.key, "ready")
        found.append(Difference(one, command, f"{'/'.join(one.key)} is drain, not ready"))
    same = server.iweight == one.initial or one.weight == 0
    if one.weight != one.initial and same and server.uweight != one.weight:
        command = set_weight(*one.key, one.weight)
        text = f"{'/'.join(one.key)} has weight {server.uweight}, not {one.weight}"
        found.append(Difference(one, command, text))
    return found


def gone(kept: Iterable[Kept], states: Iterable[ServerState]) -> list[Kept]:
    """List the servers that there are no more."""
    now = {(s.backend, s.server) for s in states}
    return [one for one in kept if one.key not in now]


def read_states(dump: str) -> list[ServerState]:
    """Read a dump of all servers, without the proxies that HAProxy makes for itself."""
    return [
        state
        for state in parse_servers_state(dump.strip("\n") + "\n")
        if not state.backend.startswith("<")
    ]
