"""The sessions of one connection: a few shells of each kind, shared by all threads.

sshd allows ten sessions a connection (MaxSessions); one is left for a shell that was given up while
its command still runs. What only reads and what changes the host have shells of their own: a daemon
that a command left behind may write into its shell's output for ever, and must not be read as the
answer to a question.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Literal

from worker.errors import Unreachable
from worker.shell import Shell, Stream

Kind = Literal["read", "act", "pour"]
LIMITS: dict[Kind, int] = {"read": 4, "act": 4, "pour": 1}  # sessions
_RETRY = 0.05  # seconds; a session that was closed ends a little later on the other side


class NoMoreSessions(Exception):
    """The other side opens no further session now. Nothing was sent."""


class Sessions:
    """Lends shells and streams. What opens them blocks, and may raise our errors."""

    def __init__(self, host: str, open_shell: Callable[[], Shell]) -> None:
        self._host = host
        self._open_shell = open_shell
        self._changed = threading.Condition()
        self._idle: dict[Kind, list[Shell]] = {kind: [] for kind in LIMITS}
        self._open: dict[Kind, int] = dict.fromkeys(LIMITS, 0)  # idle, lent or being opened
        self.last_used = time.monotonic()

    @contextlib.contextmanager
    def shell(self, kind: Kind, patience: float) -> Iterator[Shell]:
        """Lend a shell that has answered before and has no output waiting."""
        deadline = time.monotonic() + patience
        shell: Shell | None = None
        while shell is None:
            idle = self._reserve(kind, deadline)
            if idle is None:
                with self._opening(kind, deadline):
                    shell = self._open_shell()
            elif idle.fresh():
                shell = idle
            else:
                self._release(kind)
        try:
            yield shell
        finally:
            if shell.usable:
                with self._changed:
                    self._idle[kind].append(shell)
                    self._touch()
            else:
                self._release(kind)

    @contextlib.contextmanager
    def stream(self, open_stream: Callable[[], Stream], patience: float) -> Iterator[Stream]:
        """Lend a session of its own, closed afterwards."""
        deadline = time.monotonic() + patience
        stream: Stream | None = None
        while stream is None:
            self._reserve("pour", deadline)
            with self._opening("pour", deadline):
                stream = open_stream()
        try:
            yield stream
        finally:
            stream.close()
            self._release("pour")

    def close_idle(self) -> bool:
        """Close the idle shells if nothing is lent; return whether that was so."""
        with self._changed:
            idle = [shell for shells in self._idle.values() for shell in shells]
            if len(idle) != sum(self._open.values()):
                return False
            for kind, shells in self._idle.items():
                shells.clear()
                self._open[kind] = 0
        for shell in idle:
            shell.close()
        return True

    def _reserve(self, kind: Kind, deadline: float) -> Shell | None:
        """Take an idle shell, or (None) the right to open a session."""
        with self._changed:
            while not self._idle[kind] and self._open[kind] >= LIMITS[kind]:
                if not self._changed.wait(deadline - time.monotonic()):
                    raise Unreachable(
                        f"{self._host}: all {LIMITS[kind]} sessions stayed busy with other "
                        "commands; nothing was run: try again when they have ended"
                    )
            self._touch()
            if self._idle[kind]:
                return self._idle[kind].pop()
            self._open[kind] += 1
            return None

    @contextlib.contextmanager
    def _opening(self, kind: Kind, deadline: float) -> Iterator[None]:
        """Give the right back when opening fails. When the host opens no more sessions, swallow
        that, and close an idle shell of another kind or wait, so that it can be tried again."""
        try:
            yield
        except NoMoreSessions as error:
            self._release(kind)
            if time.monotonic() >= deadline:
                raise Unreachable(
                    f"{self._host}: it opens no session ({error}): see MaxSessions in its "
                    "sshd_config; nothing was run"
                ) from error
            self._make_room(kind)
        except BaseException:
            self._release(kind)
            raise

    def _make_room(self, kind: Kind) -> None:
        with self._changed:
            other = next((k for k in LIMITS if k != kind and self._idle[k]), None)
            victim = None if other is None else self._idle[other].pop()
            if other is not None:
                self._open[other] -= 1
            if victim is None and not self._idle[kind]:
                self._changed.wait(_RETRY)
        if victim is not None:
            victim.close()

    def _release(self, kind: Kind) -> None:
        with self._changed:
            self._open[kind] -= 1
            self._touch()

    def _touch(self) -> None:
        self.last_used = time.monotonic()
        self._changed.notify_all()
