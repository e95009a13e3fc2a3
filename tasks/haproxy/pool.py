"""The same servers on every balancer: who is asked, who is told, and what all of them say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tasks.haproxy.client import Runtime
from tasks.haproxy.decide import suggest
from tasks.haproxy.errors import NoSuchBackend, NoSuchServer, ProxyDisabled, refusal
from tasks.haproxy.facts import Backend, Server, ServerState
from tasks.haproxy.params import Balancer, Target
from tasks.haproxy.parsers import (
    join,
    parse_proc,
    parse_servers_conn,
    parse_servers_state,
    parse_stat,
)
from tasks.haproxy.patience import Patience
from worker.step import Context

BACKEND_AND_SERVERS = 6  # `show stat` type: backends 2 + servers 4
_NO_BACKEND = "Can't find backend"
_NO_WORKER = "Can't find the target PID"


@dataclass(frozen=True, order=True)
class Endpoint:
    """One Runtime API socket of one balancer: one HAProxy process (several with nbproc)."""

    host: str
    socket: str
    several: bool = field(default=False, compare=False)  # the balancer has more of them

    def __str__(self) -> str:
        return f"{self.host} ({self.socket})" if self.several else self.host


@dataclass(frozen=True, order=True)
class Place:
    """One target server at one endpoint."""

    at: Endpoint
    backend: str
    server: str

    def __str__(self) -> str:
        return f"{self.backend}/{self.server} on {self.at}"

    @property
    def key(self) -> str:
        """Its name in a step's memory."""
        return f"{self.at.host} {self.at.socket} {self.backend}/{self.server}"


@dataclass(frozen=True)
class Observation:
    """The targets' backends, at every endpoint, at one moment."""

    backends: Mapping[tuple[Endpoint, str], Backend]

    def server(self, place: Place) -> Server:
        """The server at a place.

        Raises:
            NoSuchServer: it is not there; the message names the nearest ones.
        """
        backend = self.backends[place.at, place.backend]
        server = backend.servers.get(place.server)
        if server is None:
            raise NoSuchServer(
                f"{place.at}: no server {place.server} in backend {place.backend}"
                f"{suggest(place.server, backend.servers)}"
            )
        return server


def endpoints(balancers: Iterable[Balancer]) -> list[Endpoint]:
    """List every socket of every balancer."""
    return [
        Endpoint(balancer.host, socket, len(balancer.sockets) > 1)
        for balancer in balancers
        for socket in balancer.sockets
    ]


def observe(runtime: Runtime, at: Endpoint, backends: Iterable[str]) -> dict[str, Backend]:
    """Read the backends' servers over one connection.

    Raises:
        NoSuchBackend: one is not there; the message names the nearest ones.
    """
    wanted = list(backends)
    commands = [f"show servers state {name}" for name in wanted]
    commands += [f"show stat {name} {BACKEND_AND_SERVERS} -1" for name in wanted]
    replies = runtime.ask(*commands)
    states = []
    for name, reply in zip(wanted, replies, strict=False):
        if reply.startswith(_NO_BACKEND):
            known = {state.backend for state in _all_states(runtime)}
            raise NoSuchBackend(f"{at}: no backend {name}{suggest(name, known)}", reply)
        if not reply.startswith("1"):
            raise refusal(runtime.where, f"show servers state {name}", reply)
        states += parse_servers_state(reply)
    stats = [stat for reply in replies[len(wanted) :] for stat in parse_stat(reply)]
    found = join(states, stats)
    # A frontend may have the same name, and `show stat NAME` then finds only that: ask by number.
    hidden = {state.backend_id for state in states if state.backend not in found}
    if hidden:
        by_number = [f"show stat {number} {BACKEND_AND_SERVERS} -1" for number in sorted(hidden)]
        stats += [stat for reply in runtime.ask(*by_number) for stat in parse_stat(reply)]
        found = join(states, stats)
    return {name: found.get(name, Backend(name, {})) for name in wanted}


def _all_states(runtime: Runtime) -> list[ServerState]:
    return parse_servers_state(runtime.ask("show servers state")[0])


def _tell(runtime: Runtime, words: list[str]) -> None:
    """Give commands; again when a reload made the old worker answer once more."""
    patience = Patience()
    while True:
        try:
            runtime.tell(*words)
        except ProxyDisabled:
            if patience.over:
                raise
            patience.pause()
        else:
            return


class Pool:
    """The targets of a step on all balancers."""

    def __init__(
        self, context: Context, balancers: Iterable[Balancer], targets: Iterable[Target]
    ) -> None:
        self.balancers = list(balancers)
        self.endpoints = endpoints(self.balancers)
        self.runtimes = {at: Runtime(context.on(at.host), at.socket) for at in self.endpoints}
        self.masters = {
            balancer.host: Runtime(context.on(balancer.host), balancer.master_socket)
            for balancer in self.balancers
            if balancer.master_socket is not None
        }
        self.targets = list(targets)
        self.backends = sorted({target.backend for target in self.targets})
        self.places = [
            Place(at, target.backend, target.server)
            for at in self.endpoints
            for target in self.targets
        ]

    @property
    def hosts(self) -> str:
        """The balancers' names, for a sentence."""
        return ", ".join(dict.fromkeys(at.host for at in self.endpoints))

    @property
    def names(self) -> str:
        """The targets' names, for a sentence."""
        return ", ".join(str(target) for target in self.targets)

    def observe(self) -> Observation:
        """Read all endpoints now.

        Raises:
            NoSuchBackend, NoSuchServer: a target is not there.
        """
        seen = Observation(
            {
                (at, name): backend
                for at in self.endpoints
                for name, backend in observe(self.runtimes[at], at, self.backends).items()
            }
        )
        for place in self.places:
            seen.server(place)
        return seen

    def tell(self, commands: Iterable[tuple[Place, str]]) -> None:
        """Give each command at its place; those for one endpoint in one connection."""
        by_endpoint: dict[Endpoint, list[str]] = {}
        for place, command in commands:
            by_endpoint.setdefault(place.at, []).append(command)
        for at, words in by_endpoint.items():
            _tell(self.runtimes[at], words)

    def old_sessions(self) -> dict[str, int]:
        """Count the requests that leaving workers still have on the targets, by balancer.

        After a reload the new worker knows nothing of them.
        """
        return {host: self._old_sessions(master) for host, master in self.masters.items()}

    def _old_sessions(self, master: Runtime) -> int:
        old = [worker.pid for worker in parse_proc(master.read_text("show proc")) if worker.old]
        wanted = {(target.backend, target.server) for target in self.targets}
        count = 0
        for pid in old:
            # One connection each: the master ends it at a worker that is gone by now.
            reply = master.read_text(
                "; ".join(f"@!{pid} show servers conn {name}" for name in self.backends)
            )
            lines = (
                line for line in reply.split("\n") if not line.startswith((_NO_BACKEND, _NO_WORKER))
            )
            used = parse_servers_conn("\n".join(lines))
            count += sum(number for server, number in used.items() if server in wanted)
        return count
