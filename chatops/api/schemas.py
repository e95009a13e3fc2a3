"""What goes in and out, as OpenAPI says it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from workflows.nginx_options import NginxOptions
from workflows.options import Options

_PRINTABLE = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$"
_NAME = r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}$"
_COUNT = r"^([1-9][0-9]{0,5}|([1-9]|[1-9][0-9]|100)%)$"

Name = Annotated[str, StringConstraints(pattern=_NAME)]
Line = Annotated[str, StringConstraints(pattern=_PRINTABLE, max_length=500)]
Value = Annotated[str, StringConstraints(pattern=_PRINTABLE, max_length=4000)]
Count = Annotated[str, StringConstraints(pattern=_COUNT)]
Duration = Annotated[
    str, StringConstraints(pattern=r"^[0-9]{1,6}(\.[0-9]{1,3})?(ms|s|m|h)$", max_length=20)
]
Variable = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$")]

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


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class Out(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)


class NginxUpgrade(_In):
    """Options of nginx.upgrade. A binary or a source would be a file of the server: not by HTTP."""

    package: Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z.+:~-]{1,100}$")] | None = None
    """The version of the distribution's package: 1.26.3."""
    soak: Duration | None = None
    """How long the old master is kept; wins over the fleet file."""
    confirm: Literal["auto", "manual"] | None = None
    """What then: QUIT at once, or wait for an approval; wins over the fleet file."""
    force: bool = False
    """Also when this version runs already."""


class JobOptions(_In):
    """Options of a job, as on the command line."""

    limit: list[Name] = Field(default=[], max_length=10_000)
    """Only these hosts."""
    exclude: list[Name] = Field(default=[], max_length=10_000)
    """Not these hosts."""
    vars: dict[Variable, Value] = Field(default={}, max_length=200)
    """Variables; they win over the fleet file's."""
    max_unavailable: Count | None = None
    """How many hosts may be out at once: 2 or 25%."""
    stages: list[Count] | None = Field(default=None, max_length=100)
    """So many hosts first, then so many in all."""
    include_maintenance: bool = False
    """Also servers that somebody has put into maintenance."""

    nginx: NginxUpgrade = NginxUpgrade()

    def options(self) -> Options:
        """Say them as `workflows` does."""
        return Options(
            limit=tuple(dict.fromkeys(self.limit)),
            exclude=tuple(dict.fromkeys(self.exclude)),
            vars=dict(self.vars),
            max_unavailable=self.max_unavailable,
            stages=None if self.stages is None else tuple(self.stages),
            include_maintenance=self.include_maintenance,
            nginx=NginxOptions.parse(**self.nginx.model_dump()),
        )


class NewRun(_In):
    """A job that is asked for."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "job": "roll",
                    "target": "web",
                    "options": {"vars": {"version": "1.26.3"}, "stages": ["1", "25%", "100%"]},
                    "reason": "CVE-2026-1234",
                },
                {"job": "drain", "target": "web", "hosts": ["web1"], "reason": "new disk"},
            ]
        }
    )

    job: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z_. -]{0,40}$")]
    """roll, drain, enable, ..."""
    target: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.,-]{0,500}$")]
    """What it is about: a pool of the fleet file, say."""
    hosts: list[Name] = Field(default=[], max_length=10_000)
    """Only these hosts; the same as options.limit."""
    options: JobOptions = JobOptions()
    reason: Line | None = None
    """Why: kept with the run."""


class Hosts(_In):
    """Which hosts of a run are meant."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"hosts": ["web3"]}, {}]})

    hosts: list[Name] = Field(default=[], max_length=10_000)
    """None: all that it can be meant for."""


class OneHost(_In):
    """Which host of a run is meant."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"host": "web3"}]})

    host: Name


class Why(_In):
    """Why something is done."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "its site is gone"}]})

    reason: Annotated[str, StringConstraints(pattern=_PRINTABLE, min_length=1, max_length=500)]


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
    errors: list[dict[str, str]] | None = None
