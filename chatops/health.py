"""How the parts of Winch are: what a load balancer and a person on call ask for first."""

from __future__ import annotations

from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import select

from chatops.metrics import steward_age
from chatops.services import check_redis
from worker.errors import WinchError
from worker.models import WorkerRow
from worker.node import is_dead
from worker.steward import LEAD_FOR
from worker.store import Store


def health(store: Store) -> dict[str, Any]:
    """Look at Redis, the database, the workers and the steward. Says nothing that is secret."""
    found: dict[str, Any] = {
        "status": "ok",
        "redis": "ok",
        "database": "ok",
        "workers": None,
        "steward_age_seconds": None,
    }
    try:
        check_redis()
    except WinchError:
        found["redis"] = found["status"] = "failed"
    try:
        now = store.now()
        with store.read() as session:
            alive = sum(not is_dead(row, now) for row in session.exec(select(WorkerRow)))
            age = steward_age(session, now)
    except (WinchError, SQLAlchemyError):
        found["database"] = found["status"] = "failed"
        return found
    found["workers"] = alive
    found["steward_age_seconds"] = None if age is None else round(age, 3)
    if found["status"] == "ok" and (alive == 0 or age is None or age > 2 * LEAD_FOR):
        found["status"] = "degraded"
    return found
