"""Processes below this one: adopted ones are waited for, and in the end all are ended."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Seen:
    """One line of /proc: state letter, parent and session (proc(5))."""

    state: str
    parent: int
    session: int


def processes_now() -> dict[int, Seen]:
    """Read all processes from /proc."""
    table = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                # The command's name may hold blanks and brackets: what counts follows the last.
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                table[int(entry.name)] = Seen(fields[0], int(fields[1]), int(fields[3]))
    return table


def descendants(table: Mapping[int, Seen], of: int) -> list[int]:
    """List the processes below one, from the top."""
    found, level = [], [of]
    while level:
        level = [pid for pid, seen in table.items() if seen.parent in level]
        found += level
    return found


class Reaper(threading.Thread):
    """Wait for adopted daemons that ended, as init does: a zombie still seems to be alive.

    Adopted are those in a session of their own; children of `subprocess` are left to it.
    """

    def __init__(self, spare: int) -> None:
        super().__init__(daemon=True)
        self._spare = spare
        self._stop_asked = threading.Event()

    def run(self) -> None:
        ours, session = os.getpid(), os.getsid(0)
        while not self._stop_asked.wait(0.1):
            for pid, seen in processes_now().items():
                adopted = seen.parent == ours and seen.session != session and pid != self._spare
                if adopted and seen.state == "Z":
                    with suppress(ChildProcessError):
                        os.waitpid(pid, os.WNOHANG)

    def stop(self) -> None:
        self._stop_asked.set()
        self.join()


def end_descendants(seconds: float = 5.0, *, spare: int = 0) -> None:
    """End every process below this one but `spare`: SIGTERM, then SIGKILL."""
    deadline = time.monotonic() + seconds
    told: set[int] = set()
    while pids := [pid for pid in descendants(processes_now(), os.getpid()) if pid != spare]:
        late = time.monotonic() > deadline
        for pid in pids:
            if late or pid not in told:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL if late else signal.SIGTERM)
                told.add(pid)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if time.monotonic() > deadline + seconds:
            print(f"demo: still there: {pids}", file=sys.stderr)  # noqa: T201 - say it
            return
        time.sleep(0.02)
