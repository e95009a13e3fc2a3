"""A memory that can only be added to, and tries that begin anew."""

from __future__ import annotations

from tasks.journal import Journal, last_page
from tests.fakes import RecordingContext, RecordingHost


def test_the_first_value_of_a_try_stays() -> None:
    context = RecordingContext(RecordingHost())
    journal = Journal(context)
    journal.put(before=1)
    journal.put(before=2)
    assert journal.get("before") == 1
    assert Journal(context).get("before") == 1


def test_a_closed_try_is_forgotten_by_the_next_one() -> None:
    context = RecordingContext(RecordingHost())
    journal = Journal(context)
    journal.put(before=1)
    journal.close()
    assert journal.get("before") is None
    assert Journal(context).get("before") is None
    assert last_page(context.memory, "before") is None
    journal.put(before=2)
    assert last_page(context.memory, "before") == 2


def test_time_counts_from_the_beginning_of_the_try() -> None:
    context = RecordingContext(RecordingHost())
    journal = Journal(context)
    assert journal.elapsed() == 0
    context.seconds = 5
    assert Journal(context).elapsed() == 5
    journal.close()
    assert journal.elapsed() == 0
