"""What Prometheus reads. Labels are bounded: jobs, steps' names and statuses, never hosts.

Counters count what has ended since this process began to look, from the database; so one web
process sees all of it, whichever worker did it.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from sqlalchemy import func
from sqlalchemy import select as columns
from sqlmodel import Session, col, select

from tasks.journal import last_page
from worker.models import (
    ACTIVE,
    ENDED,
    UNSENT,
    Lane,
    Leader,
    Lease,
    Notification,
    Run,
    Step,
    WorkerRow,
)
from worker.node import is_dead
from worker.steward import LEAD_FOR
from worker.store import Store

_LATE = 60.0  # seconds that a transaction may take to show what ended before
_MOST_NAMES = 100  # of jobs, and of steps; the rest is "other"
_DRAIN = "haproxy.drain"
_SESSIONS = (0, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 5000)
_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200)


class Metrics:
    """One process's metrics."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._since = self._begun = store.now()
        self._seen: dict[tuple[str, int, float], float] = {}
        self._names: dict[str, set[str]] = {"job": set(), "step": set()}
        self.registry = CollectorRegistry()
        made = self.registry
        self._runs = Gauge("winch_runs_active", "Runs now.", ["job", "status"], registry=made)
        self._runs_ended = Counter(
            "winch_runs_ended", "Runs that have ended.", ["job", "status"], registry=made
        )
        self._steps_ended = Counter(
            "winch_steps_ended", "Steps that have ended.", ["step", "status"], registry=made
        )
        self._step_seconds = Histogram(
            "winch_step_seconds",
            "How long steps took, waits included.",
            ["step"],
            buckets=_SECONDS,
            registry=made,
        )
        self._drained = Histogram(
            "winch_drain_sessions",
            "Sessions on servers when their drain began, old workers' ones included.",
            buckets=_SESSIONS,
            registry=made,
        )
        self._sessions = Counter(
            "winch_drained_sessions",
            "Sessions that were drained: ended by themselves, or shut at the deadline.",
            ["end"],
            registry=made,
        )
        for end in ("itself", "shut"):
            self._sessions.labels(end)  # a series that is there from the start can be summed
        self._held = Gauge("winch_leases_held", "Leases held now.", ["kind"], registry=made)
        self._waited = Gauge("winch_leases_waited", "Hosts waiting for a lease.", registry=made)
        self._approvals = Gauge(
            "winch_approvals_waited", "Runs and hosts waiting for approval.", registry=made
        )
        self._told = Counter(
            "winch_notifications_ended",
            "Notifications that were sent, or given up.",
            ["state"],
            registry=made,
        )
        self._untold = Gauge(
            "winch_notifications_waiting", "Notifications that are to be sent.", registry=made
        )
        self._workers = Gauge("winch_workers", "Workers that live.", registry=made)
        self._lag = Gauge(
            "winch_steward_lag_seconds",
            "Since the steward showed that it lives; more than 5 is bad, NaN: there was none.",
            registry=made,
        )

    def text(self) -> bytes:
        """Look at the database and write the metrics."""
        with self._lock:
            now = self._store.now()
            with self._store.read() as session:
                self._count_ended(session, now)
                self._look(session, now)
            return generate_latest(self.registry)

    def _count_ended(self, session: Session, now: float) -> None:
        since = max(self._since, now - 24 * 3600) - _LATE
        fresh = (col(Run.status).in_(ACTIVE)) | (col(Run.ended_at) > since)
        for run_id, job, status, ended in session.exec(
            select(Run.id, Run.job, Run.status, Run.ended_at).where(
                col(Run.status).in_(ENDED), col(Run.ended_at) > since
            )
        ):
            if self._is_new("run", run_id, ended):
                self._runs_ended.labels(self._name("job", job), status).inc()
        drains: list[int | None] = []
        for step_id, name, status, begun, ended in session.connection().execute(
            columns(
                col(Step.id),
                col(Step.name),
                col(Step.status),
                col(Step.started_at),
                col(Step.ended_at),
            )
            .join(Run, col(Run.id) == col(Step.run_id))
            .where(fresh, col(Step.ended_at) > since)
        ):
            if self._is_new("step", step_id, ended):
                known = self._name("step", name)
                self._steps_ended.labels(known, status).inc()
                if begun is not None and ended is not None:
                    self._step_seconds.labels(known).observe(max(0.0, ended - begun))
                if name == _DRAIN and status == "succeeded":
                    drains.append(step_id)
        self._count_drained(session, drains)
        for row_id, state, changed in session.exec(
            select(Notification.id, Notification.state, Notification.changed_at).where(
                col(Notification.changed_at) > since, col(Notification.state).not_in(UNSENT)
            )
        ):
            if self._is_new("notification", row_id, changed):
                self._told.labels(state).inc()
        self._since = now
        self._seen = {key: at for key, at in self._seen.items() if at > now - 2 * _LATE}

    def _count_drained(self, session: Session, steps: list[int | None]) -> None:
        """Count the sessions of drains by what the steps have written down."""
        for memory in session.exec(select(Step.memory).where(col(Step.id).in_(steps))):
            sessions = int(last_page(memory, "sessions") or 0)
            shut = int(last_page(memory, "shut") or 0)
            self._drained.observe(max(sessions, shut))
            self._sessions.labels("itself").inc(max(0, sessions - shut))
            self._sessions.labels("shut").inc(shut)

    def _is_new(self, kind: str, row_id: int | None, ended: float | None) -> bool:
        """Whether this end was not counted yet; a step that is retried ends anew."""
        key = (kind, row_id or 0, ended or 0.0)
        if key in self._seen or (ended or 0.0) <= self._begun:
            return False
        self._seen[key] = ended or 0.0
        return True

    def _look(self, session: Session, now: float) -> None:
        self._runs.clear()
        for run in session.exec(select(Run).where(col(Run.status).in_(ACTIVE))):
            shown = "paused" if run.paused else "waiting" if run.needs_approval else run.status
            self._runs.labels(self._name("job", run.job), shown).inc()
        self._held.clear()
        for kind in _kinds(
            session.exec(select(Lease.name).where(col(Lease.run_id).is_not(None))).all()
        ):
            self._held.labels(kind).inc()
        self._waited.set(_count(session, "lease", "pending"))
        unapproved = session.exec(
            select(func.count())
            .select_from(Run)
            .where(col(Run.needs_approval).is_(True), col(Run.status).in_(ACTIVE))
        ).one()
        self._approvals.set(_count(session, "approval", "waiting") + unapproved)
        untold = select(func.count()).select_from(Notification)
        self._untold.set(session.exec(untold.where(col(Notification.state).in_(UNSENT))).one())
        rows = session.exec(select(WorkerRow)).all()
        self._workers.set(sum(not is_dead(row, now) for row in rows))
        age = steward_age(session, now)
        self._lag.set(math.nan if age is None else age)

    def _name(self, kind: str, name: str) -> str:
        names = self._names[kind]
        if name not in names and len(names) >= _MOST_NAMES:
            return "other"
        names.add(name)
        return name


def _count(session: Session, waiting_for: str, status: str) -> int:
    return session.exec(
        select(func.count())
        .select_from(Lane)
        .where(Lane.waiting_for == waiting_for, Lane.status == status)
    ).one()


def _kinds(names: Iterable[str]) -> list[str]:
    known = {"host", "pair", "balancer"}
    kinds = (name.partition(":")[0] for name in names)
    return [kind if kind in known else "other" for kind in kinds]


def steward_age(session: Session, now: float) -> float | None:
    """Seconds since the steward showed that it lives; None: there has never been one."""
    row = session.get(Leader, "steward")
    return None if row is None else max(0.0, now - (row.until - LEAD_FOR))
