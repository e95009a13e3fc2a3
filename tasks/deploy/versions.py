"""Versions of packages: which one a wish means, and how RPM orders them."""

from __future__ import annotations

import re
from itertools import zip_longest

# Where a version may go on after the part that was wished: "1.2" means 1.2.9, not 1.26.
_BOUNDARY = set(".-+~^:")


def begins_with(version: str, wish: str) -> bool:
    """Whether `version` is the wished one or a more exact form of it, with or without epoch."""
    for candidate in (version, version.partition(":")[2]):
        if candidate == wish:
            return True
        if wish and candidate.startswith(wish) and candidate[len(wish)] in _BOUNDARY:
            return True
    return False


def choose(wish: str, available: list[str]) -> str | None:
    """Choose the wished version: the exact one, else the first of `available` (newest first)
    that begins with it; None if there is none."""
    if wish in available:
        return wish
    return next((version for version in available if begins_with(version, wish)), None)


def _segments(text: str) -> list[str]:
    return re.findall(r"\d+|[A-Za-z]+|[~^]", text)


def _rank(segment: str | None) -> tuple[int, int, str]:
    # rpmvercmp: "~" is older than the end, the end is older than "^", then letters, then numbers.
    if segment == "~":
        return (-1, 0, "")
    if segment is None:
        return (0, 0, "")
    if segment == "^":
        return (1, 0, "")
    return (3, int(segment), "") if segment.isdigit() else (2, 0, segment)


def _compare_part(left: str, right: str) -> int:
    for one, other in zip_longest(_segments(left), _segments(right)):
        if _rank(one) != _rank(other):
            return 1 if _rank(one) > _rank(other) else -1
    return 0


def _split(version: str) -> tuple[str, str, str]:
    epoch, colon, rest = version.rpartition(":")
    number, _, release = rest.partition("-")
    return (epoch if colon else "0", number, release)


def rpm_compare(left: str, right: str) -> int:
    """Compare two [EPOCH:]VERSION-RELEASE as rpm does: -1, 0 or 1 (rpm-version(7))."""
    for one, other in zip(_split(left), _split(right), strict=True):
        order = _compare_part(one, other)
        if order:
            return order
    return 0
