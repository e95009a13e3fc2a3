"""Token buckets, places in a stream of events, and what is hidden from a token with scopes."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatops.api.limits import Buckets
from chatops.redact import redacted
from chatops.stream import Place, Stream


def test_a_bucket_lets_a_burst_through_and_then_its_rate() -> None:
    now = [0.0]
    buckets = Buckets(2.0, 3.0, lambda: now[0])
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 0.5]
    assert buckets.take("b") == 0
    now[0] = 0.5
    assert buckets.take("a") == 0
    assert buckets.take("a") == 0.5


@given(st.lists(st.floats(0, 10), max_size=200))
def test_a_bucket_never_lets_more_through_than_burst_and_rate(gaps: list[float]) -> None:
    now = [0.0]
    buckets = Buckets(1.0, 5.0, lambda: now[0])
    taken = 0
    for gap in gaps:
        now[0] += gap
        taken += buckets.take("a") == 0
    assert taken <= 5 + now[0] + 1e-6


def test_buckets_do_not_grow_without_bound() -> None:
    buckets = Buckets(1.0, 1.0)
    for number in range(20_000):
        buckets.take(str(number))
    assert len(buckets._levels) == 10_000


def document(*states: str, **more: Any) -> dict[str, Any]:
    hosts = [{"name": f"h{n}", "status": state} for n, state in enumerate(states)]
    summary = {"id": 1, "status": "running", "ended_at": None, "exit_code": None, "detail": None}
    return {**summary, **more, "hosts": hosts}


def test_only_what_has_changed_becomes_an_event() -> None:
    stream = Stream(1)
    stream.take(document("pending", "pending"), 1.0)
    at, _ = stream.snapshot(scoped=False)
    assert stream.after(at, scoped=False) == (at, b"")
    stream.take(document("pending", "running"), 2.0)
    event_id, text = stream.after(at, scoped=False) or (0, b"")
    assert event_id == 2000
    assert text.startswith(b"id: 2000\nevent: host\ndata: {")
    assert text.count(b"event: ") == 1
    assert stream.after(event_id, scoped=False) == (event_id, b"")


def test_ids_grow_also_when_the_clock_does_not() -> None:
    stream = Stream(1)
    stream.take(document("a", "a", "a"), 5.0)
    stream.take(document("b", "b", "b"), 4.0)
    end, text = stream.after(5000, scoped=False) or (0, b"")
    assert end == 5003
    assert re.findall(rb"id: (\d+)\n", text) == [b"5001", b"5002", b"5003"]


def test_what_comes_behind_is_written_once_for_all_who_are_at_the_same_place() -> None:
    stream = Stream(1)
    stream.take(document("a", "a"), 5.0)
    stream.take(document("b", "b"), 6.0)
    first, second = (stream.after(5000, scoped=False) for _ in range(2))
    assert first is not None
    assert second is not None
    assert first[1] is second[1]
    other = stream.after(6000, scoped=False) or (0, b"")
    assert other[1].count(b"event: ") == 1
    stream.take(document("c", "b"), 7.0)
    later = stream.after(5000, scoped=False) or (0, b"")
    assert (later[0], later[1].count(b"event: ")) == (7000, 3)


def test_who_fell_behind_what_is_kept_gets_a_snapshot() -> None:
    stream = Stream(1)
    stream.take(document("0"), 1.0)
    for number in range(3000):
        stream.take(document(str(number + 1)), 2.0 + number)
    assert stream.after(1000, scoped=False) is None
    assert stream.place(1000) is None
    assert stream.place(stream.last_id) == stream.last_id
    assert len(stream.events) == 2000


def test_who_comes_after_the_end_is_told_of_it() -> None:
    stream = Stream(1)
    stream.take(document("succeeded", ended_at="…"), 1.0)
    at, _ = stream.snapshot(scoped=False)
    event_id, text = stream.after(at, scoped=False) or (0, b"")
    assert b"event: end" in text
    assert f"id: {event_id}.end".encode() in text


@pytest.mark.parametrize("text", [None, "", "x", "-1", "1.5", "9" * 40, "٣", ".end"])
def test_what_is_no_place_is_none(text: str | None) -> None:
    assert Place.parse(text) is None


def test_a_place_knows_an_end() -> None:
    assert Place.parse("12") == Place(12, was_end=False)
    assert Place.parse("12.end") == Place(12, was_end=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0 sessions after 1.2 s", "0 sessions after 1.2 s"),
        (
            "waiting for lease host:a, held by run 7 (roll db, failed, by cli:ops)",
            "waiting for lease host:a, held by another run",
        ),
        (
            "lease host:a is held by run 7 (roll db, failed, by slack:U1 (Eve)); waited 600 s; "
            "end that run (`winch retry`, `skip`, `rollback` or `abort 7`) and retry this one",
            "lease host:a is held by another run; waited 600 s; "
            "wait for its end and retry this one",
        ),
    ],
)
def test_other_runs_are_hidden_in_details(text: str, expected: str) -> None:
    told = redacted({"detail": None, "hosts": [{"detail": text, "steps": [{"detail": text}]}]})
    assert told["hosts"] == [{"detail": expected, "steps": [{"detail": expected}]}]
    assert "7" not in json.dumps(told) or text == expected
