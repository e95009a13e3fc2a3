"""The steward: the part of every worker that renews, resumes and repairs. One leads at a time.

Whatever a crash, a lost message or an emptied Redis leaves behind is found here by looking at SQL.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from sqlalchemy import delete, or_, update
from sqlmodel import Session, col, select

from worker.audit import record
from worker.engine import Engine
from worker.leading import Led
from worker.models import ACTIVE, Lane, Lease, Run, WorkerRow
from worker.node import Node, is_dead

log = logging.getLogger(__name__)

TICK = 0.25  # seconds
LEAD_FOR = 5.0  # seconds without a tick until another steward takes over
_RENEW_EVERY = 5.0
_TIDY_EVERY = 60.0
_FORGET_WORKERS_AFTER = 3600.0
# Seconds after which a message that nobody took is published again; doubled each time, because it
# may only be queued behind others (a second copy does no harm: the claim ends it).
_LOST_AFTER = 2.0
_LOST_AFTER_MAX = 120.0
_QUEUED_GRACE = 10.0  # times more patience while the queue is not empty


class Steward(Led):
    """One worker's steward. `queued(site)` is the number of messages in a queue."""

    def __init__(self, engine: Engine, node: Node, queued: Callable[[str | None], int]) -> None:
        super().__init__(engine.store, "steward", node.id, lead_for=LEAD_FOR, pause=TICK)
        self._engine = engine
        self._store = engine.store
        self._node = node
        self._queued = queued
        self._renewed = self._tidied = 0.0

    def stop(self) -> None:
        """Stop, and let another one lead at once."""
        self.halt(5.0)
        self.leave()

    def is_gone(self, session: Session, owner: str, now: float) -> bool:
        """Whether the worker that leads is dead; nobody waits until its lease is over."""
        holder = session.get(WorkerRow, owner)
        return holder is None or is_dead(holder, now)

    def tick(self) -> None:
        """Look once at everything that may need a hand."""
        self.take_over()
        self.resume_due()
        self.publish_lost()
        self.advance_runs()
        moment = time.monotonic()
        if moment - self._renewed >= _RENEW_EVERY:
            self.renew_leases()
            self._store.sync_clock()
            self._renewed = moment
        if moment - self._tidied >= _TIDY_EVERY:
            self._tidy()
            self._tidied = moment

    def take_over(self) -> None:
        """Hand on the lanes of workers that are gone, with higher fencing numbers."""
        now = self._store.now()
        with self._store.read() as session:
            claimed = set(
                session.exec(select(Lane.claimed_by).where(col(Lane.claimed_by).is_not(None)))
            )
            rows = {row.id: row for row in session.exec(select(WorkerRow))}
        gone = {row.id: row for row in rows.values() if is_dead(row, now)}
        dead = [
            worker
            for worker in claimed
            if worker is not None and (worker not in rows or worker in gone)
        ]
        handed_on = {worker: self._hand_on(worker, now) for worker in dead}
        for row in gone.values():
            if row.lost_at is None:
                self._say_lost(row, handed_on.get(row.id, []), now)

    def _say_lost(self, row: WorkerRow, hosts: list[str], now: float) -> None:
        """Put a worker's death on record, once; `hosts` went on without it."""
        with self._store.write() as session:
            noted = session.exec(
                update(WorkerRow)
                .where(col(WorkerRow.id) == row.id, col(WorkerRow.lost_at).is_(None))
                .values(lost_at=now)
            )
            if noted.rowcount != 1:
                return  # another steward was faster
            left = f"went on without it: {', '.join(hosts)}" if hosts else "it had nothing to do"
            detail = (
                f"its last sign of life was {max(0.0, now - row.heartbeat_at):.0f} s ago; {left}"
            )
            record(session, now, "steward", "worker lost", row.id, None, "lost", detail)

    def _hand_on(self, worker: str, now: float) -> list[str]:
        with self._store.write() as session:
            lanes = list(
                session.exec(
                    select(Lane)
                    .where(Lane.claimed_by == worker)
                    .order_by(col(Lane.id))
                    .with_for_update()
                )
            )
            for lane in lanes:
                log.warning("worker %s is gone: %s goes on without it", worker, lane.host)
                lane.claim = lane.claimed_by = None
                lane.published_at, lane.publishes = now, 1
                self._engine.leases.raise_numbers(session, lane, now)
                session.add(lane)
            ids = [lane.id for lane in lanes if lane.id is not None]
            for run_id in sorted({lane.run_id for lane in lanes}):
                hosts = ", ".join(sorted(lane.host for lane in lanes if lane.run_id == run_id))
                record(session, now, "steward", "take over", worker, run_id, "lost", hosts)
        for lane_id in ids:
            self._engine.publish_lane(lane_id)
        return sorted(lane.host for lane in lanes)

    def resume_due(self) -> None:
        """Start the rest of lanes whose wait is over."""
        now = self._store.now()
        with self._store.read() as session:
            due = session.exec(
                select(Lane.id).where(Lane.status == "waiting", col(Lane.wait_until) <= now)
            ).all()
        if not due:
            return
        with self._store.write() as session:
            lanes = session.exec(
                select(Lane)
                .where(col(Lane.id).in_(due), Lane.status == "waiting")
                .order_by(col(Lane.id))
                .with_for_update()
            ).all()
            for lane in lanes:
                _resume(session, lane, now)
            ids = [lane.id for lane in lanes if lane.id is not None]
        for lane_id in ids:
            self._engine.publish_lane(lane_id)

    def publish_lost(self) -> None:
        """Publish lanes again that are ready, but that no message seems to carry."""
        now = self._store.now()
        with self._store.read() as session:
            ready = session.exec(
                select(Lane.id, Lane.site, Lane.published_at, Lane.publishes).where(
                    Lane.status == "running",
                    col(Lane.claim).is_(None),
                    col(Lane.published_at) < now - _LOST_AFTER,
                )
            ).all()
        lengths: dict[str | None, int] = {}
        for lane_id, site, published_at, publishes in ready:
            if site not in lengths:
                lengths[site] = self._queued(site)
            patience = min(_LOST_AFTER * 2 ** (publishes - 1), _LOST_AFTER_MAX)
            if lengths[site]:
                patience *= _QUEUED_GRACE
            if lane_id is None or now - (published_at or 0.0) < patience:
                continue
            with self._store.write() as session:
                session.exec(
                    update(Lane)
                    .where(col(Lane.id) == lane_id, col(Lane.claim).is_(None))
                    .values(published_at=now, publishes=publishes + 1)
                )
            self._engine.publish_lane(lane_id)

    def advance_runs(self) -> None:
        """Advance runs of which a lane has ended, that wait for a lease, or that are to start."""
        now = self._store.now()
        with self._store.read() as session:
            runs = set(
                session.exec(
                    select(Run.id).where(
                        col(Run.status).in_(ACTIVE),
                        or_(col(Run.needs_advance).is_(True), col(Run.start_at) <= now),
                    )
                )
            )
            runs |= set(
                session.exec(
                    select(Run.id)
                    .join(Lane, col(Run.id) == col(Lane.run_id))
                    .where(
                        Lane.waiting_for == "lease",
                        Lane.status == "pending",
                        col(Run.status).in_(ACTIVE),
                    )
                    .distinct()
                )
            )
        for run_id in sorted(run for run in runs if run is not None):
            self._engine.advance(run_id)

    def renew_leases(self) -> None:
        """Keep the leases of unfinished runs in Redis, also after it has lost them."""
        with self._store.read() as session:
            held = {
                name: run_id
                for name, run_id in session.exec(
                    select(Lease.name, Lease.run_id).where(col(Lease.run_id).is_not(None))
                )
                if run_id is not None
            }
        if held:
            self._engine.leases.renew(held)

    def _tidy(self) -> None:
        old = self._store.now() - _FORGET_WORKERS_AFTER
        with self._store.write() as session:
            session.exec(delete(WorkerRow).where(col(WorkerRow.heartbeat_at) < old))


def _resume(session: Session, lane: Lane, now: float) -> None:
    lane.status = "running"
    lane.waiting_for = lane.wait_until = None
    lane.published_at, lane.publishes = now, 1
    session.add(lane)
