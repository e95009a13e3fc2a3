"""Office hours: days and hours in a time zone."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator

from workflows.deployments import Section
from workflows.hours import Days, Zone, days_of, hours_of
from workflows.values import shown


def _check_hours(text: str) -> str:
    begin, end = hours_of(text)
    if not begin < end:
        raise ValueError(f"{shown(text)}: must end after it begins, on the same day")
    return text


class Hours(Section):
    """Hours of a week."""

    days: Days = "mon-fri"
    """mon-fri, or mon,wed,sat."""
    hours: Annotated[str, AfterValidator(_check_hours)]
    """09:00-17:00."""
    timezone: Zone = "UTC"
    """A name of the tz database, such as Europe/Vienna."""

    @property
    def text(self) -> str:
        """Say them in words."""
        return f"{self.days} {self.hours} {self.timezone}"

    def includes(self, at: float) -> bool:
        """Whether a time (epoch seconds) is within them."""
        moment = datetime.fromtimestamp(at, ZoneInfo(self.timezone))
        begin, end = hours_of(self.hours)
        return (
            moment.weekday() in days_of(self.days)
            and begin <= moment.hour * 60 + moment.minute < end
        )
