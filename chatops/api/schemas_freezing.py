"""Freezes and plans, as OpenAPI says them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import ConfigDict, StringConstraints

from chatops.api.schemas import Out
from chatops.api.schemas_asking import PRINTABLE, In, Moment

_SCOPE = r"^(\*|(pool|pair|nginx|balancer):(\*|[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}))$"
Scope = Annotated[str, StringConstraints(pattern=_SCOPE)]

_FREEZE: dict[str, Any] = {
    "id": 3,
    "scope": "pool:web",
    "reason": "the shop's big weekend",
    "by": "http:deploy",
    "since": "2026-11-21T10:00:00Z",
    "until": "2026-11-23T06:00:00Z",
}


class NewFreeze(In):
    """That no job is to start."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"scope": "pool:web", "until": "2027-01-09T06:00:00Z", "reason": "big weekend"}
            ]
        }
    )

    scope: Scope = "*"
    """pool:web, pair:*, nginx:edge, balancer:lb1, or * for everything."""
    until: Moment
    """When it ends by itself."""
    reason: Annotated[str, StringConstraints(pattern=PRINTABLE, min_length=1, max_length=500)]
    """Why: whoever is stopped is told."""


class Lift(In):
    """Which freezes are to be lifted."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"scope": "pool:web"}]})

    scope: Scope = "*"
    """Those of exactly this scope."""


class FreezeOut(Out):
    """A freeze."""

    id: int
    scope: str
    reason: str
    by: str
    since: str
    until: str


class FreezesOut(Out):
    """Freezes, the oldest first."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"freezes": [_FREEZE]}]})

    freezes: list[FreezeOut]


class Frozen(Out):
    """A freeze that was made."""

    id: int
    scope: str
    until: str
    runs: list[int]
    """Runs that are to start while it lasts: they will be refused, unless it is lifted before."""
    text: str
    caught: str | None
    """What is to be said about those runs."""


class PlanStep(Out):
    """A step, and what it would run now."""

    name: str
    summary: str
    commands: list[str]
    note: str | None


class PlanHost(Out):
    """A host, and its steps."""

    name: str
    steps: list[PlanStep]


class PlanOut(Out):
    """What a job would do now, as `winch plan --json` says it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "job": "roll",
                    "target": "web",
                    "vars": {"version": "1.26.3"},
                    "problems": [],
                    "before": [],
                    "hosts": [
                        {
                            "name": "web1",
                            "steps": [
                                {
                                    "name": "haproxy.drain",
                                    "summary": "drain web/web1 on lb1, lb2",
                                    "commands": ["lb1: set server web/web1 state drain"],
                                    "note": None,
                                }
                            ],
                        }
                    ],
                    "exit_code": 0,
                }
            ]
        }
    )

    job: str
    target: str
    vars: dict[str, str]
    problems: list[str]
    """Why it would be refused, or what does not answer."""
    before: list[PlanStep]
    """What is done once, before the hosts."""
    hosts: list[PlanHost]
    exit_code: int
    """0; 3: the job would be refused; 4: a host does not answer."""
