"""What was observed of one nginx: its processes, pid files, sockets, executables, unit."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from tasks.nginx.params import Instance

DELETED = " (deleted)"

Kind = Literal["master", "worker", "leaving", "helper", "starting"]
_ARGV = re.compile(r" -([cpge]) (.*?)(?= -[cpgeqt] | -[qt]$|$)")


@dataclass(frozen=True)
class Binary:
    """An executable: what it is, whatever its name. `version` as it says itself: 1.22.1."""

    sha256: str
    version: str


@dataclass(frozen=True)
class Process:
    """One process of nginx. `start` in clock ticks since boot; `listens` are socket inodes."""

    pid: int
    ppid: int
    start: int
    kind: Kind
    title: str
    exe_id: str
    exe: str = ""
    cwd: str = ""
    log: str = ""
    listens: frozenset[str] = frozenset()
    connections: int = 0

    @property
    def identity(self) -> str:
        """Name it so that a later process with the same pid is another one."""
        return f"{self.pid}:{self.start}"


@dataclass(frozen=True)
class Master:
    """A master, its workers and its executable (None: it could not be read)."""

    process: Process
    children: tuple[Process, ...]
    binary: Binary | None

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def workers(self) -> tuple[Process, ...]:
        """Those that accept connections."""
        return tuple(child for child in self.children if child.kind == "worker")

    @property
    def leaving(self) -> tuple[Process, ...]:
        """Those that only finish what they have."""
        return tuple(child for child in self.children if child.kind == "leaving")

    @property
    def starting(self) -> tuple[Process, ...]:
        """Children that are no workers: a new binary on its way."""
        return tuple(child for child in self.children if child.kind == "starting")

    @property
    def listening(self) -> bool:
        return bool(self.process.listens)

    @property
    def connections(self) -> int:
        """How many connections its leaving workers hold."""
        return sum(child.connections for child in self.leaving)

    @property
    def version(self) -> str:
        return self.binary.version if self.binary is not None and self.binary.version else "?"

    @property
    def sha256(self) -> str:
        return self.binary.sha256 if self.binary is not None else ""

    @property
    def argv0(self) -> str:
        """The path by which it was started, and by which USR2 starts the next one."""
        rest = self.process.title.partition("master process ")[2]
        return rest.split(" ", 1)[0]

    @property
    def options(self) -> tuple[str, ...]:
        """The -c, -p, -g and -e it was started with, as words. Titles join words by spaces."""
        return options_in(self.process.title.partition("master process ")[2].partition(" ")[2])

    def __str__(self) -> str:
        return f"master {self.pid} ({self.version})"


@dataclass(frozen=True)
class Unit:
    """What systemd says."""

    main_pid: int
    active: str
    sub: str
    result: str
    pid_file: str
    can_reload: bool
    loaded: bool
    exec_reload: tuple[str, ...] = ()  # as `systemctl show` words each command


@dataclass(frozen=True)
class Facts:
    """Everything of one moment. `masters` and `orphans` are only this instance's."""

    instance: Instance
    uptime: float
    ticks: int  # a second
    pid_file: int | None
    oldbin: int | None
    masters: tuple[Master, ...] = ()
    orphans: tuple[Process, ...] = ()
    disk: Binary | None = None
    unit: Unit | None = None
    addresses: Mapping[str, str] = field(default_factory=dict)  # socket inode → "tcp 0.0.0.0:80"
    binaries: Mapping[str, Binary] = field(default_factory=dict)

    def age(self, process: Process) -> float:
        """Seconds since a process started."""
        return max(0.0, self.uptime - process.start / self.ticks)

    def listens(self, master: Master) -> frozenset[str]:
        """Where a master listens, in words."""
        return frozenset(self.addresses[inode] for inode in master.process.listens)


def options_in(text: str) -> tuple[str, ...]:
    """Take -c, -p, -g and -e, each with its value, out of arguments that were joined by spaces."""
    words: list[str] = []
    for letter, value in _ARGV.findall(" " + text.rstrip()):
        words += [f"-{letter}", value.strip()]
    return tuple(words)


def executable_of(master: Master) -> str:
    """The path that USR2 will execute: argv[0], relative to the master's working directory."""
    return posixpath.normpath(posixpath.join(master.process.cwd or "/", master.argv0))
