"""A shell on this machine, for `connection: local`."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import threading
import time
from pathlib import Path

_PIECE = 1 << 16  # bytes


class LocalStream:
    """Pipes to a process of our own, in a session of its own: Ctrl-C is not meant for it."""

    def __init__(self, argv: list[str]) -> None:
        """Start it with this process's environment but our own settings, which hold secrets."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("WINCH_")}
        home = Path(environment.get("HOME", "/"))
        self._process = subprocess.Popen(  # noqa: S603
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
            cwd=home if home.is_dir() else "/",
            env=environment,
        )
        pipes = self._process.stdin, self._process.stdout, self._process.stderr
        self._in, self._out, self._err = (pipe.fileno() for pipe in pipes if pipe is not None)
        for number in (self._in, self._out, self._err):
            os.set_blocking(number, False)
        self._open = {self._out, self._err}
        self._closed = False

    def send(self, data: bytes, deadline: float) -> None:
        """Write all of it."""
        view = memoryview(data)
        poll = select.poll()
        poll.register(self._in, select.POLLOUT)
        while view:
            if self._closed:
                raise EOFError("closed")
            try:
                view = view[os.write(self._in, view[:_PIECE]) :]
            except BlockingIOError:
                if not poll.poll(_milliseconds(deadline)):
                    raise TimeoutError from None
            except BrokenPipeError:
                raise EOFError("the shell has ended") from None

    def receive(self, deadline: float) -> tuple[bytes, bytes]:
        """Read what is there of either pipe."""
        if self._closed or not self._open:
            raise EOFError("the shell has ended")
        poll = select.poll()
        for number in self._open:
            poll.register(number, select.POLLIN)
        got = {self._out: b"", self._err: b""}
        ready = [number for number, _ in poll.poll(_milliseconds(deadline))]
        for number in ready:
            got[number] = os.read(number, _PIECE)
            if not got[number]:
                self._open.discard(number)
        if ready and not any(got.values()):
            return self.receive(deadline)
        return got[self._out], got[self._err]

    def finish(self) -> None:
        """End the input."""
        if self._process.stdin is not None:
            self._process.stdin.close()

    def close(self) -> None:
        """Close the pipes: the shell ends behind its command, and is waited for by a thread."""
        if self._closed:
            return
        self._closed = True
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(0.05)
            return
        threading.Thread(target=self._process.wait, daemon=True, name="winch-reaper").start()


def _milliseconds(deadline: float) -> float:
    return max(0.0, (deadline - time.monotonic()) * 1000)
