"""Routes that look at more than one run: leases, the fleet, the audit, metrics, health."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from sqlmodel import col, select

from chatops.api.answers import Cursor, Limit, answers, number
from chatops.api.context import May, Parts
from chatops.api.schemas_asking import Why
from chatops.api.schemas_looking import AuditPage, Broken, FleetOut, Health, LeasesOut
from chatops.authorise import Principal, covers
from chatops.fleetview import fleet_document
from chatops.health import health as look_at_health
from chatops.reports import audit_line
from worker.models import Audit
from worker.report import lease_list

router = APIRouter(tags=["look"])
probes = APIRouter(tags=["look"])  # what machines ask for, and look for at the root too

Viewer = Annotated[Principal, Depends(May("look"))]


@router.get("/leases", response_model=LeasesOut, responses=answers())
def leases(parts: Parts, principal: Viewer) -> Any:
    """List who holds which lease, since when, and for which run."""
    held = lease_list(parts.desk.store)
    return {"leases": [lease for lease in held if covers(principal.scopes, lease["scope"])]}


@router.post("/leases/{name}/break", response_model=Broken, responses=answers(404), tags=["steer"])
def break_lease(
    name: Annotated[str, Path(pattern=r"^[a-z]{1,20}:[A-Za-z0-9_.-]{1,100}$")],
    body: Why,
    parts: Parts,
    principal: Annotated[Principal, Depends(May("break lease"))],
) -> Any:
    """Take a lease away from the run that holds it. The last resort; the hosts refuse that run."""
    return {"name": name, "run": parts.desk.break_lease(principal, name, body.reason)}


@router.get("/fleet", response_model=FleetOut, responses=answers())
def fleet(parts: Parts, principal: Viewer) -> Any:
    """Show the fleet file, and what was done to each host last. Contacts no host."""
    return fleet_document(parts.desk.fleet(), parts.desk.store, principal.scopes)


@router.get("/audit", response_model=AuditPage, responses=answers())
def audit(
    parts: Parts,
    _principal: Annotated[Principal, Depends(May("audit"))],
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Any:
    """List who asked for what, from where, and what came of it; newest first."""
    query = select(Audit).order_by(col(Audit.id).desc()).limit(limit)
    if cursor is not None:
        query = query.where(col(Audit.id) < (number(cursor) or 0))
    with parts.desk.store.read() as session:
        rows = session.exec(query).all()
    lines = [audit_line(row) for row in rows]
    return {"lines": lines, "next": str(rows[-1].id) if len(rows) == limit else None}


@probes.get(
    "/metrics",
    response_class=PlainTextResponse,
    responses={
        200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
        **answers(),
    },
)
def metrics(parts: Parts, _principal: Annotated[Principal, Depends(May("metrics"))]) -> Response:
    """Metrics for Prometheus."""
    return Response(parts.metrics.text(), media_type=CONTENT_TYPE_PLAIN_0_0_4)


@probes.get(
    "/healthz",
    response_model=Health,
    responses={503: {"model": Health, "description": "Redis or the database does not answer."}},
)
def healthz(parts: Parts, response: Response) -> Any:
    """Say how Redis, the database, the workers and the steward are. Needs no token."""
    found = look_at_health(parts.desk.store)
    if found["status"] == "failed":
        response.status_code = 503
    return found
