"""Idempotency keys: the same request again gives the same run, and never a second one."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete
from sqlmodel import Session, col

from worker.models import Idempotency
from worker.store import Store

KEEP_SECONDS = 7 * 24 * 3600.0


@dataclass(frozen=True)
class Key:
    """A key, whose it is, and what came with it."""

    owner: str
    key: str
    body_hash: str

    @classmethod
    def of(cls, owner: str, key: str, body: Any) -> Key:
        """Make a key for a request's body (JSON data)."""
        text = json.dumps(body, sort_keys=True, separators=(",", ":"))
        return cls(owner, key, hashlib.sha256(text.encode("ascii")).hexdigest())


@dataclass(frozen=True)
class Before:
    """What a key has led to."""

    run_id: int
    body_hash: str


def find(store: Store, key: Key) -> Before | None:
    """Find what a key has led to."""
    with store.read() as session:
        row = session.get(Idempotency, (key.owner, key.key))
        return None if row is None else Before(row.run_id, row.body_hash)


def keep(session: Session, key: Key, run_id: int, now: float) -> None:
    """Keep what a key leads to, in the transaction that makes the run.

    Raises:
        IntegrityError: the key has led to another run already.
    """
    session.exec(delete(Idempotency).where(col(Idempotency.created_at) < now - KEEP_SECONDS))
    session.add(
        Idempotency(
            owner=key.owner,
            key=key.key,
            body_hash=key.body_hash,
            run_id=run_id,
            created_at=now,
        )
    )
    session.flush()
