"""What one process at a time does, again and again: who it is, says a lease in SQL."""

from __future__ import annotations

import logging
import threading

from sqlalchemy import update
from sqlmodel import Session, col

from worker.errors import ServiceError
from worker.models import Leader
from worker.store import Store

log = logging.getLogger(__name__)


class Led:
    """Every `pause` seconds the one that leads does a `tick`; any of them may lead.

    `role`: what is led. `me`: this process. `lead_for`: seconds without a tick until another one
    takes over.
    """

    def __init__(self, store: Store, role: str, me: str, *, lead_for: float, pause: float) -> None:
        self.me = me
        self._leaders = store
        self._role = role
        self._lead_for = lead_for
        self._pause = pause
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=role, daemon=True)

    def tick(self) -> None:
        """Do what the leader does."""
        raise NotImplementedError

    def is_gone(self, session: Session, owner: str, now: float) -> bool:
        """Whether the leader is known to be dead, so that its lease need not be waited for."""
        del session, owner, now
        return False

    def start(self) -> None:
        """Begin to tick."""
        self._thread.start()

    def halt(self, seconds: float) -> None:
        """Tick no more; wait so long for a tick that is under way."""
        self._stopping.set()
        self._thread.join(timeout=seconds)

    def leave(self) -> None:
        """Let another one lead at once."""
        with self._leaders.write() as session:
            session.exec(update(Leader).where(col(Leader.owner) == self.me).values(until=0.0))

    def lead(self) -> bool:
        """Whether this one leads now."""
        now = self._leaders.now()
        with self._leaders.read() as session:
            row = session.get(Leader, self._role)
            if row is not None and row.owner == self.me and row.until - now > self._lead_for / 2:
                return True
            led = row is not None and row.owner != self.me and row.until > now
            if row is not None and led and not self.is_gone(session, row.owner, now):
                return False
            previous = None if row is None else (row.owner, row.until)
        with self._leaders.write() as session:
            row = session.get(Leader, self._role, with_for_update=True)
            if (None if row is None else (row.owner, row.until)) != previous:
                return False  # another one was faster
            if row is None:
                row = Leader(name=self._role, owner=self.me, until=0.0)
            if row.owner != self.me:
                log.info("%s: %s takes over from %s", self._role, self.me, row.owner)
            row.owner, row.until = self.me, now + self._lead_for
            session.add(row)
        return True

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                if self.lead():
                    self.tick()
            except ServiceError as error:
                log.warning("%s: %s", self._role, error)
            except Exception:
                log.exception("%s: a tick broke; it will be tried again", self._role)
            self._stopping.wait(self._pause)
