"""A HAProxy in memory that answers the Runtime API as the real one does.

`cases.py` holds what both must say; `test_fake_haproxy.py` asks this one, and
`tests/integration/haproxy/test_cases.py` the real one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tasks.haproxy.params import Balancer
from tests.fakes import RecordingContext, RecordingHost
from worker.errors import CommandFailed
from worker.remote import Command, Result

SOCKET = "/run/haproxy/admin.sock"
_STATE_HEADER = (
    "# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight"
    " srv_port"
)
_STAT_COLUMNS = (
    "pxname,svname,qcur,scur,status,weight,bck,chkfail,chkdown,"
    "check_status,last_chk,check_fall,algo"
)


@dataclass
class FakeServer:
    """`health` is what the checks found; None: no check."""

    name: str
    health: str | None = "UP"
    weight: int = 100
    initial: int = 100
    admin: int = 0
    scur: int = 0
    backup: bool = False
    chkfail: int = 0
    chkdown: int = 0
    fall: int = 3

    @property
    def status(self) -> str:
        if self.admin & 1:
            return "MAINT"
        if self.health is not None and self.health.startswith("DOWN"):
            return self.health
        if self.admin & 8:
            return (self.health or "UP").replace("UP", "DRAIN")
        return self.health or "no check"


@dataclass
class FakeHaproxy:
    """One process; `level` is that of its socket."""

    servers: list[FakeServer]
    backend: str = "web_servers"
    algorithm: str = "roundrobin"
    level: str = "admin"
    alive: bool = True
    leaving: int = 0  # so many more orders are refused: the old worker answers during a reload
    heard: list[str] = field(default_factory=list)
    after: Callable[[str], None] = lambda _command: None

    def answer(self, command: Command) -> str | Result:
        """What comes back for one connection's commands."""
        if not self.alive:
            said = "socat E connect(5, AF=1): Connection refused"
            return Result(1, "", said, 0.0)
        return "".join(f"{self._reply(c)}\n" for c in (command.stdin or "").strip().split("; "))

    def __getitem__(self, name: str) -> FakeServer:
        return next(server for server in self.servers if server.name == name)

    def _reply(self, command: str) -> str:
        self.heard.append(command)
        reply = self._do(command)
        self.after(command)
        return f"{reply}\n" if reply else ""

    def _do(self, command: str) -> str:  # noqa: PLR0911
        match command.split():
            case ["show", "cli", "level"]:
                return self.level
            case ["show", "servers", "state", *which]:
                return self._state(which)
            case ["show", "stat", *_]:
                return self._stat()
            case ["set", "server", path, "state", state]:
                return self._act(path, lambda server: _set_state(server, state))
            case ["set", "server", path, "health", "down"]:
                return self._act(path, _set_down)
            case ["set", "weight", path, weight]:
                return self._act(path, lambda server: self._set_weight(server, int(weight)))
            case ["shutdown", "sessions", "server", path]:
                return self._act(path, lambda server: setattr(server, "scur", 0))
        return f"Unknown command: '{command}', but maybe one of the following …"

    def _state(self, which: list[str]) -> str:
        if which and which != [self.backend]:
            return "Can't find backend."
        rows = [
            f"3 {self.backend} {n} {s.name} 192.0.2.{n} 2 {s.admin} {s.weight} {s.initial} 80"
            for n, s in enumerate(self.servers, 1)
        ]
        return "\n".join(["1", _STATE_HEADER, *rows])

    def _stat(self) -> str:
        rows = [
            f"{self.backend},{s.name},0,{s.scur},{s.status},{s.weight},{int(s.backup)},{s.chkfail},"
            f"{s.chkdown},L4OK,,{'' if s.admin & 1 or s.health is None else s.fall},"
            for s in self.servers
        ]
        total = f"{self.backend},BACKEND,0,0,UP,{len(rows)},0,0,0,,,,{self.algorithm}"
        return "\n".join([f"# {_STAT_COLUMNS}", *rows, total])

    def _act(self, path: str, change: Callable[[FakeServer], str | None]) -> str:
        if self.level != "admin":
            return "Permission denied"
        if self.leaving > 0:
            self.leaving -= 1
            return "Proxy is disabled."
        backend, _, name = path.partition("/")
        if not name:
            return "Require 'backend/server'."
        if backend != self.backend:
            return "No such backend."
        if name not in {server.name for server in self.servers}:
            return "No such server."
        return change(self[name]) or ""

    def _set_weight(self, server: FakeServer, weight: int) -> str | None:
        if weight > 256:
            return "Absolute weight can only be between 0 and 256 inclusive."
        if self.algorithm in {"static-rr", "source"} and weight not in {0, server.initial}:
            return (
                "Backend is using a static LB algorithm and only accepts weights '0%' and '100%'."
            )
        server.weight = weight
        return None


def _set_state(server: FakeServer, state: str) -> None:
    left_maint = server.admin & 1 and state != "maint"
    if state == "maint" and not server.admin & 1 and server.health is not None:
        server.chkdown += 1
    server.admin = server.admin & ~9 | {"ready": 0, "drain": 8, "maint": 1}[state]
    if left_maint and server.health is not None:  # it is assumed to be UP until a check fails
        server.health = "UP" if server.fall == 1 else f"UP 1/{server.fall}"


def _set_down(server: FakeServer) -> None:
    server.health = "DOWN"


def host(name: str, haproxy: FakeHaproxy) -> RecordingHost:
    """A balancer's host whose socket answers."""
    made = RecordingHost(name)
    made.answers = {r"\| socat - UNIX-CONNECT:": haproxy.answer, "^true$": ""}
    return made


def balancer(name: str) -> Balancer:
    return Balancer(host=name, sockets=[SOCKET])


class Clock:
    """Time that moves only when somebody sleeps; `at` makes things happen meanwhile."""

    def __init__(self, context: RecordingContext) -> None:
        self.context = context
        self.events: list[tuple[float, Callable[[], object]]] = []

    def monotonic(self) -> float:
        return self.context.seconds

    def sleep(self, seconds: float) -> None:
        self.context.seconds += seconds
        due = [event for event in self.events if event[0] <= self.context.seconds]
        self.events = [event for event in self.events if event not in due]
        for _, happen in due:
            happen()

    def at(self, seconds: float, happen: Callable[[], object]) -> None:
        self.events.append((seconds, happen))


def killed(_command: Command) -> Result:
    """A host that gives up on a command."""
    raise CommandFailed("lb1: killed after 15 s", 124)
