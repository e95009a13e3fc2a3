"""When a window is open next: by the clocks of its place, over midnight and summer time."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from worker.windows import Window, opening
from workflows.hours import Hours

VIENNA = ZoneInfo("Europe/Vienna")


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=VIENNA).timestamp()


def said(moment: float) -> str:
    return datetime.fromtimestamp(moment, VIENNA).strftime("%Y-%m-%dT%H:%M")


def window(days: str, hours: str, timezone: str = "Europe/Vienna") -> Window:
    return Hours(days=days, hours=hours, timezone=timezone).window()


@pytest.mark.parametrize(
    ("days", "hours", "now", "expected"),
    [
        # 2026-11-21 is a Saturday.
        ("sat", "02:00-05:00", "2026-11-21T01:59", "2026-11-21T02:00"),
        ("sat", "02:00-05:00", "2026-11-21T02:00", "2026-11-21T02:00"),
        ("sat", "02:00-05:00", "2026-11-21T04:59", "2026-11-21T04:59"),
        ("sat", "02:00-05:00", "2026-11-21T05:00", "2026-11-28T02:00"),
        ("sat", "02:00-05:00", "2026-11-22T03:00", "2026-11-28T02:00"),
        ("mon-fri", "00:00-24:00", "2026-11-21T12:00", "2026-11-23T00:00"),
        ("mon-fri", "00:00-24:00", "2026-11-27T23:59", "2026-11-27T23:59"),
        # Over midnight it is the day's on which it begins.
        ("fri", "22:00-04:00", "2026-11-21T03:59", "2026-11-21T03:59"),
        ("fri", "22:00-04:00", "2026-11-21T04:00", "2026-11-27T22:00"),
        ("fri", "22:00-04:00", "2026-11-20T21:00", "2026-11-20T22:00"),
        # The night in which 02:00-03:00 does not exist, and the one that has it twice.
        ("sun", "02:00-03:00", "2026-03-29T00:00", "2026-04-05T02:00"),
        ("sun", "01:30-03:30", "2026-03-29T00:00", "2026-03-29T01:30"),
        ("sun", "02:00-04:00", "2026-10-25T00:00", "2026-10-25T02:00"),
    ],
)
def test_a_window_opens(days: str, hours: str, now: str, expected: str) -> None:
    assert said(opening([window(days, hours)], at(now))) == expected


def test_of_several_windows_the_first_counts() -> None:
    both = [window("sat", "02:00-05:00"), window("wed", "20:00-22:00")]
    assert said(opening(both, at("2026-11-23T00:00"))) == "2026-11-25T20:00"
    assert said(opening(both, at("2026-11-26T00:00"))) == "2026-11-28T02:00"


def test_the_clocks_are_those_of_its_place() -> None:
    found = opening([window("sat", "02:00-05:00", "Asia/Tokyo")], at("2026-11-20T12:00"))
    assert said(found) == "2026-11-20T18:00"


def test_no_windows_are_always_open() -> None:
    assert opening([], 5.0) == 5.0


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("hours", "25:00-26:00", "must be hours"),
        ("hours", "02:00-24:30", "must be hours"),
        ("hours", "02:00", "must be hours"),
        ("hours", "02:00-02:00", "a whole day is 00:00-24:00"),
        ("days", "someday", "must be days"),
        ("timezone", "Vienna", "no time zone"),
    ],
)
def test_what_is_no_window_is_refused_in_words(key: str, value: str, message: str) -> None:
    given = {"days": "sat", "hours": "02:00-05:00", key: value}
    with pytest.raises(ValueError, match=message):
        Hours.model_validate(given)
