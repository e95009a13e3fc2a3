"""What the routes that look at more than one run answer, as OpenAPI says it."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict

from chatops.api.schemas import HostStatus, Out


class LeaseOut(Out):
    """Who holds a lease."""

    name: str
    number: int
    run: int
    job: str
    target: str
    run_status: str
    host: str | None
    requested_by: str
    since: str | None


class LeasesOut(Out):
    """The leases that are held."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "leases": [
                        {
                            "name": "host:web1",
                            "number": 1795255260123,
                            "run": 12,
                            "job": "roll",
                            "target": "web",
                            "run_status": "running",
                            "host": "web1",
                            "requested_by": "http:deploy",
                            "since": "2026-11-21T10:00:01Z",
                        }
                    ]
                }
            ]
        }
    )

    leases: list[LeaseOut]


class Broken(Out):
    """A lease that was taken away."""

    name: str
    run: int | None
    """The run that had it."""


class LastRun(Out):
    """What was done to a host last."""

    run: int
    job: str
    target: str
    status: HostStatus
    vars: dict[str, str]
    ended_at: str | None


class FleetHost(Out):
    """A machine."""

    name: str
    address: str
    site: str | None
    pools: list[str]
    pairs: list[str]
    nginx: list[str]
    balancer: bool
    last: LastRun | None


class FleetPool(Out):
    """Servers behind HAProxy."""

    name: str
    balancers: list[str]
    backends: list[str]
    servers: list[str]
    redeploy: str | None
    """How a server gets its new version."""


class FleetPair(Out):
    """Two hosts that hold addresses by VRRP."""

    name: str
    members: list[str]
    addresses: list[str]


class FleetNginx(Out):
    """nginx instances whose binary is upgraded in place."""

    name: str
    hosts: list[str]


class FleetOut(Out):
    """The fleet, as far as the asker may see it."""

    hosts: list[FleetHost]
    balancers: list[str]
    pools: list[FleetPool]
    pairs: list[FleetPair]
    nginx: list[FleetNginx]


class AuditLine(Out):
    """Who asked for what, and what came of it."""

    id: int
    at: str
    actor: str
    action: str
    target: str
    run: int | None
    outcome: str
    detail: str | None
    hash: str


class AuditPage(Out):
    """Lines of the audit, newest first."""

    lines: list[AuditLine]
    next: str | None


class Health(Out):
    """How the parts of Winch are."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "status": "ok",
                    "redis": "ok",
                    "database": "ok",
                    "workers": 2,
                    "steward_age_seconds": 0.4,
                }
            ]
        }
    )

    status: Literal["ok", "degraded", "failed"]
    """degraded: runs are taken, but nobody works on them now."""
    redis: Literal["ok", "failed"]
    database: Literal["ok", "failed"]
    workers: int | None
    steward_age_seconds: float | None
    """Since the steward showed that it lives; null: there has never been one."""
