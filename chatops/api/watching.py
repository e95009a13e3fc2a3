"""The route of a run's events."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from chatops.api.answers import RunId, answers
from chatops.api.context import May, Parts, recognise
from chatops.authorise import Principal, allow
from chatops.stream import Place

router = APIRouter(tags=["runs"])

_EXAMPLE = (
    'id: 1795255260123\nevent: host\ndata: {"name":"web1","status":"running",…}\n\n'
    'id: 1795255260999.end\nevent: end\ndata: {"id":12,"status":"succeeded","exit_code":0}\n\n'
)


@router.get(
    "/runs/{run_id}/events",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "`snapshot` (a run with its hosts), then `host` and `run` for what has "
            "changed, and `end`. Comments are heartbeats.",
            "content": {"text/event-stream": {"schema": {"type": "string"}, "example": _EXAMPLE}},
        },
        204: {"description": "The run has ended, and Last-Event-ID was its end."},
        **answers(404),
    },
)
async def events(
    run_id: RunId,
    request: Request,
    parts: Parts,
    principal: Annotated[Principal, Depends(May("look"))],
    last_event_id: Annotated[str | None, Header(max_length=64)] = None,
) -> Response:
    """Follow a run to its end (server-sent events). Goes on behind Last-Event-ID."""
    run = await run_in_threadpool(parts.desk.run, principal, run_id)
    place = Place.parse(last_event_id)
    if place is not None and place.is_last_of(run):
        return Response(status_code=204)
    parts.hub.check_room()
    token = _token(request)

    def still_allowed() -> bool:
        now = recognise(parts, request, token)
        return now is not None and allow(now, "look", run.scope).allowed

    chunks = parts.hub.watch(
        run_id,
        last_id=None if place is None else place.id,
        scoped=bool(principal.scopes),
        still_allowed=still_allowed,
    )
    return StreamingResponse(
        chunks,
        media_type="text/event-stream",
        headers={"X-Accel-Buffering": "no"},  # nginx would hold events back
    )


def _token(request: Request) -> str | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None
