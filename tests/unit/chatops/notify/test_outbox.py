"""The outbox: each event goes to each receiver at most once, whatever dies in between."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlmodel import col, select, update

from chatops.notify import outbox
from chatops.notify.events import Event
from worker.audit import record
from worker.models import Notification
from worker.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(f"sqlite:///{tmp_path / 'winch.db'}")
    made.migrate()
    outbox.collect(made, tell)  # what was before is no news
    yield made
    made.close()


def tell(event: Event) -> list[tuple[str, str, str]]:
    return [(name, f"{event.kind} {event.target}", "body") for name in ("a", "b")]


def happen(store: Store, *targets: str, ago: float = 0.0) -> None:
    for target in targets:
        with store.write() as session:
            record(session, store.now() - ago, "engine", "roll", target, None, "failed", None)


def states(store: Store, receiver: str = "a") -> list[str]:
    with store.read() as session:
        return list(
            session.exec(
                select(Notification.state)
                .where(Notification.receiver == receiver)
                .order_by(col(Notification.event_id))
            )
        )


def test_what_happened_before_the_first_time_is_no_news(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'new.db'}")
    store.migrate()
    happen(store, "before")
    assert outbox.collect(store, tell) == 0
    happen(store, "after")
    assert outbox.collect(store, tell) == 1
    claimed = outbox.claim(store, "a", "me")
    assert claimed is not None
    assert claimed.title == "failed after"
    assert outbox.claim(store, "a", "me") is None
    store.close()


def test_reading_on_by_several_at_once_queues_nothing_twice(store: Store) -> None:
    happen(store, *(f"t{n}" for n in range(30)))
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: outbox.collect(store, tell), range(16)))
    assert states(store) == ["queued"] * 30
    assert states(store, "b") == ["queued"] * 30


def test_a_message_is_claimed_by_one_of_many(store: Store) -> None:
    happen(store, *(f"t{n}" for n in range(10)))
    outbox.collect(store, tell)

    def take_all(number: int) -> list[int]:
        found = []
        misses = 0
        while misses < 3:
            claimed = outbox.claim(store, "a", f"sender {number}")
            misses += claimed is None
            found += [] if claimed is None else [claimed.id]
        return found

    with ThreadPoolExecutor(8) as threads:
        taken = [one for found in threads.map(take_all, range(8)) for one in found]
    assert len(taken) == len(set(taken)) == 10


def test_a_claim_of_a_sender_that_died_is_never_sent_again(store: Store) -> None:
    happen(store, "web")
    outbox.collect(store, tell)
    claimed = outbox.claim(store, "a", "dead")
    assert claimed is not None
    outbox.tidy(store, ["a", "b"])
    assert states(store) == ["sending"]
    with store.write() as session:
        session.exec(
            update(Notification)
            .where(col(Notification.id) == claimed.id)
            .values(changed_at=store.now() - outbox.LOST_AFTER - 1)
        )
    outbox.tidy(store, ["a", "b"])
    assert states(store) == ["unknown"]
    assert outbox.claim(store, "a", "another") is None
    # It comes back to life, and says so too late.
    assert not outbox.settle(store, claimed, "dead", "sent")
    assert states(store) == ["unknown"]
    assert states(store, "b") == ["queued"]


def test_one_that_told_nobody_is_tried_again_a_bounded_number_of_times(store: Store) -> None:
    happen(store, "web")
    outbox.collect(store, tell)
    tries = 0
    while True:
        claimed = outbox.claim(store, "a", "me")
        assert claimed is not None
        tries += 1
        if not outbox.put_back(store, claimed, "me", "refused"):
            break
        assert outbox.claim(store, "a", "me") is None  # not before it is due
        with store.write() as session:
            session.exec(update(Notification).values(due_at=store.now()))
    assert tries == len(outbox.RETRY_AFTER) + 1


def test_old_news_is_not_sent(store: Store) -> None:
    happen(store, "long ago", ago=outbox.STALE + 1)
    happen(store, "now")
    outbox.collect(store, tell)
    claimed = outbox.claim(store, "a", "me")
    assert claimed is not None
    assert claimed.title == "failed now"
    with store.write() as session:
        session.exec(update(Notification).values(at=store.now() - outbox.STALE - 1))
    outbox.tidy(store, ["a", "b"])
    assert states(store, "b") == ["expired"]


def test_the_queue_of_a_dead_receiver_is_bounded_and_the_newest_stay(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "MOST_QUEUED", 3)
    happen(store, *(f"t{n}" for n in range(5)))
    outbox.collect(store, tell)
    outbox.tidy(store, ["a", "b"])
    assert states(store) == ["dropped", "dropped", "queued", "queued", "queued"]
    assert outbox.standing(store)["b"] == {"dropped": 2, "queued": 3}
