from __future__ import annotations

import pytest

from tasks.deploy.release import ReleaseFacts, decide_prune, parse_facts, target_name

SHA = "abcdef0123456789" * 4


def test_facts_of_a_directory_are_parsed() -> None:
    text = f"current releases/1.3\nrelease 1.4 {SHA}\nrelease by-hand \nuploaded {SHA}\n"
    assert parse_facts(text) == ReleaseFacts(
        "releases/1.3", False, {"1.4": SHA, "by-hand": ""}, SHA
    )
    assert parse_facts("blocked current\n") == ReleaseFacts(None, True, {}, None)
    assert parse_facts("") == ReleaseFacts(None, False, {}, None)


@pytest.mark.parametrize(
    ("releases", "name"),
    [
        ({}, "1.4"),
        ({"1.4": SHA}, "1.4"),
        ({"1.4": "other"}, "1.4-abcdef01"),
        ({"1.4": ""}, "1.4-abcdef01"),
    ],
)
def test_another_content_of_the_same_version_gets_another_name(
    releases: dict[str, str], name: str
) -> None:
    assert target_name(ReleaseFacts(None, False, releases, None), "1.4", SHA) == name


@pytest.mark.parametrize(
    ("keep", "needed", "removed"),
    [
        (5, {"4", "3"}, []),
        (2, {"4", "3"}, ["2", "1"]),
        (1, {"4", "3"}, ["2", "1"]),
        (3, {"4", "1"}, ["2"]),
    ],
)
def test_the_oldest_releases_are_pruned_and_never_a_needed_or_foreign_one(
    keep: int, needed: set[str], removed: list[str]
) -> None:
    releases = {"4": SHA, "by-hand": "", "3": SHA, "2": SHA, "1": SHA}  # youngest first
    assert decide_prune(ReleaseFacts(None, False, releases, None), keep, needed) == removed
