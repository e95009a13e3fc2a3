"""Days and hours of a week as people write them: `mon-fri`, `09:00-17:00`, `Europe/Vienna`."""

from __future__ import annotations

import re
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator

from worker.windows import Window
from workflows.deployments import Section
from workflows.values import shown

DAY_MINUTES = 24 * 60
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HOURS = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-4]):([0-5][0-9])", re.ASCII)


def days_of(text: str) -> set[int]:
    """Read `mon-fri` or `mon,wed`; 0 is Monday.

    Raises:
        ValueError: it is neither.
    """
    found: set[int] = set()
    for part in text.lower().replace(" ", "").split(","):
        first, dash, last = part.partition("-")
        if first not in _DAYS or (dash and last not in _DAYS):
            raise ValueError(f"{shown(text)}: must be days, such as mon-fri or mon,wed")
        begin = _DAYS.index(first)
        end = _DAYS.index(last) if dash else begin
        found.update((begin + day) % 7 for day in range((end - begin) % 7 + 1))
    return found


def hours_of(text: str) -> tuple[int, int]:
    """Read `09:00-17:00` as minutes after midnight.

    Raises:
        ValueError: it is none.
    """
    match = _HOURS.fullmatch(text.replace(" ", ""))
    begin, end = 0, DAY_MINUTES + 1
    if match is not None:
        begin, end = int(match[1]) * 60 + int(match[2]), int(match[3]) * 60 + int(match[4])
    if end > DAY_MINUTES:
        raise ValueError(f"{shown(text)}: must be hours, such as 09:00-17:00")
    return begin, end


def check_days(text: str) -> str:
    """Accept days.

    Raises:
        ValueError: they are none.
    """
    days_of(text)
    return text


def check_zone(text: str) -> str:
    """Accept the name of a time zone.

    Raises:
        ValueError: there is none of that name.
    """
    try:
        ZoneInfo(text)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"there is no time zone {shown(text)}, such as Europe/Vienna") from None
    return text


def _check_some_hours(text: str) -> str:
    begin, end = hours_of(text)
    if begin == end:
        raise ValueError(f"{shown(text)}: ends when it begins; a whole day is 00:00-24:00")
    return text


Days = Annotated[str, AfterValidator(check_days)]
Zone = Annotated[str, AfterValidator(check_zone)]


class Hours(Section):
    """A window: hours of a week in which jobs may start hosts."""

    days: Days = "mon-sun"
    """The days on which it begins: sat, mon-fri, or mon,wed,sat."""
    hours: Annotated[str, AfterValidator(_check_some_hours)]
    """02:00-05:00; 22:00-04:00 ends on the next day."""
    timezone: Zone = "UTC"
    """A name of the tz database, such as Europe/Vienna."""

    def window(self) -> Window:
        """Say it as a plan does."""
        begin, end = hours_of(self.hours)
        return Window(
            days=sorted(days_of(self.days)),
            begin=begin,
            end=end if end > begin else end + DAY_MINUTES,
            timezone=self.timezone,
            text=f"{self.days} {self.hours} {self.timezone}",
        )


def windows_of(sections: list[Hours]) -> list[Window]:
    """Say the windows of a policy as a plan does."""
    return [section.window() for section in sections]
