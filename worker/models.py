"""The tables. Times are seconds since the epoch (UTC) by the database's clock; see `Store.now`."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, Column, Index, Text
from sqlmodel import Field, SQLModel

# Run status; a run is active until one of ENDED. `waiting` is derived when shown (worker.report).
ACTIVE = ("queued", "running")
ENDED = ("failed", "succeeded", "aborted", "rolled_back")

# Lane status while something may be under way on the host.
IN_FLIGHT = ("running", "waiting")

FORWARD = "forward"
BACK = "back"


class Run(SQLModel, table=True):
    """One job that somebody asked for."""

    __tablename__ = "runs"

    id: int | None = Field(default=None, primary_key=True)
    job: str
    target: str
    status: str = Field(default="queued", index=True)
    requested_by: str
    reason: str | None = None
    created_at: float
    started_at: float | None = None
    ended_at: float | None = None
    vars: dict[str, str] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    policy: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    # The queues its lanes are published to, so that a worker for all sites can listen to them.
    sites: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    detail: str | None = Field(default=None, sa_column=Column(Text))
    exit_code: int | None = None
    paused: bool = False
    aborted: bool = False
    rolling_back: bool = False
    # Set in the transaction that ends a lane, cleared by `advance`: a crash between is noticed.
    needs_advance: bool = Field(default=True, index=True)


class Lane(SQLModel, table=True):
    """One host's way through a run. At most one claim on it exists at any time."""

    __tablename__ = "lanes"
    __table_args__ = (
        Index("ix_lanes_run_status", "run_id", "status"),
        Index("ix_lanes_status_wait", "status", "wait_until"),
    )

    id: int | None = Field(default=None, primary_key=True)
    run_id: int = Field(foreign_key="runs.id")
    position: int
    host: str
    site: str | None = None
    gate: bool = False
    status: str = "pending"
    outcome: str | None = None
    detail: str | None = Field(default=None, sa_column=Column(Text))
    direction: str = FORWARD
    leases: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    touches: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    hosts: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    # What it holds now: lease name -> fencing number. `fenced`: all of `touches` have been told.
    numbers: dict[str, int] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    fenced: bool = False
    current_step_id: int | None = Field(default=None, index=True)
    claim: str | None = None
    claimed_by: str | None = Field(default=None, index=True)
    published_at: float | None = None
    publishes: int = 0
    waiting_for: str | None = Field(default=None, index=True)
    wait_until: float | None = None
    waiting_since: float | None = None
    changed: bool = False  # something on the host, or about it, is not as it was
    retries: int = 0  # of the current step, after the host did not answer
    started_at: float | None = None
    ended_at: float | None = None


class Step(SQLModel, table=True):
    """One Celery task that changes or checks one host."""

    __tablename__ = "steps"

    id: int | None = Field(default=None, primary_key=True)
    run_id: int = Field(foreign_key="runs.id", index=True)
    lane_id: int = Field(foreign_key="lanes.id", index=True)
    position: int
    direction: str = FORWARD
    name: str
    summary: str
    params: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    undoes: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    status: str = "pending"
    changed: bool = False
    attempts: int = 0
    detail: str | None = Field(default=None, sa_column=Column(Text))
    memory: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    task_id: str | None = None
    started_at: float | None = None
    ended_at: float | None = None


class RemoteCommand(SQLModel, table=True):
    """One command that ran on a host; `times` when the same one with the same answer repeated."""

    __tablename__ = "commands"

    id: int | None = Field(default=None, primary_key=True)
    run_id: int = Field(foreign_key="runs.id", index=True)
    step_id: int = Field(foreign_key="steps.id", index=True)
    attempt: int
    host: str
    mutating: bool
    command: str = Field(sa_column=Column(Text, nullable=False))
    exit_code: int | None
    stdout: str = Field(sa_column=Column(Text, nullable=False))
    stderr: str = Field(sa_column=Column(Text, nullable=False))
    at: float
    seconds: float
    times: int = 1


class Lease(SQLModel, table=True):
    """The right to touch a host, a pair or a balancer. The row stays; its number only grows."""

    __tablename__ = "leases"

    name: str = Field(primary_key=True)
    number: int = Field(sa_column=Column(BigInteger, nullable=False))
    run_id: int | None = Field(default=None, index=True)
    lane_id: int | None = None
    taken_at: float | None = None


class WorkerRow(SQLModel, table=True):
    """One worker process. `node` and `born` tell its machine whether the process still lives."""

    __tablename__ = "workers"

    id: str = Field(primary_key=True)
    node: str
    pid: int
    born: str  # the process's start time in clock ticks, from /proc/PID/stat
    sites: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    started_at: float
    heartbeat_at: float = Field(index=True)


class Leader(SQLModel, table=True):
    """Who is steward, and until when."""

    __tablename__ = "leaders"

    name: str = Field(primary_key=True)
    owner: str
    until: float


class Audit(SQLModel, table=True):
    """Who asked for what, from where, and what came of it."""

    __tablename__ = "audit"

    id: int | None = Field(default=None, primary_key=True)
    at: float = Field(index=True)
    actor: str
    action: str
    target: str
    run_id: int | None = Field(default=None, index=True)
    outcome: str
    detail: str | None = Field(default=None, sa_column=Column(Text))
