"""The same servers on every balancer: who is asked, who is told, and what all of them say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

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
from tasks.patience import Patience
from worker.step import Context

BACKEND_AND_SERVERS = 6  # `show stat` type: backends 2 + servers 4
SERVERS = 4
MOST_AT_ONCE = 8  # sockets that are talked to at the same time
Item = TypeVar("Item")
Answer = TypeVar("Answer")
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
    return _whole(runtime, at, wanted, runtime.ask(*_whole_questions(wanted)))


def _whole_questions(wanted: list[str]) -> list[str]:
    questions = [f"show servers state {name}" for name in wanted]
    return questions + [f"show stat {name} {BACKEND_AND_SERVERS} -1" for name in wanted]


def _whole(
    runtime: Runtime, at: Endpoint, wanted: list[str], replies: list[str]
) -> dict[str, Backend]:
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


def _tell(runtime: Runtime, words: list[str], then: Sequence[str] = ()) -> list[str]:
    """Give commands; again when a reload made the old worker answer once more."""
    patience = Patience()
    while True:
        try:
            return runtime.tell(*words, then=then)
        except ProxyDisabled:
            if patience.over:
                raise
            patience.pause()


def only(reply: str, servers: set[str]) -> str:
    """Leave the lines of these servers, and the header, of a `show servers state`."""
    version, header, *lines = reply.split("\n")
    column = header.lstrip("# ").split().index("srv_name")

    def mine(line: str) -> bool:
        words = line.split(" ", column + 1)
        return len(words) > column and words[column] in servers

    return "\n".join([version, header, *filter(mine, lines)])


def at_once(work: Callable[[Item], Answer], items: Sequence[Item]) -> list[Answer]:
    """Do the same for each of several sockets, side by side; their hosts are several too."""
    if len(items) <= 1:
        return [work(item) for item in items]
    with ThreadPoolExecutor(min(MOST_AT_ONCE, len(items))) as pool:
        return list(pool.map(work, items))


def _by_endpoint(commands: Iterable[tuple[Place, str]]) -> dict[Endpoint, list[str]]:
    words: dict[Endpoint, list[str]] = {}
    for place, command in commands:
        words.setdefault(place.at, []).append(command)
    return words


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
        # Of each endpoint's backend: its servers' numbers, and its own.
        self._ids: dict[tuple[Endpoint, str], tuple[dict[str, int], int]] = {}
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
        """Read the targets' whole backends at all endpoints now.

        Raises:
            NoSuchBackend, NoSuchServer: a target is not there.
        """
        return self._observation(
            lambda at: observe(self.runtimes[at], at, self.backends), self.endpoints
        )

    def look(self) -> Observation:
        """Read the targets alone: what it costs does not grow with their backends.

        Raises:
            NoSuchBackend, NoSuchServer: a target is not there.
        """
        if not self._ids:
            return self.observe()
        return self._observation(self._look, self.endpoints)

    def _look(self, at: Endpoint) -> dict[str, Backend]:
        return self._targets(at, self.runtimes[at].ask(*self._questions(at)))

    def _wanted(self, at: Endpoint) -> dict[str, set[str]]:
        return {
            name: {p.server for p in self.places if p.backend == name and p.at == at}
            for name in self.backends
        }

    def _questions(self, at: Endpoint) -> list[str]:
        questions = [f"show servers state {name}" for name in self.backends]
        for name, servers in self._wanted(at).items():
            numbers, backend = self._ids[at, name]
            questions += [
                f"show stat {backend} {SERVERS} {numbers[server]}" for server in sorted(servers)
            ]
        return questions

    def _targets(self, at: Endpoint, replies: list[str]) -> dict[str, Backend]:
        wanted = self._wanted(at)
        states = [
            state
            for name, reply in zip(self.backends, replies, strict=False)
            if reply.startswith("1")
            for state in parse_servers_state(only(reply, wanted[name]))
        ]
        stats = [stat for reply in replies[len(self.backends) :] for stat in parse_stat(reply)]
        found = join(states, stats)
        if any(wanted[name] != set(found.get(name, Backend(name, {})).servers) for name in wanted):
            # Another configuration was loaded, and the numbers are others: ask for everything.
            return observe(self.runtimes[at], at, self.backends)
        return found

    def _observation(
        self, read: Callable[[Endpoint], dict[str, Backend]], ends: list[Endpoint]
    ) -> Observation:
        seen = Observation(
            {
                (at, name): backend
                for at, backends in zip(ends, at_once(read, ends), strict=True)
                for name, backend in backends.items()
            }
        )
        for place in self.places:
            server = seen.server(place)
            numbers, _ = self._ids.setdefault(
                (place.at, place.backend), ({}, server.state.backend_id)
            )
            numbers[place.server] = server.state.server_id
        return seen

    def tell(self, commands: Iterable[tuple[Place, str]]) -> None:
        """Give each command at its place; those for one endpoint in one connection."""
        words = _by_endpoint(commands)
        at_once(lambda item: _tell(self.runtimes[item[0]], item[1]), list(words.items()))

    def tell_and_look(
        self, commands: Iterable[tuple[Place, str]], *, whole: bool = False
    ) -> Observation:
        """Give the commands, and look (at `whole` backends) over the same connections.

        What is seen is what the commands made. Sessions may still be on their way to a server at
        that moment: whoever counts them looks once more.
        """
        words = _by_endpoint(commands)
        whole = whole or not self._ids

        def read(at: Endpoint) -> dict[str, Backend]:
            runtime = self.runtimes[at]
            then = _whole_questions(self.backends) if whole else self._questions(at)
            replies = _tell(runtime, words[at], then) if at in words else runtime.ask(*then)
            if whole:
                return _whole(runtime, at, self.backends, replies)
            return self._targets(at, replies)

        return self._observation(read, self.endpoints)

    def old_sessions(self) -> dict[str, int]:
        """Count the requests that leaving workers still have on the targets, by balancer.

        After a reload the new worker knows nothing of them.
        """
        counts = at_once(self._old_sessions, list(self.masters.values()))
        return dict(zip(self.masters, counts, strict=True))

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
