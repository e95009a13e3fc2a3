"""Office hours: days and hours in a time zone."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator

from workflows.deployments import Section
from workflows.values import shown

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HOURS = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-4]):([0-5][0-9])", re.ASCII)
_DAY_MINUTES = 24 * 60


def _check_days(text: str) -> str:
    _days(text)
    return text


def _check_hours(text: str) -> str:
    begin, end = _hours(text)
    if not begin < end <= _DAY_MINUTES:
        raise ValueError(f"{shown(text)}: must end after it begins, on the same day")
    return text


def _check_zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"there is no time zone {shown(text)}, such as Europe/Vienna") from None
    return text


def _days(text: str) -> set[int]:
    found: set[int] = set()
    for part in text.lower().replace(" ", "").split(","):
        first, dash, last = part.partition("-")
        if first not in _DAYS or (dash and last not in _DAYS):
            raise ValueError(f"{shown(text)}: must be days, such as mon-fri or mon,wed")
        begin = _DAYS.index(first)
        end = _DAYS.index(last) if dash else begin
        found.update((begin + day) % 7 for day in range((end - begin) % 7 + 1))
    return found


def _hours(text: str) -> tuple[int, int]:
    match = _HOURS.fullmatch(text.replace(" ", ""))
    if match is None:
        raise ValueError(f"{shown(text)}: must be hours, such as 09:00-17:00")
    begin, begin_minute, end, end_minute = (int(part) for part in match.groups())
    return begin * 60 + begin_minute, end * 60 + end_minute


class Hours(Section):
    """Hours of a week."""

    days: Annotated[str, AfterValidator(_check_days)] = "mon-fri"
    """mon-fri, or mon,wed,sat."""
    hours: Annotated[str, AfterValidator(_check_hours)]
    """09:00-17:00."""
    timezone: Annotated[str, AfterValidator(_check_zone)] = "UTC"
    """A name of the tz database, such as Europe/Vienna."""

    @property
    def text(self) -> str:
        """Say them in words."""
        return f"{self.days} {self.hours} {self.timezone}"

    def includes(self, at: float) -> bool:
        """Whether a time (epoch seconds) is within them."""
        moment = datetime.fromtimestamp(at, ZoneInfo(self.timezone))
        begin, end = _hours(self.hours)
        return (
            moment.weekday() in _days(self.days) and begin <= moment.hour * 60 + moment.minute < end
        )
