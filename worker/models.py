"""The tables. Times are seconds since the epoch (UTC) by the database's clock; see `Store.now`."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, Column, Index, Text, UniqueConstraint, text
from sqlmodel import Field, SQLModel

# Run status; a run is active until one of ENDED. `waiting` is derived when shown (worker.report).
ACTIVE = ("queued", "running")
ENDED = ("failed", "succeeded", "aborted", "rolled_back")

# Lane status while something may be under way on the host.
IN_FLIGHT = ("running", "waiting")

# A notification's state while nobody knows yet what comes of it.
UNSENT = ("queued", "sending")

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
    # What it is about, for who may see it: `pool:web`. Empty: only for those who may see all.
    scope: str = Field(default="", index=True)
    asker: str | None = None  # the person behind `requested_by`; None: the same
    needs_approval: bool = False  # nothing of it starts before another person has approved
    approval: str | None = Field(default=None, sa_column=Column(Text))  # why it takes one
    approval_role: str | None = None
    approved_by: str | None = None
    # No host that is in its place starts before; None: now. Cleared when it is due.
    start_at: float | None = Field(default=None, index=True)
    override_freeze: bool = False  # it may start although a freeze covers it
    # Set in the transaction that ends a lane, cleared by `advance`: a crash between is noticed.
    needs_advance: bool = Field(default=True, index=True)


class Lane(SQLModel, table=True):
    """One host's way through a run. At most one claim on it exists at any time."""

    __tablename__ = "lanes"
    __table_args__ = (
        # All that `advance` counts and looks for, so that it reads no lane that it does not start.
        Index("ix_lanes_run_standing", "run_id", "gate", "status", "changed", "position"),
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
    lost_at: float | None = None  # when the steward found it dead; None again when it comes back


class Leader(SQLModel, table=True):
    """Who is steward, and until when."""

    __tablename__ = "leaders"

    name: str = Field(primary_key=True)
    owner: str
    until: float


class Audit(SQLModel, table=True):
    """Who asked for what, from where, and what came of it.

    Append-only: written by `worker.audit.record` alone. Ids have no gaps and are committed in their
    order, so that a reader may remember the last one it has seen.
    """

    __tablename__ = "audit"

    id: int | None = Field(default=None, primary_key=True)
    at: float = Field(index=True)
    actor: str
    action: str
    target: str
    run_id: int | None = Field(default=None, index=True)
    outcome: str
    detail: str | None = Field(default=None, sa_column=Column(Text))
    prev_hash: str  # of the line before
    hash: str  # over this line and `prev_hash`


class AuditHead(SQLModel, table=True):
    """The last line of the audit, so that one which is cut off at the end is missed, too."""

    __tablename__ = "audit_head"

    id: int = Field(default=1, primary_key=True)
    last_id: int
    hash: str


class Token(SQLModel, table=True):
    """A bearer token of the HTTP API. The token itself is nowhere but with its owner."""

    __tablename__ = "tokens"
    __table_args__ = (
        Index(
            "ix_tokens_name_in_use",
            "name",
            unique=True,
            sqlite_where=text("revoked_at IS NULL"),
            postgresql_where=text("revoked_at IS NULL"),
        ),
    )

    id: int | None = Field(default=None, primary_key=True)
    name: str
    hash: str = Field(unique=True, index=True)  # SHA-256, hexadecimal
    role: str
    scopes: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    created_by: str
    created_at: float
    used_at: float | None = None
    revoked_at: float | None = None


class Idempotency(SQLModel, table=True):
    """The run that a request with an Idempotency-Key has made."""

    __tablename__ = "idempotency"

    owner: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    body_hash: str
    run_id: int = Field(foreign_key="runs.id")
    created_at: float = Field(index=True)


class ChatMessage(SQLModel, table=True):
    """The one message about a run in one room of a chat network, kept up to date."""

    __tablename__ = "chat_messages"
    __table_args__ = (UniqueConstraint("network", "channel", "run_id"),)

    id: int | None = Field(default=None, primary_key=True)
    network: str
    channel: str
    run_id: int = Field(foreign_key="runs.id", index=True)
    asked_by: str
    message: str | None = None  # the network's own name for it; None: not posted yet
    shown: str = ""  # a digest of what it shows
    shown_at: float = 0.0
    # What its thread has been told already.
    told: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    # The end that it shows: `Run.status` and `Run.ended_at`.
    settled: str | None = None
    settled_at: float | None = None
    gone: str | None = Field(default=None, sa_column=Column(Text))  # why it is given up
    owner: str | None = None  # the process that keeps it up to date, and until when
    owned_until: float = 0.0


class ChatSeen(SQLModel, table=True):
    """A request from a chat that was let in: it is not let in again."""

    __tablename__ = "chat_seen"

    network: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    at: float = Field(index=True)


class ChatCursor(SQLModel, table=True):
    """How far the events of a chat network have been read."""

    __tablename__ = "chat_cursors"

    network: str = Field(primary_key=True)
    cursor: str = Field(sa_column=Column(Text, nullable=False))


class WebSession(SQLModel, table=True):
    """A browser that has logged in with a token. Ends with the token, or at `expires_at`."""

    __tablename__ = "web_sessions"

    hash: str = Field(primary_key=True)  # SHA-256 of what the cookie holds, hexadecimal
    token_id: int = Field(foreign_key="tokens.id")
    created_at: float
    expires_at: float = Field(index=True)


class Freeze(SQLModel, table=True):
    """That no job starts in a scope (`*`: none at all) until a time. The row stays as history."""

    __tablename__ = "freezes"

    id: int | None = Field(default=None, primary_key=True)
    scope: str
    reason: str = Field(sa_column=Column(Text, nullable=False))
    created_by: str
    person: str  # who that is
    created_at: float
    until: float = Field(index=True)
    lifted_at: float | None = None
    lifted_by: str | None = None


class Notification(SQLModel, table=True):
    """One event for one receiver. Claimed before it is sent, so that it is never sent twice."""

    __tablename__ = "notifications"
    __table_args__ = (
        UniqueConstraint("event_id", "receiver"),
        Index("ix_notifications_state_due", "state", "due_at"),
    )

    id: int | None = Field(default=None, primary_key=True)
    event_id: int  # the audit's line
    receiver: str  # its name in the notify file; what leads to it is in no table
    event: str
    run_id: int | None = None
    title: str = Field(sa_column=Column(Text, nullable=False))
    body: str = Field(sa_column=Column(Text, nullable=False))
    at: float  # when it happened
    # One of UNSENT, or sent, failed, unknown (perhaps sent), expired, dropped.
    state: str = "queued"
    attempts: int = 0
    due_at: float
    claimed_by: str | None = None
    changed_at: float = Field(index=True)
    detail: str | None = Field(default=None, sa_column=Column(Text))


class NotifyCursor(SQLModel, table=True):
    """How far the audit has been read for notifications."""

    __tablename__ = "notify_cursors"

    name: str = Field(primary_key=True)
    last_id: int
