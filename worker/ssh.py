"""Connections to hosts: one SSH connection a host for all threads, and the same over a local `sh`.

    Connections.get(host, hosts) -> Connection      opens nothing yet
    Connection.run(command, timeout=…, guard=…)     opens, or reopens, when needed

A command that was sent is never sent again by itself: when the connection breaks under it, that is
`Unreachable`, and the step looks at the host before it does anything. What was not sent yet is
tried once more on a new connection.
"""

from __future__ import annotations

import shlex
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from worker.errors import NotAllowed, Unreachable
from worker.guard import LOCK_WAIT, Guard
from worker.local import LocalStream
from worker.plan import HostSpec
from worker.pool import Kind, Sessions
from worker.remote import Command, Result
from worker.shell import Shell, Stream
from worker.ssh_link import SshLink
from worker.upload import pour_into, put

CONNECT_TIMEOUT = 10.0  # seconds, for each part: TCP, banner, authentication, session
_PATIENCE = 30.0  # seconds at least that a command waits for one of the host's sessions


class Connection:
    """One host. Every method may be called by all threads at once."""

    def __init__(self, spec: HostSpec, link: SshLink | None, timeout: float) -> None:
        self.spec = spec
        self._link = link
        self._timeout = timeout
        self._sessions = Sessions(spec.name, self._open_shell)

    @property
    def name(self) -> str:
        """The host's name."""
        return self.spec.name

    @property
    def connected(self) -> bool:
        """Whether it is connected now, as far as this side knows; a local one always is."""
        return self._link is None or self._link.connected

    def run(
        self,
        command: Command,
        *,
        timeout: float,
        guard: Guard | None = None,
        on_line: Callable[[str], None] | None = None,
    ) -> Result:
        """Run a command; a timeout kills it on the host and gives exit code 124.

        `on_line` gets each line of stdout and stderr while the command runs.

        Raises:
            Fenced: the host has seen a newer number of one of the leases; nothing was run.
            Refused: the guard cannot work there; nothing was run.
            NotAllowed, Unreachable: no connection, or it broke under the command.
        """
        return self._run(command, timeout, guard, on_line)

    def put(
        self, source: bytes | Path, path: str, *, mode: int = 0o644, guard: Guard | None = None
    ) -> None:
        """Write a file atomically (see `worker.upload.put`)."""
        put(self, source, path, mode=mode, guard=guard)

    def fence(self, guard: Guard) -> None:
        """Write the guard's numbers on the host, and run nothing."""
        self._run(None, 10.0, guard, None)

    def pour(self, command: Command, pieces: Iterator[bytes], stall: float) -> str:
        """Feed bytes to a command in a session of its own; return what it wrote to stderr."""
        with self._sessions.stream(lambda: self._open_stream(command.argv), _PATIENCE) as stream:
            try:
                return pour_into(stream, pieces, stall)
            except TimeoutError as error:
                raise Unreachable(f"{self.name}: no progress within {stall:g} s") from error
            except OSError as error:
                raise Unreachable(f"{self.name}: the connection broke: {error}") from error

    def close_idle(self, older_than: float) -> bool:
        """Disconnect if nothing ran for so many seconds; the next command connects again."""
        if time.monotonic() - self._sessions.last_used < older_than:
            return False
        if self._link is not None and self._link.carries():
            return False
        if not self._sessions.close_idle():
            return False
        if self._link is not None:
            self._link.disconnect()
        return True

    def close(self) -> None:
        """Disconnect, whatever runs."""
        self._sessions.close_idle()
        if self._link is not None:
            self._link.disconnect()

    def _run(
        self,
        command: Command | None,
        timeout: float,
        guard: Guard | None,
        on_line: Callable[[str], None] | None,
    ) -> Result:
        kind: Kind = "read" if guard is None else "act"
        with self._sessions.shell(kind, max(timeout, _PATIENCE, LOCK_WAIT)) as shell:
            return shell.run(command, timeout=timeout, guard=guard, on_line=on_line)

    def _open_shell(self) -> Shell:
        shell = Shell(self.name, self._open_stream(("sh",)))
        shell.start(self._timeout)
        return shell

    def _open_stream(self, argv: tuple[str, ...]) -> Stream:
        words = list(argv)
        if self.spec.ssh.become is not None:
            words = [self.spec.ssh.become, "-n", *words]
        if self._link is not None:
            return self._link.open_stream("exec " + shlex.join(words))
        try:
            return LocalStream(words)
        except OSError as error:
            raise NotAllowed(f"{self.name}: cannot start {words[0]} here: {error}") from error


class Connections:
    """All connections of this process."""

    def __init__(self, *, connect_timeout: float = CONNECT_TIMEOUT) -> None:
        self._timeout = connect_timeout
        self._lock = threading.Lock()
        self._all: dict[tuple[HostSpec, ...], Connection] = {}
        self._links: dict[tuple[HostSpec, ...], SshLink] = {}

    def get(self, host: HostSpec, hosts: Mapping[str, HostSpec]) -> Connection:
        """Return the one connection of a host; `hosts` has its jump hosts.

        Raises:
            NotAllowed: the jump hosts form a loop, or one is not there or not reached over SSH.
        """
        route = _route(host, hosts)
        with self._lock:
            connection = self._all.get(route)
            if connection is None:
                link = self._link(route) if host.connection == "ssh" else None
                connection = self._all[route] = Connection(host, link, self._timeout)
            return connection

    def close_idle(self, older_than: float) -> int:
        """Disconnect what nobody used for so many seconds; return how many that were."""
        with self._lock:
            connections = sorted(self._all.items(), key=lambda item: -len(item[0]))
        return sum(connection.close_idle(older_than) for _, connection in connections)

    def close(self) -> None:
        """Disconnect all, whatever runs."""
        with self._lock:
            connections, links = list(self._all.values()), list(self._links.values())
        for connection in connections:
            connection.close()
        for link in links:
            link.disconnect()

    def _link(self, route: tuple[HostSpec, ...]) -> SshLink:
        link = self._links.get(route)
        if link is None:
            jump = self._link(route[1:]) if len(route) > 1 else None
            link = self._links[route] = SshLink(route[0], jump, self._timeout)
        return link


def _route(host: HostSpec, hosts: Mapping[str, HostSpec]) -> tuple[HostSpec, ...]:
    """Return the host, its jump host, that one's, and so on."""
    route = [host]
    while route[-1].connection == "ssh" and (name := route[-1].ssh.jump) is not None:
        way = " -> ".join([hop.name for hop in route] + [name])
        if any(hop.name == name for hop in route):
            raise NotAllowed(f"{host.name}: its jump hosts form a loop: {way}: correct ssh.jump")
        if name not in hosts:
            raise NotAllowed(f"{host.name}: its jump host {name} is no host of the fleet: {way}")
        if hosts[name].connection != "ssh":
            raise NotAllowed(f"{host.name}: its jump host {name} is not reached over SSH: {way}")
        route.append(hosts[name])
    return tuple(route)
