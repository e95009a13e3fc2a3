"""Windows: the hours of a week in which a run may start hosts. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field

_DAY_MINUTES = 24 * 60
_AHEAD_DAYS = 9  # a week, and what the change of a day and of summer time may add


class Window(BaseModel):
    """Some days of the week, from one time of the day to another, by the clocks of a place.

    `end` in minutes from the midnight before it begins: more than a day when it ends on the next.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    days: list[int] = Field(min_length=1)  # 0 is Monday
    begin: int = Field(ge=0, lt=_DAY_MINUTES)  # minutes after midnight
    end: int = Field(gt=0, le=2 * _DAY_MINUTES)
    timezone: str
    text: str  # in words


def opening(windows: Sequence[Window], at: float) -> float:
    """Say when one of them is open next, from a time on; that time itself, if one is open then.

    No windows are always open. Times are seconds since the epoch.
    """
    if not windows:
        return at
    found = [moment for window in windows for moment in _openings(window, at)]
    return min(found, default=at + _AHEAD_DAYS * 86400)  # an hour that summer time has skipped


def words(windows: Sequence[Window]) -> str:
    """Say windows in words."""
    return ", ".join(window.text for window in windows)


def _openings(window: Window, at: float) -> Iterator[float]:
    zone = ZoneInfo(window.timezone)
    today = datetime.fromtimestamp(at, zone).date()
    for ahead in range(-2, _AHEAD_DAYS):
        day = today + timedelta(days=ahead)
        if day.weekday() not in window.days:
            continue
        midnight = datetime.combine(day, time())
        begin = _moment(midnight, window.begin, zone)
        end = _moment(midnight, window.end, zone)
        if begin < end and at < end:
            yield max(begin, at)


def _moment(midnight: datetime, minutes: int, zone: ZoneInfo) -> float:
    """What the clocks of the place show then; in an hour that is skipped, as before it."""
    return (midnight + timedelta(minutes=minutes)).replace(tzinfo=zone).timestamp()
