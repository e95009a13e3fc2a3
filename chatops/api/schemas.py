"""What comes out, as OpenAPI says it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

RunStatus = Literal[
    "queued", "running", "waiting", "paused", "failed", "succeeded", "aborted", "rolled_back"
]
HostStatus = Literal[
    "pending",
    "running",
    "waiting",
    "failed",
    "succeeded",
    "skipped",
    "cancelled",
    "rolled_back",
]


class Out(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)


class StepOut(Out):
    """One step on one host."""

    name: str
    status: HostStatus
    changed: bool
    attempts: int
    started_at: str | None
    ended_at: str | None
    seconds: float | None
    detail: str | None
    task_id: str | None
    """The Celery task that ran it last, as Flower knows it."""


class HostOut(Out):
    """One host's way through a run."""

    name: str
    status: HostStatus
    outcome: str | None
    waiting_for: str | None
    waiting_since: str | None
    detail: str | None
    steps: list[StepOut]


class Progress(Out):
    """Steps done, of all."""

    done: int
    total: int


class ApprovalOut(Out):
    """The approval that a run takes before it begins."""

    needed: bool
    """It waits for it still."""
    why: str
    role: str | None
    """What the approver must be."""
    approved_by: str | None


class RunSummary(Out):
    """A run without its hosts."""

    id: int
    job: str
    target: str
    status: RunStatus
    requested_by: str
    reason: str | None
    created_at: str
    start_at: str | None = None
    """It starts hosts no sooner; null: it is not held up by a time."""
    started_at: str | None
    ended_at: str | None
    vars: dict[str, str]
    detail: str | None
    exit_code: int | None
    scope: str
    approval: ApprovalOut | None
    progress: Progress


_RUN: dict[str, Any] = {
    "id": 12,
    "job": "roll",
    "target": "web",
    "status": "running",
    "requested_by": "http:deploy",
    "reason": "CVE-2026-1234",
    "created_at": "2026-11-21T10:00:00Z",
    "start_at": None,
    "started_at": "2026-11-21T10:00:01Z",
    "ended_at": None,
    "vars": {"version": "1.26.3"},
    "detail": None,
    "exit_code": None,
    "scope": "pool:web",
    "approval": None,
    "progress": {"done": 1, "total": 4},
}
_HOST: dict[str, Any] = {
    "name": "web1",
    "status": "running",
    "outcome": None,
    "waiting_for": None,
    "waiting_since": None,
    "detail": None,
    "steps": [
        {
            "name": "haproxy.drain",
            "status": "succeeded",
            "changed": True,
            "attempts": 1,
            "started_at": "2026-11-21T10:00:01Z",
            "ended_at": "2026-11-21T10:00:02Z",
            "seconds": 1.2,
            "detail": "0 sessions after 1.2 s on lb1, lb2",
            "task_id": "6f1c0a52-3f5e-4f4e-9a55-0d6b2f4a7c10",
        }
    ],
}


class RunOut(RunSummary):
    """A run with every host and step."""

    model_config = ConfigDict(json_schema_extra={"examples": [{**_RUN, "hosts": [_HOST]}]})

    hosts: list[HostOut]


class RunPage(Out):
    """Some runs, newest first."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"runs": [_RUN], "next": "11"}]})

    runs: list[RunSummary]
    next: str | None
    """The `cursor` of the page behind; null at the end. A page may hold fewer than `limit`."""


class Steered(Out):
    """What was done to a run."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"action": "retry", "hosts": ["web1"], "run": {**_RUN, "hosts": [_HOST]}}]
        }
    )

    action: str
    hosts: list[str]
    """The hosts that it is about; none for what is about the whole run."""
    run: RunOut


class CommandOut(Out):
    """One remote command and what it said."""

    id: int
    at: str
    host: str
    step: str
    attempt: int
    on: str
    changes: bool
    command: str
    exit_code: int | None
    stdout: str
    stderr: str
    seconds: float
    times: int


class LogPage(Out):
    """Remote commands of a run, in their order."""

    commands: list[CommandOut]
    next: str | None
    """The `cursor` of what comes behind; null when there is no more now."""


class Problem(Out):
    """Why a request failed (RFC 9457)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "about:blank",
                    "title": "Conflict",
                    "status": 409,
                    "detail": "run 12 is running: nothing to retry",
                    "exit_code": 1,
                }
            ]
        }
    )

    type: str
    title: str
    status: int
    detail: str
    exit_code: int | None = None
    """What the command line would have returned."""
    frozen: bool | None = None
    """A freeze keeps it from starting: `override_freeze` with a reason, for those who may."""
    errors: list[dict[str, str]] | None = None
