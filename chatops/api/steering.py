"""Routes that steer a run.

Of two who do the same at the same instant one wins, and the other gets 409.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends

from chatops.api.answers import RunId, answers
from chatops.api.context import May, Parts
from chatops.api.runs import seen_by
from chatops.api.schemas import Hosts, OneHost, Steered
from chatops.authorise import Principal
from worker.report import run_document

router = APIRouter(tags=["steer"], prefix="/runs/{run_id}", responses=answers(404, 409))


@router.post("/retry", response_model=Steered)
def retry(
    run_id: RunId,
    parts: Parts,
    principal: Annotated[Principal, Depends(May("retry"))],
    body: Hosts | None = None,
) -> Any:
    """Go on from the step that failed; hosts that were cancelled or rolled back start again."""
    return _steer(parts, principal, "retry", run_id, [] if body is None else body.hosts)


@router.post("/skip", response_model=Steered)
def skip(
    run_id: RunId,
    parts: Parts,
    principal: Annotated[Principal, Depends(May("skip"))],
    body: OneHost,
) -> Any:
    """Leave a host as it is, give its leases back, and go on with the others."""
    return _steer(parts, principal, "skip", run_id, [body.host])


@router.post("/pause", response_model=Steered)
def pause(
    run_id: RunId, parts: Parts, principal: Annotated[Principal, Depends(May("pause"))]
) -> Any:
    """Start no further host; those under way go on to their end."""
    return _steer(parts, principal, "pause", run_id)


@router.post("/resume", response_model=Steered)
def resume(
    run_id: RunId, parts: Parts, principal: Annotated[Principal, Depends(May("resume"))]
) -> Any:
    """Let a paused run go on."""
    return _steer(parts, principal, "resume", run_id)


@router.post("/approve", response_model=Steered)
def approve(
    run_id: RunId, parts: Parts, principal: Annotated[Principal, Depends(May("approve"))]
) -> Any:
    """Let a run begin, or its hosts go on, that wait for an approval. Not by the run's asker."""
    return _steer(parts, principal, "approve", run_id)


@router.post("/abort", response_model=Steered)
def abort(
    run_id: RunId, parts: Parts, principal: Annotated[Principal, Depends(May("abort"))]
) -> Any:
    """End a run now; hosts stay as they are."""
    return _steer(parts, principal, "abort", run_id)


@router.post("/rollback", response_model=Steered)
def rollback(
    run_id: RunId, parts: Parts, principal: Annotated[Principal, Depends(May("rollback"))]
) -> Any:
    """Put back every host that the run has changed."""
    return _steer(parts, principal, "rollback", run_id)


def _steer(
    parts: Parts, principal: Principal, action: str, run_id: int, hosts: Sequence[str] = ()
) -> Any:
    about = parts.desk.steer(principal, action, run_id, hosts)
    document = seen_by(principal, run_document(parts.desk.store, run_id))
    return {"action": action, "hosts": about, "run": document}
