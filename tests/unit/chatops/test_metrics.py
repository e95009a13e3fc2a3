"""The metrics: what they say of drains and notifications, by what the database holds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chatops.metrics import Metrics
from worker.models import Lane, Notification, Run, Step
from worker.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(f"sqlite:///{tmp_path / 'winch.db'}")
    made.migrate()
    yield made
    made.close()


def drained(store: Store, status: str, memory: dict[str, Any]) -> None:
    now = store.now()
    with store.write() as session:
        run = Run(job="roll", target="web", requested_by="cli:ops", created_at=now)
        session.add(run)
        session.flush()
        lane = Lane(run_id=run.id or 0, position=0, host="web1")
        session.add(lane)
        session.flush()
        session.add(
            Step(
                run_id=run.id or 0,
                lane_id=lane.id or 0,
                position=0,
                name="haproxy.drain",
                summary="",
                status=status,
                memory=memory,
                started_at=now - 1,
                ended_at=now,
            )
        )


def test_drained_sessions_are_counted_by_how_they_ended(store: Store) -> None:
    metrics = Metrics(store)
    metrics.text()
    drained(store, "succeeded", {"began.0": 0.0, "sessions.0": 8})
    drained(store, "succeeded", {"sessions.0": 30, "shut.0": 12})
    drained(store, "succeeded", {"sessions.0": 99, "closed.0": True, "sessions.1": 2})
    drained(store, "failed", {"sessions.0": 1000})  # put back: none of them was drained
    text = metrics.text().decode()
    assert 'winch_drained_sessions_total{end="itself"} 28.0' in text
    assert 'winch_drained_sessions_total{end="shut"} 12.0' in text
    assert "winch_drain_sessions_count 3.0" in text
    assert "winch_drain_sessions_sum 40.0" in text
    assert 'winch_drain_sessions_bucket{le="10.0"} 2.0' in text
    again = metrics.text().decode()
    assert 'winch_drained_sessions_total{end="itself"} 28.0' in again


def test_notifications_are_counted_by_what_came_of_them(store: Store) -> None:
    metrics = Metrics(store)
    metrics.text()
    now = store.now()
    states = ("sent", "sent", "failed", "queued", "sending")
    with store.write() as session:
        for number, state in enumerate(states):
            session.add(
                Notification(
                    event_id=number, receiver="ops", event="failed", title="", body="", at=now,
                    state=state, due_at=now, changed_at=now,
                )
            )  # fmt: skip
    text = metrics.text().decode()
    assert 'winch_notifications_ended_total{state="sent"} 2.0' in text
    assert 'winch_notifications_ended_total{state="failed"} 1.0' in text
    assert "winch_notifications_waiting 2.0" in text
