"""The running HAProxy: its master, its worker, and the configuration that it really reads."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from tasks.haproxy.client import Runtime
from tasks.haproxy.errors import HaproxyDown
from tasks.haproxy.facts import Worker
from tasks.haproxy.params import Balancer
from tasks.haproxy.parsers import parse_proc
from worker.errors import Refused
from worker.remote import Command, Host

# Its first line says so: a file that a killed reload left in place of the real one.
TRANSIENT = "# Written by Winch for the moment of a reload; the real file is beside it, .winch-keep"
_MASTER = re.compile(r"^(\d+)\s+master\s+(\d+)\s+\[failed: (\d+)\]", re.MULTILINE)
_WITH_VALUE = frozenset("CNLnmpxS")  # options of haproxy(1) that take the next word
_TO_THE_END = ("-sf", "-st")


@cache
def script(name: str) -> str:
    """Return a shell script of this package."""
    return files("tasks.haproxy").joinpath(name).read_text()


@dataclass(frozen=True)
class Script(Command):
    """A shell script; recorded in the words that a person would use for it."""

    words: str = ""

    def __str__(self) -> str:
        return self.words


def scripted(words: str, text: str, *args: str, stdin: str | None = None) -> Script:
    """Make a command of shell text; `words` are what is recorded."""
    return Script(("sh", "-c", text, "sh", *args), stdin, words)


@dataclass(frozen=True)
class Master:
    """What `show proc` says. `failed`: reloads that failed since the last one that did not."""

    pid: int
    reloads: int
    failed: int
    worker: Worker  # the one that serves
    old: tuple[Worker, ...]  # those that are leaving


def parse_master(reply: str) -> Master | None:
    """Parse `show proc` of the master's socket; None if no one worker serves, or it is none."""
    match = _MASTER.search(reply)
    if match is None:
        return None
    pid, reloads, failed = (int(number) for number in match.groups())
    workers = parse_proc(reply)
    now = [worker for worker in workers if not worker.old]
    old = [worker for worker in workers if worker.old]
    if not now and failed and old:
        # After a reload that failed, 3.x lists the worker that goes on serving as an old one: the
        # last that was started.
        now = [old.pop()]
    return Master(pid, reloads, failed, now[0], tuple(old)) if len(now) == 1 else None


@dataclass(frozen=True)
class ConfigFile:
    """A file of the configuration: as HAProxy was told of it, and what it really is."""

    path: str
    real: str
    transient: bool = False  # a killed reload left ours there


@dataclass(frozen=True)
class Running:
    """A HAProxy process of the host. `files` are in the order in which HAProxy reads them."""

    master: Master
    argv: tuple[str, ...]
    arguments: tuple[str, ...]  # the files and directories given by -f and --, absolute
    files: tuple[ConfigFile, ...]

    @property
    def worker(self) -> Worker:
        """The worker that serves."""
        return self.master.worker

    def find(self, path: str) -> ConfigFile | None:
        """The file of that name among those that it reads."""
        return next((file for file in self.files if path in (file.path, file.real)), None)

    def with_candidate(self, target: str, candidate: str) -> list[str] | None:
        """List the files with `candidate` in place of `target`; None if it would not be read.

        `target` may be a new fragment of a directory: HAProxy reads those in the order of their
        names, only `*.cfg`, and not hidden ones.
        """
        known = self.find(target)
        if known is not None:
            return [candidate if file is known else file.path for file in self.files]
        directory, name = posixpath.split(target)
        if not name.endswith(".cfg") or name.startswith("."):
            return None
        wanted: list[str] = []
        found = False
        for argument in self.arguments:
            own = [file.path for file in self.files if _within(file.path, argument)]
            if posixpath.normpath(argument) == directory:
                found = True
                own = sorted([*own, target])
            wanted += [candidate if path == target else path for path in own]
        return wanted if found else None


def _within(path: str, argument: str) -> bool:
    return path == argument or posixpath.dirname(path) == posixpath.normpath(argument)


def config_arguments(argv: Sequence[str], cwd: str) -> list[str]:
    """List what was given to a haproxy by `-f` and behind `--`, absolute, in order.

    A reload puts `-sf` or `-st` with pids, and `-x` with a socket before the rest.
    """
    found: list[str] = []
    base = cwd
    words = list(argv[1:])
    while words:
        word = words.pop(0)
        if word == "--":
            found += words
            break
        if word in _TO_THE_END:
            while words and words[0].isdigit():
                words.pop(0)
        elif word == "-f" and words:
            found.append(words.pop(0))
        elif len(word) == 2 and word[1] in _WITH_VALUE and words:  # noqa: PLR2004
            value = words.pop(0)
            if word == "-C":
                base = posixpath.join(cwd, value)
    return [posixpath.normpath(posixpath.join(base, path)) for path in found]


def check_options(argv: Sequence[str]) -> list[str]:
    """List the options of the running process that change how its configuration is read."""
    kept: list[str] = []
    words = list(argv[1:])
    while words:
        word = words.pop(0)
        if word == "--":
            break
        if word == "-dr":
            kept.append(word)
        elif word in ("-L", "-C") and words:
            kept += [word, words.pop(0)]
        elif word == "-f" or (len(word) == 2 and word[1] in _WITH_VALUE):  # noqa: PLR2004
            del words[:1]
    return kept


def master_of(host: Host, balancer: Balancer) -> Master:
    """Ask the master for its processes.

    Raises:
        Refused: no master's socket is known, or what answers there is none.
        HaproxyDown: nobody answers.
    """
    if balancer.master_socket is None:
        raise Refused(
            f"{balancer.host}: a reload needs the master's socket: say "
            f"balancers.{balancer.host}.master_socket in the fleet file (haproxy -W -S PATH)"
        )
    runtime = Runtime(host, balancer.master_socket)
    reply = runtime.read_text("show proc")
    master = parse_master(reply)
    if master is None and _MASTER.search(reply) is not None:
        raise HaproxyDown(f"{runtime.where}: expected one worker that serves: {reply[:300]!r}")
    if master is None:
        raise Refused(
            f"{runtime.where}: expected a HAProxy master that lists its processes, got "
            f"{reply.strip()[:80]!r}: is HAProxy started with -W or -Ws, and this path given to -S?"
        )
    return master


def observe_running(host: Host, balancer: Balancer) -> Running:
    """Find out what the running HAProxy was started with, and which files that means now.

    Raises:
        Refused: its process cannot be seen on the host.
    """
    master = master_of(host, balancer)
    result = host.read(
        scripted(f"ps -o args= -p {master.pid}", script("process.sh"), str(master.pid)),
        check=False,
    )
    lines = result.stdout.splitlines()
    if not result.ok or len(lines) < 2:  # noqa: PLR2004 (the directory, and a word at least)
        raise Refused(
            f"{host.name}: cannot look at HAProxy's process {master.pid}: does it run in a "
            "container, or must `ssh.become: sudo` be set for this host?"
        )
    cwd, argv = lines[0], tuple(lines[1:])
    arguments = config_arguments(argv, cwd)
    listed = host.read(
        scripted(f"ls {' '.join(arguments)}", script("expand.sh"), TRANSIENT, *arguments)
    ).stdout
    found = []
    for line in listed.splitlines():
        mark, path, real = line.split("\t")
        found.append(ConfigFile(path, real, mark == "transient"))
    return Running(master, argv, tuple(arguments), tuple(found))
