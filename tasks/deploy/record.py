"""What `deploy.redeploy` and `deploy.restore` tell each other, and themselves after a crash; and
how both run their commands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from worker.errors import CommandFailed, Failed
from worker.remote import Command, Result
from worker.step import Context


class Record:
    """A step's own memory, and what stood before the lane's redeploy."""

    def __init__(self, context: Context, redeploy: Mapping[str, Any]) -> None:
        self._context = context
        self._redeploy = redeploy

    @property
    def before(self) -> Mapping[str, Any] | None:
        """What stood before the redeploy's first action; None if it has not acted (yet)."""
        value: Mapping[str, Any] | None = self.redeployed("before")
        return value

    def redeployed(self, key: str) -> Any:
        """What the redeploy remembered under `key`, or None."""
        return self._redeploy.get(key)

    def get(self, key: str) -> Any:
        """What this step remembered under `key`, in an earlier try too, or None."""
        return self._context.memory.get(key)

    def remember(self, **facts: Any) -> None:
        """Remember, before acting. The first value of a key stays."""
        self._context.remember(**facts)


class RedeployRecord(Record):
    """The record of a `deploy.redeploy`."""

    def __init__(self, context: Context) -> None:
        super().__init__(context, context.memory)


class RestoreRecord(Record):
    """The record of a `deploy.restore`."""

    def __init__(self, context: Context) -> None:
        super().__init__(context, context.recall("deploy.redeploy"))


TIMED_OUT = 124  # timeout(1)
LAST_LINES = 5
EXCERPT_CHARACTERS = 400


def last_words(result: Result) -> str:
    """Make one line of the last lines that a command printed, errors preferred."""
    text = result.stderr.strip() or result.stdout.strip() or "no output"
    lines = [line.strip() for line in text.splitlines() if line.strip()][-LAST_LINES:]
    return " | ".join(lines)[-EXCERPT_CHARACTERS:]


def act(
    context: Context, command: Command, *, timeout: float, what: str, advice: str = ""
) -> Result:
    """Run a command that changes the host; say line by line how far it is.

    Raises:
        Failed: it exited with other than 0; `what` says what was tried, `advice` what to do.
    """
    end = f"; {advice}" if advice else ""
    try:
        result = context.host.act(
            command, timeout=timeout, check=False, on_line=teller(context, what)
        )
    except CommandFailed as error:
        result = Result(error.code, error.stdout, error.stderr, timeout)
    if result.exit_code == TIMED_OUT and result.seconds >= timeout:
        raise Failed(
            f"{context.host.name}: {what} was killed after {timeout:g} s, expected to end by then: "
            f"{last_words(result)}; give it a longer `timeout`{end}"
        )
    if not result.ok:
        raise Failed(
            f"{context.host.name}: {what} failed: exit code {result.exit_code}, expected 0: "
            f"{last_words(result)}{end}"
        )
    return result


def teller(context: Context, what: str) -> Callable[[str], None]:
    """Turn lines of output into progress of the step, each kept short."""

    def tell(line: str) -> None:
        if line.strip():
            context.progress(f"{what}: {line.strip()[:160]}")

    return tell
