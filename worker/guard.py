"""The guard: a host refuses a command whose lease numbers are older than what it has seen.

A worker that was paused or cut off may still believe that it holds a lease. So every command that
changes a host carries its lane's leases and their numbers, and a few shell functions on the host
(`guard.sh`) lock each lease's file, compare, store what is newer, and hold the locks while the
command runs. The files are in /run/winch (root) or /tmp/winch-UID, one a lease.

Not in $XDG_RUNTIME_DIR: it goes with a user's last session, and the numbers would go with it.
"""

from __future__ import annotations

import hashlib
import shlex
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import quote

from worker.errors import Busy, Fenced, Refused, StepError

LOCK_WAIT = 30  # seconds that a command waits for an earlier one under the same lease
_LONGEST_NAME = 200  # bytes; a file name has at most 255


@cache
def functions() -> str:
    """Return the guard's shell functions."""
    return Path(__file__).with_name("guard.sh").read_text()


def file_name(lease: str) -> str:
    """Turn a lease's name into a file name; two names never share one.

    Everything but letters, digits and `_.-~` is percent-encoded. What would be too long for a file
    system becomes a SHA-256, behind a `%` that no encoded name can have there.
    """
    encoded = quote(lease, safe="", errors="surrogateescape")
    if len(encoded) <= _LONGEST_NAME:
        return encoded
    return "%sha256-" + hashlib.sha256(encoded.encode()).hexdigest()


@dataclass(frozen=True)
class Guard:
    """Leases and their numbers: milliseconds since 1970 or so, that only grow.

    Raises:
        ValueError: a number is not positive or over 63 bits, or a lease stands there twice.
    """

    leases: tuple[tuple[str, int], ...]

    def __post_init__(self) -> None:
        for name, number in self.leases:
            if not 0 < number < 2**63:
                raise ValueError(f"lease {name}: {number} is not a positive 63-bit number")
        if len({name for name, _ in self.leases}) != len(self.leases):
            raise ValueError(f"a lease stands twice in {self.leases}")

    def words(self) -> list[str]:
        """Return the arguments of `winch_guard`, `--` included; in one order for all lanes."""
        pairs = sorted((file_name(name), str(number)) for name, number in self.leases)
        return ["winch_guard", *(word for pair in pairs for word in pair), "--"]

    def wrap(self, command: str) -> str:
        """Put the guard before a command that is shell text; "" runs nothing."""
        return f"{shlex.join(self.words())} {command}"

    def refusal(self, host: str, mark: str, stderr: str) -> StepError | None:
        """Say why the guard ran nothing, or None if it let the command run.

        `mark` is the random word that this command's frame gave to the guard.
        """
        for line in stderr.splitlines():
            match line.split(" "):
                case [seen_mark, "fenced", file, seen, ours] if seen_mark == mark:
                    return Fenced(
                        f"{host}: lease {self._name(file)} has number {seen} there, and this claim "
                        f"came with {ours}: another claim has taken over; nothing was run"
                    )
                case [seen_mark, "busy", file] if seen_mark == mark:
                    return Busy(
                        f"{host}: an earlier command still runs under lease {self._name(file)} "
                        f"after {LOCK_WAIT} s; nothing was run: try again when it has ended"
                    )
                case [seen_mark, _, *text] if seen_mark == mark:
                    return Refused(f"{host}: the guard ran nothing: {' '.join(text)}")
        return None

    def _name(self, file: str) -> str:
        return next((name for name, _ in self.leases if file_name(name) == file), file)
