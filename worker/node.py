"""This worker process: its row in the database, its heartbeat, and the steps it has under way."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from uuid import uuid4

from sqlalchemy import delete, update
from sqlmodel import Session, col, select

from worker.context import StepContext
from worker.errors import ServiceError
from worker.models import ACTIVE, Lane, Run, Step, WorkerRow
from worker.store import Store

log = logging.getLogger(__name__)

HEARTBEAT_INTERVAL = 1.0  # seconds
_TIDY_EVERY = 60  # heartbeats
DEAD_AFTER = 10.0  # seconds without a heartbeat


class Node:
    """One worker process."""

    def __init__(
        self,
        store: Store,
        sites: Iterable[str],
        *,
        on_site: Callable[[str], None] | None = None,
        tidy: Callable[[], object] = lambda: None,
    ) -> None:
        self.id = f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"
        self._store = store
        self._sites = sorted(sites)
        self._on_site = (
            on_site  # told of every site that a run needs, unless this one has a fixed list
        )
        self._known_sites: set[str] = set()
        self._tidy = tidy  # called about once a minute
        self._started_at = 0.0
        self._active: dict[str, StepContext] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._beat_until_stopped, name="heartbeat")
        self._thread.daemon = True

    def start(self) -> None:
        """Register, and begin to send heartbeats."""
        self._started_at = self._store.now()
        with self._store.write() as session:
            session.add(self._row())
        self._thread.start()

    def _row(self) -> WorkerRow:
        return WorkerRow(
            id=self.id,
            node=node_name(),
            pid=os.getpid(),
            born=_born(os.getpid()) or "",
            sites=self._sites,
            started_at=self._started_at,
            heartbeat_at=self._store.now(),
        )

    def stop(self) -> None:
        """Sign off: what is still claimed is for others, at once."""
        self._stopping.set()
        self._thread.join(timeout=5)
        with self._store.write() as session:
            session.exec(delete(WorkerRow).where(col(WorkerRow.id) == self.id))

    def enter(self, context: StepContext) -> None:
        """A step begins."""
        with self._lock:
            self._active[context.claim.token] = context

    def leave(self, context: StepContext) -> None:
        """A step has ended."""
        with self._lock:
            self._active.pop(context.claim.token, None)

    def _beat_until_stopped(self) -> None:
        beats = 0
        while not self._stopping.wait(HEARTBEAT_INTERVAL):
            try:
                self.beat()
                beats += 1
                if beats % _TIDY_EVERY == 0:
                    self._tidy()
            except ServiceError as error:
                log.warning("heartbeat failed: %s", error)
            except Exception:
                log.exception("heartbeat failed")

    def beat(self) -> None:
        """Say that we live; write progress; learn which claims were lost or aborted."""
        with self._lock:
            active = dict(self._active)
        with self._store.write() as session:
            session.merge(self._row())  # a worker that was paused for long finds its row gone
            mine: dict[str | None, bool] = {}
            if active:
                mine = dict(
                    session.exec(
                        select(Lane.claim, Run.aborted)
                        .join(Run, col(Run.id) == col(Lane.run_id))
                        .where(Lane.claimed_by == self.id)
                    ).all()
                )
            for token, context in active.items():
                session.add_all(context.records.take())
                if token in mine and context.text is not None:
                    session.exec(
                        update(Step)
                        .where(col(Step.id) == context.claim.step_id)
                        .values(detail=context.text)
                    )
            sites = self._new_sites(session)
        for site in sites:
            if self._on_site is not None:
                self._on_site(site)
                self._known_sites.add(site)
        for token, context in active.items():
            context.lost = context.lost or token not in mine
            context.aborted = context.aborted or mine.get(token, False)

    def _new_sites(self, session: Session) -> list[str]:
        if self._on_site is None:
            return []
        wanted = session.exec(select(Run.sites).where(col(Run.status).in_(ACTIVE)))
        return sorted({site for sites in wanted for site in sites} - self._known_sites)


def is_dead(row: WorkerRow, now: float) -> bool:
    """Whether a worker is gone: silent for too long, or known here to have ended."""
    if now - row.heartbeat_at > DEAD_AFTER:
        return True
    return row.node == node_name() and _born(row.pid) != row.born


@cache
def node_name() -> str:
    """Name this machine (this boot, this set of process ids), so that pids can be compared."""
    boot = _read("/proc/sys/kernel/random/boot_id")
    try:
        pids = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        pids = ""
    return f"{socket.gethostname()}/{boot}/{pids}"


def _born(pid: int) -> str | None:
    """When a process started, in clock ticks since boot; None when there is none (or a zombie)."""
    stat = _read(f"/proc/{pid}/stat")
    fields = stat.rpartition(")")[2].split()
    if not fields or fields[0] in ("Z", "X"):
        return None
    return fields[19]


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
