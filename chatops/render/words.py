"""Words, icons and times that all renderings share."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime
from typing import Any

Document = dict[str, Any]

ENDED = frozenset({"failed", "succeeded", "aborted", "rolled_back"})  # a run's last status
IN_FLIGHT = frozenset({"running", "waiting"})

_LOOKS = {
    "queued": ("·", "dim"),
    "pending": ("·", "dim"),
    "running": ("●", "cyan"),
    "waiting": ("◌", "yellow"),
    "paused": ("‖", "yellow"),
    "succeeded": ("✓", "green"),
    "failed": ("✗", "bold red"),
    "skipped": ("»", "dim"),
    "cancelled": ("-", "dim"),
    "aborted": ("-", "red"),
    "rolled_back": ("↩", "yellow"),
}


def icon(status: str) -> str:
    """One character for a status."""
    return _LOOKS.get(status, ("?", ""))[0]


def style(status: str) -> str:
    """The Rich style of a status."""
    return _LOOKS.get(status, ("?", ""))[1]


def word(status: str) -> str:
    """A status as people say it: `rolled back`."""
    return status.replace("_", " ")


def title(document: Document) -> str:
    """Name a run: `run 12 · roll web`."""
    return f"run {document['id']} · {document['job']} {document['target']}"


def clock(seconds: float | None) -> str:
    """A duration: `40 ms`, `1.4 s`, `12 s`, `2:05`, `1:02:05`; nothing for None."""
    if seconds is None:
        return ""
    seconds = max(0.0, seconds)
    if seconds < 0.1:  # noqa: PLR2004
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10:  # noqa: PLR2004
        return f"{seconds:.1f} s"
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    if hours:
        return f"{hours}:{minutes:02}:{left:02}"
    return f"{minutes}:{left:02}" if minutes else f"{left} s"


def whole(seconds: float) -> str:
    """A duration between two of a document's times, which have whole seconds."""
    return f"{seconds:.0f} s" if seconds < 60 else clock(seconds)  # noqa: PLR2004


def moment(text: str | None) -> float | None:
    """A document's time as seconds since the epoch."""
    return None if text is None else datetime.fromisoformat(text).timestamp()


def local_time(text: str | None) -> str:
    """A document's time in this machine's zone, as people write it."""
    if text is None:
        return ""
    return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def utc_time(seconds: float) -> str:
    """Seconds since the epoch as ISO 8601 in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def clean(text: str) -> str:
    """Text from a host, harmless to a terminal: escape sequences and the like become visible."""
    if text.isprintable():
        return text
    text = text.replace("\r\n", "\n")
    return "".join(c if c in "\n\t" or c.isprintable() else _visible(c) for c in text)


def _visible(character: str) -> str:
    if unicodedata.category(character).startswith("Z"):
        return " "
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")


def one_line(text: str | None) -> str:
    """Text as one line."""
    return "" if text is None else " ".join(clean(text).split())


def count(number: int, noun: str) -> str:
    """`1 host`, `4 hosts`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def listed(names: list[str], most: int = 12) -> str:
    """Names with commas; of many, the first ones and how many more there are."""
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[:most])} and {len(names) - most} more"
