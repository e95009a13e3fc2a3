"""The outbox on PostgreSQL, where transactions are not one after the other by themselves."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chatops.notify import outbox
from tests.kit.postgres import postgres
from tests.unit.chatops.notify.test_outbox import (
    tell,
    test_a_claim_of_a_sender_that_died_is_never_sent_again,
    test_a_message_is_claimed_by_one_of_many,
    test_one_that_told_nobody_is_tried_again_a_bounded_number_of_times,
    test_reading_on_by_several_at_once_queues_nothing_twice,
)
from worker.store import Store

__all__ = [
    "test_a_claim_of_a_sender_that_died_is_never_sent_again",
    "test_a_message_is_claimed_by_one_of_many",
    "test_one_that_told_nobody_is_tried_again_a_bounded_number_of_times",
    "test_reading_on_by_several_at_once_queues_nothing_twice",
]


@pytest.fixture
def store() -> Iterator[Store]:
    with postgres() as url:
        made = Store(url.replace("postgresql://", "postgresql+psycopg://"))
        made.migrate()
        made.sync_clock()
        outbox.collect(made, tell)
        yield made
        made.close()
