"""What is worth telling, found in the audit: a pure function from its lines to events.

The audit has a line for each, in one order and without gaps, so an event is the line's number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chatops.authorise import touches
from worker.models import Audit, Run

ENGINE = "engine"  # who writes what a run came to
STEWARD = "steward"

# The events of a route that names none; the others are told only who asks for them.
USUAL = (
    "failed",
    "approval",
    "rolled_back",
    "lease_broken",
    "worker_lost",
    "frozen",
    "unfrozen",
    "freeze_overridden",
)
KINDS = (*USUAL, "succeeded", "aborted")

_ENDS = {
    "failed": "failed",
    "rolled_back": "rolled_back",
    "succeeded": "succeeded",
    "aborted": "aborted",
}
_APPROVAL = "waiting for approval"  # the engine's words
# What people and the steward do, by the action that the audit gives it and its outcome.
_DEEDS = {
    ("lease break", "granted"): "lease_broken",
    ("worker lost", "lost"): "worker_lost",
    ("freeze", "granted"): "frozen",
    ("unfreeze", "granted"): "unfrozen",
    ("override freeze", "granted"): "freeze_overridden",
}
_FREEZES = ("frozen", "unfrozen")


@dataclass(frozen=True)
class Event:
    """Something that happened; `id` is its line in the audit."""

    id: int
    kind: str
    at: float  # seconds since the epoch
    actor: str
    target: str
    detail: str | None = None
    run_id: int | None = None
    job: str | None = None
    scope: str = ""  # `pool:web`; empty: about everything, or nothing in particular
    requested_by: str | None = None
    reason: str | None = None


def event_of(line: Audit, run: Run | None) -> Event | None:
    """Say which event a line of the audit is; None: nothing that anybody is told."""
    kind = _kind(line)
    if kind is None:
        return None
    known = run if run is not None and run.id == line.run_id else None
    # The audit names the scope of a freeze that was overridden; people want to know for what.
    target = known.target if known is not None and kind == "freeze_overridden" else line.target
    scope = line.target if kind in _FREEZES and ":" in line.target else ""
    return Event(
        id=line.id or 0,
        kind=kind,
        at=line.at,
        actor=line.actor,
        target=target,
        detail=line.detail,
        run_id=line.run_id,
        job=None if known is None else known.job,
        scope=scope if known is None else known.scope,
        requested_by=None if known is None else known.requested_by,
        reason=None if known is None else known.reason,
    )


def _kind(line: Audit) -> str | None:
    if line.actor == ENGINE and line.outcome == "waiting":
        # A run may also wait for the time that it was asked for.
        return "approval" if _APPROVAL in (line.detail or "") else None
    if line.actor == ENGINE:
        return _ENDS.get(line.outcome)
    return _DEEDS.get((line.action, line.outcome))


def concerns(
    event: Event, kinds: Sequence[str], scopes: Sequence[str], jobs: Sequence[str]
) -> bool:
    """Whether a route that names these is about an event. None of them named means all of them.

    A route that names scopes or jobs is told nothing that is about neither.
    """
    if event.kind not in (kinds or USUAL):
        return False
    if jobs and event.job not in jobs:
        return False
    if event.kind in _FREEZES and not event.scope:
        return True  # it is about everything
    return touches(scopes, event.scope)
