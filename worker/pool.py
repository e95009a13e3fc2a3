"""The sessions of one connection: at most eight, shared by all threads.

sshd allows ten a connection (MaxSessions); two are left for shells that were given up while their
command still runs. What only reads and what changes the host have shells of their own: a daemon
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

LIMIT = 8  # sessions
Kind = Literal["read", "act"]


class NoMoreSessions(Exception):
    """The other side opens no further session now. Nothing was sent."""


class Sessions:
    """Lends shells and streams. `open_shell` and `open_stream` block and may raise our errors."""

    def __init__(self, host: str, open_shell: Callable[[], Shell]) -> None:
        self._host = host
        self._open_shell = open_shell
        self._changed = threading.Condition()
        self._idle: dict[Kind, list[Shell]] = {"read": [], "act": []}
        self._total = 0  # open or being opened
        self._limit = LIMIT
        self.last_used = time.monotonic()

    @contextlib.contextmanager
    def shell(self, kind: Kind, patience: float) -> Iterator[Shell]:
        """Lend a shell that has answered before and has no output waiting."""
        shell = self._take(kind, time.monotonic() + patience)
        try:
            yield shell
        finally:
            self._give_back(kind, shell)

    @contextlib.contextmanager
    def stream(self, open_stream: Callable[[], Stream], patience: float) -> Iterator[Stream]:
        """Lend a session of its own, closed afterwards."""
        deadline = time.monotonic() + patience
        while True:
            self._reserve(None, deadline)
            with self._opening(deadline):
                stream = open_stream()
                break
        try:
            yield stream
        finally:
            stream.close()
            self._release()

    def close_idle(self) -> bool:
        """Close all shells if none is lent; return whether that was so."""
        with self._changed:
            idle = [shell for shells in self._idle.values() for shell in shells]
            if len(idle) != self._total:
                return False
            for shells in self._idle.values():
                shells.clear()
            self._total = 0
        for shell in idle:
            shell.close()
        return True

    def reset(self) -> None:
        """Forget what the last connection taught about its limit."""
        with self._changed:
            self._limit = LIMIT

    def _take(self, kind: Kind, deadline: float) -> Shell:
        while True:
            shell = self._reserve(kind, deadline)
            if shell is None:
                with self._opening(deadline):
                    return self._open_shell()
            elif shell.fresh():
                return shell
            else:
                self._release()

    def _reserve(self, kind: Kind | None, deadline: float) -> Shell | None:
        """Take an idle shell, or (None) the right to open a session."""
        with self._changed:
            while True:
                self.last_used = time.monotonic()
                if kind is not None and self._idle[kind]:
                    return self._idle[kind].pop()
                if self._total < self._limit:
                    self._total += 1
                    return None
                for shells in self._idle.values():
                    if shells:
                        shells.pop().close()
                        return None
                if not self._changed.wait(deadline - time.monotonic()):
                    raise Unreachable(
                        f"{self._host}: all {self._limit} sessions stayed busy with other commands;"
                        " nothing was run"
                    )

    @contextlib.contextmanager
    def _opening(self, deadline: float) -> Iterator[None]:
        """Give the right back when opening fails; swallow that there is no session free now."""
        try:
            yield
        except NoMoreSessions as error:
            with self._changed:
                self._total -= 1
                self._limit = max(1, min(self._limit, self._total))
                if time.monotonic() >= deadline:
                    raise Unreachable(
                        f"{self._host}: it opens no session ({error}): see MaxSessions in its "
                        "sshd_config; nothing was run"
                    ) from error
                if self._total == 0:  # nobody will give one back: a closed one is still ending
                    self._changed.wait(0.05)
        except BaseException:
            self._release()
            raise

    def _give_back(self, kind: Kind, shell: Shell) -> None:
        if not shell.usable:
            self._release()
            return
        with self._changed:
            self.last_used = time.monotonic()
            self._idle[kind].append(shell)
            self._changed.notify()

    def _release(self) -> None:
        with self._changed:
            self.last_used = time.monotonic()
            self._total -= 1
            self._changed.notify()
