from __future__ import annotations

import pytest

from tasks.deploy.versions import begins_with, choose, rpm_compare


@pytest.mark.parametrize(
    ("version", "wish", "expected"),
    [
        ("1.26.3-3", "1.26", True),
        ("1.26.3-3", "1.26.3-3", True),
        ("1.26.3-3+deb13u1", "1.26.3-3", True),
        ("1.26.3-3", "1.2", False),
        ("1:1.26.3-3", "1.26", True),
        ("1:1.26.3-3", "1:1.26", True),
        ("2:1.26.3-3", "1:1.26", False),
        ("1.26~rc1-1", "1.26", True),
        ("1.26", "1.26.3", False),
    ],
)
def test_a_version_begins_with_a_wish_at_a_boundary(
    version: str, wish: str, expected: bool
) -> None:
    assert begins_with(version, wish) is expected


def test_the_exact_version_wins_and_else_the_newest_that_begins_so() -> None:
    available = ["1.26.3-3+deb13u2", "1.26.3-3", "1.22.1-9"]  # newest first
    assert choose("1.26", available) == "1.26.3-3+deb13u2"
    assert choose("1.26.3-3", available) == "1.26.3-3"
    assert choose("1.22", available) == "1.22.1-9"
    assert choose("1.27", available) is None


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("1.9-1", "1.10-1"),
        ("1.10-1", "1.10-2"),
        ("1.10-1.el9", "1.10-1.el9_4.1"),
        ("1.0~rc1-1", "1.0-1"),
        ("1.0-1", "1.0^git1-1"),
        ("9.9-9", "1:0.1-1"),
        ("1.0a-1", "1.0.1-1"),
        ("1.0-1", "1.0.1-1"),
    ],
)
def test_rpm_versions_are_ordered_as_rpm_does(older: str, newer: str) -> None:
    assert rpm_compare(older, newer) == -1
    assert rpm_compare(newer, older) == 1
    assert rpm_compare(older, older) == 0
