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
from chatops.api.schemas import Steered
from chatops.api.schemas_asking import Going, Hosts, OneHost
from chatops.authorise import Principal
from chatops.orders import NO_OVERRIDE, OVERRIDING
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
    hosts = [] if body is None else body.hosts
    return _steer(parts, principal, "retry", run_id, hosts, body)


@router.post("/skip", response_model=Steered)
def skip(
    run_id: RunId,
    parts: Parts,
    principal: Annotated[Principal, Depends(May("skip"))],
    body: OneHost,
) -> Any:
    """Leave a host as it is, give its leases back, and go on with the others."""
    return _steer(parts, principal, "skip", run_id, [body.host], body)


def _route(action: str, summary: str) -> None:
    """Add the route of an action that is about a whole run."""
    may = Depends(May(action))

    def plain(run_id: RunId, parts: Parts, principal: Principal = may) -> Any:
        return _steer(parts, principal, action, run_id)

    def going(
        run_id: RunId, parts: Parts, body: Going | None = None, principal: Principal = may
    ) -> Any:
        return _steer(parts, principal, action, run_id, [], body)

    route = going if action in OVERRIDING else plain
    add = router.post(f"/{action}", name=action, response_model=Steered, description=summary)
    add(route)


for _action, _summary in (
    ("pause", "Start no further host; those under way go on to their end."),
    ("resume", "Let a paused run go on."),
    (
        "approve",
        "Let a run begin, or its hosts go on, that wait for an approval. Not by the run's asker.",
    ),
    ("abort", "End a run now; hosts stay as they are."),
    ("rollback", "Put back every host that the run has changed."),
):
    _route(_action, _summary)


def _steer(
    parts: Parts,
    principal: Principal,
    action: str,
    run_id: int,
    hosts: Sequence[str] = (),
    body: Going | None = None,
) -> Any:
    override = NO_OVERRIDE if body is None else body.override()
    about = parts.desk.steer(principal, action, run_id, hosts, override=override)
    document = seen_by(principal, run_document(parts.desk.store, run_id))
    return {"action": action, "hosts": about, "run": document}
