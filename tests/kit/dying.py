"""A worker that ends as by kill -9 just before or just after a command on a host.

`WINCH_TEST_DIES=after:USR2`: right after the first command that has `USR2` among its words, or in
its script. What it has seen of the answer dies with it.
"""

from __future__ import annotations

import os
import signal
from typing import Any

from worker.context import StepHost
from worker.remote import Command, Result

VARIABLE = "WINCH_TEST_DIES"


def arm(point: str) -> None:
    """Let this process die at a point: `before:WORD` or `after:WORD`."""
    when, _, word = point.partition(":")
    if when not in {"before", "after"} or not word:
        raise ValueError(f"{VARIABLE}={point!r}: must be before:WORD or after:WORD")
    really = StepHost._run

    def run(host: StepHost, command: Command, timeout: float, check: bool, *more: Any) -> Result:
        guard = more[0]
        hit = guard is not None and any(word in part for part in command.argv)
        if hit and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = really(host, command, timeout, check, *more)
        if hit:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    StepHost._run = run  # type: ignore[method-assign]
