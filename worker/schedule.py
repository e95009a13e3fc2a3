"""Which lanes may start now: a sliding window, as pure functions.

Not batches: as soon as one host is done the next one may start, so that nobody waits for the
slowest host of a batch. The cost does not depend on the size of the run: counts are enough.
"""

from __future__ import annotations

from dataclasses import dataclass

from worker.plan import Policy


@dataclass(frozen=True)
class Tally:
    """How a run's lanes stand (gates are not counted).

    `in_flight`: under way or waiting in the middle. `out`: not under way, but something about the
    host is not as it was, so it may be out of rotation. `pending_out`: those of `out` that may be
    started. `failures`: failed and rolled back. `ended`: with any result but cancelled.
    """

    total: int
    pending: int
    in_flight: int
    out: int
    pending_out: int
    failures: int
    ended: int
    gates_open: bool = True
    stopped: bool = False  # paused, aborted


@dataclass(frozen=True)
class Slots:
    """How many lanes may start: fresh ones, and ones whose host is out already (free of charge)."""

    fresh: int
    resumed: int


def slots(tally: Tally, policy: Policy) -> Slots:
    """Decide how many lanes may start now.

    Never more than `max_unavailable` hosts are in flight or out; no fresh lane starts once more
    than `max_failures` have failed, nor before the stage it belongs to: a stage opens when as many
    lanes as its predecessor's size have ended. A lane that was retried and is out already takes no
    new slot: it was never given back.
    """
    if not tally.gates_open or tally.stopped or tally.failures > policy.max_failures:
        return Slots(0, 0)
    started = tally.total - tally.pending
    stage = next((size for size in policy.stages if size > tally.ended), tally.total)
    window = policy.max_unavailable - tally.in_flight - tally.out
    fresh = min(window, stage - started - tally.pending_out, tally.pending - tally.pending_out)
    return Slots(max(0, fresh), tally.pending_out)


@dataclass(frozen=True)
class Ending:
    """How a run ended: its status and the exit code of whoever follows it."""

    status: str
    exit_code: int


# Outcome of a failed lane -> exit code, the most telling first.
_CODES = {"failed": 2, "unreachable": 4, "refused": 3, "lease": 6}


def ending(
    statuses: set[str], outcomes: set[str], *, aborted: bool, changed: bool, rolling_back: bool
) -> Ending:
    """Say how a run ended, from the statuses of its lanes and the outcomes of those that failed.

    `changed`: some host was changed by the run; then a refusal is no longer "nothing changed" but a
    failure on a host (2).
    """
    if aborted:
        return Ending("aborted", 99)
    if "failed" in statuses:
        first = next((code for name, code in _CODES.items() if name in outcomes), 2)
        return Ending("failed", 2 if first == 3 and changed else first)  # noqa: PLR2004
    if "rolled_back" in statuses or rolling_back:
        return Ending("rolled_back", 8)
    return Ending("succeeded", 0)
