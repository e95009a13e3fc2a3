"""What a step may do on a host: the seam between steps and SSH.

`Host` is implemented over SSH and for `connection: local` in `worker.ssh`, and by a recording fake
in `tests/fakes.py` that is tested against the same cases as the real ones.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from worker.errors import CommandFailed
from worker.mask import mask


@dataclass(frozen=True)
class Command:
    """One command: its words, and text for its standard input.

    Words are never joined without quoting, so a value cannot become syntax.
    """

    argv: tuple[str, ...]
    stdin: str | None = None

    @classmethod
    def of(cls, *argv: str, stdin: str | None = None) -> Command:
        """Make a command from its words: `Command.of("systemctl", "is-active", unit)`."""
        return cls(tuple(argv), stdin)

    @classmethod
    def shell(cls, script: str, *args: str, stdin: str | None = None) -> Command:
        """Make a command from POSIX sh text; values go in as `args`, seen as "$1", "$2", …"""
        return cls(("sh", "-c", script, "sh", *args), stdin)

    def __str__(self) -> str:
        """As a person would type it, for records and previews (not what is sent)."""
        match self.argv:
            case ("sh", "-c", script, "sh"):
                text = script
            case _:
                text = shlex.join(self.argv)
        return text if self.stdin is None else f"{text} <<< {shlex.quote(self.stdin.strip())}"


@dataclass(frozen=True)
class Result:
    """What came back. `stdout` and `stderr` are UTF-8 with replacement, bounded to 1 MiB each."""

    exit_code: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether the command exited with 0."""
        return self.exit_code == 0


def require_ok(host: str, command: Command, result: Result) -> None:
    """See that a command exited with 0.

    Raises:
        CommandFailed: it did not; the message has the last line that it said.
    """
    if result.ok:
        return
    said = (result.stderr.strip() or result.stdout.strip() or "no output").splitlines()
    raise CommandFailed(
        f"{host}: `{mask(str(command))[:200]}` exited with {result.exit_code}: "
        f"{mask(said[-1])[:300]}",
        result.exit_code,
        result.stdout,
        result.stderr,
    )


class Host(Protocol):
    """One machine, as a step sees it. Every call blocks for at most `timeout` seconds or so.

    All calls raise `Unreachable` when the connection cannot be made or breaks, and `Superseded`
    when the step's claim has been lost or the run was aborted. With `check` (the default) an exit
    code other than 0 raises `CommandFailed`; a command that outlives `timeout` is killed on the
    host and its exit code is 124.
    """

    @property
    def name(self) -> str:
        """Its name in the fleet file."""

    @property
    def address(self) -> str:
        """Its address in the fleet file."""

    def read(self, command: Command, *, timeout: float = 30.0, check: bool = True) -> Result:
        """Run a command that changes nothing."""

    def act(
        self,
        command: Command,
        *,
        timeout: float = 60.0,
        check: bool = True,
        on_line: Callable[[str], None] | None = None,
    ) -> Result:
        """Run a command that changes the host, under the guard: with the lane's lease numbers.

        `on_line` is called with each line of output while a long command runs.

        Raises:
            Fenced: the host has seen a newer number of one of the leases.
        """

    def put(self, source: bytes | Path, path: str, *, mode: int = 0o644) -> None:
        """Write a file on the host (under the guard): temporary beside it, then rename."""
