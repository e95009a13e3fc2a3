"""Routes of runs: ask for one, list them, look at one and its logs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Response
from sqlalchemy import ColumnElement, or_
from sqlmodel import col

from chatops.api.answers import Cursor, Limit, RunId, answers, number
from chatops.api.context import May, Parts
from chatops.api.schemas import LogPage, RunOut, RunPage
from chatops.api.schemas_asking import NewRun
from chatops.api.schemas_freezing import PlanOut
from chatops.authorise import Principal, covers
from chatops.idempotency import Key
from chatops.redact import redacted
from worker.models import Run
from worker.report import run_commands, run_document, run_list

router = APIRouter(tags=["runs"])

Starter = Annotated[Principal, Depends(May("start"))]
Viewer = Annotated[Principal, Depends(May("look"))]


@router.post("/runs", status_code=201, response_model=RunOut, responses=answers(409))
def ask(
    body: NewRun,
    parts: Parts,
    principal: Starter,
    response: Response,
    key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            pattern=r"^[\x21-\x7e]{1,255}$",
            description="The same key and body again give the same run, and start no second one.",
        ),
    ] = None,
) -> Any:
    """Start a job. If a policy asks for it, the run waits for another person's approval."""
    order = body.order()
    made = None if key is None else Key.of(principal.name, key, body.model_dump(mode="json"))
    asked = parts.desk.ask(principal, order, key=made)
    response.headers["Location"] = f"/api/v1/runs/{asked.run_id}"
    if asked.replayed:
        response.headers["Idempotent-Replayed"] = "true"
    return seen_by(principal, run_document(parts.desk.store, asked.run_id))


@router.post("/plan", response_model=PlanOut, responses=answers(409))
def plan(body: NewRun, parts: Parts, principal: Starter) -> Any:
    """Say what a job would do now, host by host, with the commands. Looks at the hosts, no more."""
    return parts.desk.preview(principal, body.order())


@router.get("/runs", response_model=RunPage, responses=answers())
def list_runs(
    parts: Parts,
    principal: Viewer,
    limit: Limit = 50,
    cursor: Cursor = None,
    job: Annotated[str | None, Query(max_length=100)] = None,
    target: Annotated[str | None, Query(max_length=600)] = None,
) -> Any:
    """List the runs that the asker may see, newest first, without their hosts."""
    where = within(principal.scopes)
    where += [] if job is None else [col(Run.job) == _stored(job)]
    where += [] if target is None else [col(Run.target) == _stored(target)]
    found = run_list(parts.desk.store, limit=limit, before=number(cursor), where=where)
    last = str(found[-1]["id"]) if len(found) == limit else None
    runs = [run for run in found if covers(principal.scopes, run["scope"])]
    return {"runs": seen_by(principal, runs), "next": last}


@router.get("/runs/{run_id}", response_model=RunOut, responses=answers(404))
def show_run(run_id: RunId, parts: Parts, principal: Viewer) -> Any:
    """Show one run: every host, every step."""
    parts.desk.run(principal, run_id)
    return seen_by(principal, run_document(parts.desk.store, run_id))


@router.get("/runs/{run_id}/logs", response_model=LogPage, responses=answers(404))
def logs(
    run_id: RunId,
    parts: Parts,
    principal: Viewer,
    host: Annotated[
        str | None,
        Query(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}$", description="Of this host only."),
    ] = None,
    limit: Limit = 200,
    cursor: Cursor = None,
) -> Any:
    """Show every remote command of a run, with what it said."""
    parts.desk.run(principal, run_id)
    found = run_commands(parts.desk.store, run_id, host, after=number(cursor), limit=limit)
    last = str(found[-1]["id"]) if len(found) == limit else None
    return {"commands": found, "next": last}


def seen_by(principal: Principal, document: Any) -> Any:
    """Hide from a principal with scopes what a document says of the runs of others."""
    return redacted(document) if principal.scopes else document


def within(scopes: Sequence[str]) -> list[ColumnElement[bool]]:
    """Choose the runs that scopes may include; those that name several are looked at again."""
    if not scopes:
        return []
    chosen: list[ColumnElement[bool]] = []
    for scope in scopes:
        kind, _, name = scope.partition(":")
        chosen.append(
            col(Run.scope).startswith(f"{kind}:", autoescape=True)
            if name == "*"
            else or_(
                col(Run.scope) == scope,
                col(Run.scope).startswith(f"{kind}:", autoescape=True)
                & col(Run.scope).contains(","),
            )
        )
    return [or_(*chosen)]


def _stored(text: str) -> str:
    """No database keeps NUL in a text; so nothing is equal to it."""
    return text.replace("\x00", "\ufffd")
