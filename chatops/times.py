"""Times as people write them: `--at`, `--until`. Pure, but for the zone of this process.

2026-12-24T18:00   2026-12-24 18:00   2026-12-24     in the zone of this process
2026-12-24T18:00Z  2026-12-24T18:00+01:00            in the one that is given
18:00  today 18:00  tomorrow 06:00  sat 02:00        the next one; with UTC behind it, in UTC
90s  2h  3d  1w                                      from now on
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from worker.errors import UsageError
from workflows.values import shown

FORMS = "write 2026-12-24T18:00, 18:00, tomorrow 06:00, sat 02:00 or 2h"
_FARTHEST = 2 * 366 * 86400.0  # seconds
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_SPAN = re.compile(r"\+?([0-9]{1,6})([smhdw])", re.ASCII)
_DATE = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[T ]([0-9]{2}:[0-9]{2}(?::[0-9]{2})?))?"
    r" ?(Z|UTC|[+-][0-9]{2}:[0-9]{2})?",
    re.ASCII | re.IGNORECASE,
)
_CLOCK = re.compile(
    r"(?:([a-z]{3,9}) )?([0-9]{1,2}:[0-9]{2})(?: ?(Z|UTC))?", re.ASCII | re.IGNORECASE
)
_NAMES = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DAYS = {word: number for number, name in enumerate(_NAMES) for word in (name, name[:3])}


@dataclass(frozen=True)
class When:
    """When a job is to start.

    `at`: not before (epoch seconds); None: now. `windows`: only in the windows of what it is about;
    False: at any time. `needs_window`: there must be some.
    """

    at: float | None = None
    windows: bool = True
    needs_window: bool = False


def parse_when(text: str | None, now: float, zone: tzinfo | None = None) -> When:
    """Read `--at`: a time, `now` (outside of its windows too) or `window` (when it opens next).

    Raises:
        UsageError: it is none of these, or it has passed.
    """
    if text is None:
        return When()
    match " ".join(text.lower().split()):
        case "now":
            return When(windows=False)
        case "window":
            return When(needs_window=True)
    return When(at=parse_time("--at", text, now, zone))


def parse_time(option: str, text: str, now: float, zone: tzinfo | None = None) -> float:
    """Read a time that is still to come, as epoch seconds. `zone`: of this process, if not given.

    Raises:
        UsageError: it is none, has passed, or is too far away; the message names the option.
    """
    try:
        at = _read(" ".join(text.split()), now, zone)
    except ValueError:
        raise UsageError(f"{option}: {shown(text)} is no time: {FORMS}") from None
    if at <= now:
        raise UsageError(f"{option}: {shown(text)} has passed: it is {_said(now, zone)} now")
    if at - now > _FARTHEST:
        raise UsageError(f"{option}: {shown(text)} is more than two years away")
    return at


def _read(text: str, now: float, zone: tzinfo | None) -> float:
    if (match := _SPAN.fullmatch(text)) is not None:
        return now + int(match[1]) * _UNITS[match[2]]
    if (match := _DATE.fullmatch(text)) is not None:
        own = _zone(match[3], zone)
        return _moment(date.fromisoformat(match[1]), match[2] or "00:00", own)
    if (match := _CLOCK.fullmatch(text)) is not None:
        own = _zone(match[3], zone)
        return _next((match[1] or "").lower(), match[2], now, own)
    raise ValueError(text)


def _next(day: str, clock: str, now: float, zone: tzinfo | None) -> float:
    """The time of the day that comes next: on any day, today, tomorrow, or on a day of the week."""
    today = _local(now, zone).date()
    if day in ("today", "tomorrow"):
        return _moment(today + timedelta(days=day == "tomorrow"), clock, zone)
    days = [today + timedelta(days=ahead) for ahead in range(8)]
    if day:
        if day not in _DAYS:
            raise ValueError(day)
        days = [one for one in days if one.weekday() == _DAYS[day]]
    moments = [_moment(one, clock, zone) for one in days]
    return next(moment for moment in moments if moment > now)


def _moment(day: date, clock: str, zone: tzinfo | None) -> float:
    hour, _, rest = clock.partition(":")
    moment = datetime.combine(day, time.fromisoformat(f"{int(hour):02}:{rest}"))
    try:
        return moment.replace(tzinfo=zone).timestamp()  # without a zone: that of the process
    except (OverflowError, OSError) as error:
        raise ValueError(str(error)) from None


def _zone(text: str | None, zone: tzinfo | None) -> tzinfo | None:
    if text is None:
        return zone
    if text.upper() in ("Z", "UTC"):
        return UTC
    return datetime.fromisoformat(f"2000-01-01T00:00{text}").tzinfo


def _local(at: float, zone: tzinfo | None) -> datetime:
    return datetime.fromtimestamp(at, UTC).astimezone(zone)


def _said(at: float, zone: tzinfo | None) -> str:
    return _local(at, zone).strftime("%Y-%m-%d %H:%M %Z")
