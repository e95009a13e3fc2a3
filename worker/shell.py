"""One long-lived `sh` that takes commands over a byte stream and gives back what came of each.

Starting a session costs milliseconds, a command on an open one a fraction of one. A frame is one
line of shell text, sent in one piece; after the command the shell writes a random mark and the exit
code to its standard output, and the mark to its standard error. Output is read until both marks are
there. A shell that does not answer as it should is closed and never used again.
"""

from __future__ import annotations

import math
import secrets
import shlex
import time
from collections.abc import Callable
from typing import Protocol

from worker import guard as guards
from worker.errors import NotAllowed, Refused, StepError, Unreachable
from worker.guard import Guard
from worker.output import Output
from worker.remote import Command, Result

KILL_AFTER = 2  # seconds from TERM to KILL when a command outlives its timeout
ANSWER_GRACE = 5.0  # seconds beyond all that until a silent shell is given up
_TIMED_OUT = 124
_KILLED = 137

# sbin, because a user's PATH often lacks it; sh reads all this before the first command.
_PROLOGUE = """
LC_ALL=C PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin; export LC_ALL PATH
winch_end() { winch_code=$?
printf '%s end %s\\n' "$winch_mark" "$winch_code"; printf '%s end 0\\n' "$winch_mark" >&2; }
"""


class Stream(Protocol):
    """Bytes to and from a shell's process: a channel of SSH, or pipes."""

    def send(self, data: bytes, deadline: float) -> None:
        """Send all of it. Raises EOFError, TimeoutError or OSError."""

    def receive(self, deadline: float) -> tuple[bytes, bytes]:
        """Wait for some of stdout and stderr; both empty when the deadline (`time.monotonic`)
        has passed. Raises EOFError when there will be no more."""

    def finish(self) -> None:
        """End the input."""

    def close(self) -> None:
        """Close it. A command under way is not killed: its lock goes with it."""


class Shell:
    """A shell on a host. Not for two threads at once."""

    def __init__(self, host: str, stream: Stream) -> None:
        self._host = host
        self._stream = stream
        self.usable = False

    def start(self, seconds: float) -> None:
        """Teach it our functions, and wait until it answers.

        Raises:
            NotAllowed: it ended at once (`become` wants a password, an account without a shell),
                or lacks `timeout`.
            Unreachable: no answer in time.
        """
        mark = secrets.token_hex(16)
        probe = f"winch_mark={mark};timeout -k 2 9 true </dev/null;winch_end\n"
        try:
            out, err = self._exchange(
                (guards.functions() + _PROLOGUE + probe).encode(), mark, seconds, None
            )
        except Unreachable as error:
            raise self._cannot_start(error) from error
        if out.exit_code != 0:
            self.close()
            raise NotAllowed(
                f"{self._host}: `timeout -k` does not work there ({err.text().strip()}): "
                "install coreutils"
            )

    def fresh(self) -> bool:
        """Drop what came since the last command, and say whether the shell is still there."""
        try:
            while any(self._stream.receive(0.0)):
                pass
        except (EOFError, OSError):
            self.close()
        return self.usable

    def run(
        self,
        command: Command | None,
        *,
        timeout: float,
        guard: Guard | None = None,
        on_line: Callable[[str], None] | None = None,
    ) -> Result:
        """Run one command (None: only the guard); a timeout gives exit code 124.

        Raises:
            Fenced, Refused: the guard ran nothing.
            Unreachable: the shell was lost. The command may or may not have run.
        """
        mark = secrets.token_hex(16)
        seconds = max(1, math.ceil(timeout))  # busybox's timeout takes whole seconds
        line = f"winch_mark={mark};{_frame(self._host, command, seconds, guard)};winch_end\n"
        patience = seconds + KILL_AFTER + ANSWER_GRACE
        if guard is not None:
            patience += (guards.LOCK_WAIT + 1) * len(guard.leases)
        began = time.monotonic()
        out, err = self._exchange(line.encode("utf-8", "surrogateescape"), mark, patience, on_line)
        took = time.monotonic() - began
        stderr = err.text()
        if guard is not None and (refusal := guard.refusal(self._host, mark, stderr)) is not None:
            raise refusal
        code = out.exit_code
        if code == _KILLED and took >= seconds:
            code = _TIMED_OUT
        return Result(code, out.text(), stderr, took)

    def close(self) -> None:
        """Give it up."""
        self.usable = False
        self._stream.close()

    def _exchange(
        self, data: bytes, mark: str, patience: float, on_line: Callable[[str], None] | None
    ) -> tuple[Output, Output]:
        """Send a frame and read to its end; in every other case the shell is lost."""
        out, err = Output(mark, on_line), Output(mark, on_line)
        deadline = time.monotonic() + patience
        self.usable = False
        try:
            self._stream.send(data, deadline)
            while not (out.ended and err.ended):
                some_out, some_err = self._stream.receive(deadline)
                if not some_out and not some_err and time.monotonic() >= deadline:
                    raise TimeoutError  # noqa: TRY301
                out.feed(some_out)
                err.feed(some_err)
            self.usable = True
        except TimeoutError:
            raise Unreachable(
                f"{self._host}: no answer from its shell within {patience:g} s; the command may "
                "or may not have run"
            ) from None
        except (EOFError, OSError) as error:
            said = " ".join((err.text() or out.text()).split())[-200:]
            reason = said or str(error) or "end of file"
            raise Unreachable(
                f"{self._host}: the connection to its shell broke ({reason}); the command may or "
                "may not have run"
            ) from error
        finally:
            if not self.usable:
                self._stream.close()
        return out, err

    def _cannot_start(self, error: Unreachable) -> StepError:
        if not isinstance(error.__cause__, EOFError):
            return Unreachable(f"{self._host}: no shell there: {error.message}")
        text = error.message
        remedy = "see that this user may run sh there"
        if "password" in text and ("sudo" in text or "doas" in text):
            remedy = "allow this user to become root without one (NOPASSWD, nopass)"
        said = text[text.find("(") + 1 : text.rfind(")")]
        return NotAllowed(f"{self._host}: sh ended before the first command: {said}: {remedy}")


def _frame(host: str, command: Command | None, seconds: int, guard: Guard | None) -> str:
    """Return the shell text that runs a command; every word of it is quoted."""
    if command is None:
        return f"{guard.wrap('')} </dev/null" if guard is not None else ":"
    if any("\0" in text for text in (*command.argv, command.stdin or "")):
        raise Refused(f"{host}: a NUL byte cannot be sent in a command: {command!s:.80}")
    text = f"timeout -k {KILL_AFTER} {seconds} {shlex.join(command.argv)}"
    if guard is not None:
        text = guard.wrap(text)
    if command.stdin is None:
        return f"{text} </dev/null"
    return f"printf %s {shlex.quote(command.stdin)} | {text}"
