"""Whether a run may begin: what is asked for later, windows, freezes."""

from __future__ import annotations

from sqlmodel import Session

from worker.freezes import freezing, why
from worker.models import Run
from worker.plan import Policy
from worker.windows import opening


def begins(policy: Policy, at: float | None, now: float) -> float:
    """Say when a run is to begin: at a time or later, in a window."""
    return opening(policy.windows, now if at is None else max(at, now))


def due(run: Run, now: float) -> float | None:
    """Take note that the time has come for which a run has waited. Returns that time."""
    at = run.start_at
    if at is None or at > now:
        return None
    run.start_at = None
    return at


def too_early(run: Run, policy: Policy, now: float) -> bool:
    """Whether a run that could start further hosts has to wait; `start_at` says for how long."""
    if run.start_at is None:
        opens = begins(policy, None, now)
        run.start_at = opens if opens > now else None
    return run.start_at is not None


def frozen(session: Session, run: Run, now: float) -> str | None:
    """Say why a run may not start its first host now; None: it may."""
    if run.started_at is not None or run.override_freeze:
        return None  # what goes on already is not touched
    row = freezing(session, run.scope, now)
    return None if row is None else why(f"run {run.id}: {run.job} {run.target}", row)
