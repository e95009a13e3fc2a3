"""A real worker that also knows steps which wait for an approval or take their time."""

from __future__ import annotations

import sys
import time

from worker.main import run_worker
from worker.step import Context, Done, Outcome, Params, Wait, step


class Seconds(Params):
    """How long to work."""

    seconds: float = 0.0


def nothing(_context: Context, _params: Seconds) -> list[str]:
    return []


@step("fake.approval", preview=nothing)
def approval(context: Context, params: Seconds) -> Outcome:
    """Wait for an approval."""
    del params
    if "approved_by" in context.memory:
        return Done(f"approved by {context.memory['approved_by']}", changed=False)
    return Wait("approval", "waiting for approval: look at it first", 3600)


@step("fake.work", preview=nothing)
def work(context: Context, params: Seconds) -> Outcome:
    """Work for a while, and say how far it is."""
    end = time.monotonic() + params.seconds
    while (left := end - time.monotonic()) > 0:
        context.progress(f"{left:.1f} s left")
        time.sleep(0.05)
    return Done("worked")


if __name__ == "__main__":
    sys.exit(run_worker([], concurrency=8))
