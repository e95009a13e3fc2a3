"""Requests are let in once: a replayed one is known by its key, also in another process."""

from __future__ import annotations

import hashlib
import threading

from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError
from sqlmodel import col

from worker.models import ChatCursor, ChatSeen
from worker.store import Store

MAX_AGE = 300.0  # seconds: what is older is refused for its age, on every network
_KEEP = 24 * 3600.0  # seconds
_CLEAN_EVERY = 600.0


class Seen:
    """What one network's requests have been."""

    def __init__(self, store: Store, network: str) -> None:
        self._store = store
        self._network = network
        self._lock = threading.Lock()
        self._cleaned = 0.0

    def first(self, key: str) -> bool:
        """Take note of a request. False: it was here before."""
        now = self._store.now()
        hashed = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
        with self._lock:
            clean = now - self._cleaned > _CLEAN_EVERY
            self._cleaned = now if clean else self._cleaned
        try:
            with self._store.write() as session:
                if clean:
                    session.exec(delete(ChatSeen).where(col(ChatSeen.at) < now - _KEEP))
                session.add(ChatSeen(network=self._network, key=hashed, at=now))
        except IntegrityError:
            return False
        return True


def read_cursor(store: Store, network: str) -> str | None:
    """Read how far the events of a network have been read."""
    with store.read() as session:
        row = session.get(ChatCursor, network)
        return None if row is None else row.cursor


def write_cursor(store: Store, network: str, cursor: str) -> None:
    """Keep how far the events of a network have been read."""
    with store.write() as session:
        session.merge(ChatCursor(network=network, cursor=cursor))
