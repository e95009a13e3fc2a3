"""Times as people write them."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

import pytest

from chatops.times import When, parse_time, parse_when
from worker.errors import UsageError

VIENNA = ZoneInfo("Europe/Vienna")
NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC).timestamp()  # a Saturday, 11:00 in Vienna


def read(text: str, zone: tzinfo = VIENNA) -> str:
    moment = parse_time("--at", text, NOW, zone)
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-12-24T18:00", "2026-12-24T17:00:00"),
        ("2026-12-24 18:00:30", "2026-12-24T17:00:30"),
        ("2026-12-24", "2026-12-23T23:00:00"),
        ("2026-12-24T18:00Z", "2026-12-24T18:00:00"),
        ("2026-12-24T18:00 utc", "2026-12-24T18:00:00"),
        ("2026-12-24T18:00-05:00", "2026-12-24T23:00:00"),
        ("2027-07-01T12:00", "2027-07-01T10:00:00"),  # summer time
        ("12:00", "2026-11-21T11:00:00"),
        ("11:00", "2026-11-22T10:00:00"),  # that is now: the next one
        ("9:30", "2026-11-22T08:30:00"),
        ("18:00Z", "2026-11-21T18:00:00"),
        ("today 12:00", "2026-11-21T11:00:00"),
        ("tomorrow 06:00", "2026-11-22T05:00:00"),
        ("  Tomorrow   06:00 ", "2026-11-22T05:00:00"),
        ("sat 12:00", "2026-11-21T11:00:00"),
        ("sat 02:00", "2026-11-28T01:00:00"),
        ("Monday 06:00", "2026-11-23T05:00:00"),
        ("90s", "2026-11-21T10:01:30"),
        ("+2h", "2026-11-21T12:00:00"),
        ("3d", "2026-11-24T10:00:00"),
        ("1w", "2026-11-28T10:00:00"),
    ],
)
def test_a_time_is_read_in_the_zone_of_the_process_unless_it_has_one(
    text: str, expected: str
) -> None:
    assert read(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "soon", "now", "25:00", "24:00", "12:60", "12", "2026-13-01", "2026-12-24T", "1y", "-2h",
     "2026-12-24T18:00+99:00", "monster 06:00", "\u0661\u0662:\u0663\u0663",
     "tomorrow", "2026-12-24T18:00\x00"],
)  # fmt: skip
def test_what_is_no_time_is_refused_with_what_is_one(text: str) -> None:
    with pytest.raises(UsageError, match=r"^--at: .* is no time: write 2026-12-24T18:00, 18:00"):
        read(text)


@pytest.mark.parametrize("text", ["2020-01-01", "today 10:59", "0s", "2026-11-21T10:00Z"])
def test_what_has_passed_is_refused_with_what_time_it_is(text: str) -> None:
    with pytest.raises(UsageError, match="has passed: it is 2026-11-21 11:00 CET now"):
        read(text)


def test_what_is_too_far_away_is_refused() -> None:
    for text in ("9999-12-31", "999999w", "2029-01-01"):
        with pytest.raises(UsageError, match="more than two years away"):
            read(text)


def test_a_job_may_be_asked_for_now_or_for_its_window() -> None:
    assert parse_when(None, NOW) == When()
    assert parse_when("now", NOW) == When(windows=False)
    assert parse_when(" Window", NOW) == When(needs_window=True)
    assert parse_when("2h", NOW) == When(at=NOW + 7200)
