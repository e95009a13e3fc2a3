"""The access file: read like the fleet file, with file, line and key of what is wrong."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from chatops.access import Access, AccessFile, load_access
from chatops.authorise import Principal
from worker.engine import Approval
from worker.errors import UsageError

FILE = """
people:
  alice: {role: operator, scopes: [pool:web], identities: ["slack:U1", "cli:alice"]}
  bob: {role: admin, identities: ["matrix:@bob:example.org"]}
approvals:
  - {jobs: [roll], targets: [pool:web], why: the shop}
  - outside: {days: mon-fri, hours: 09:00-17:00, timezone: Europe/Vienna}
    targets: ["pair:*", "pool:web"]
    role: admin
"""
MONDAY_NOON = datetime(2026, 11, 23, 11, 0, tzinfo=UTC).timestamp()
MONDAY_NIGHT = datetime(2026, 11, 23, 22, 0, tzinfo=UTC).timestamp()
MONDAY_EIGHT = datetime(2026, 11, 23, 8, 0, tzinfo=UTC).timestamp()  # nine in Vienna
SUNDAY = datetime(2026, 11, 22, 11, 0, tzinfo=UTC).timestamp()


@pytest.fixture
def access(tmp_path: Path) -> Access:
    path = tmp_path / "access.yaml"
    path.write_text(FILE)
    return load_access(path)


def test_a_person_is_the_same_by_each_of_their_names(access: Access) -> None:
    for name in ("slack:U1", "cli:alice"):
        assert access.principal(name) == Principal(name, "operator", ("pool:web",), "alice")
    assert access.principal("matrix:@bob:example.org").who == "bob"


def test_whoever_is_not_named_has_no_role_but_at_the_command_line(access: Access) -> None:
    assert access.principal("slack:U9").role is None
    assert access.principal("cli:root").role == "admin"
    assert access.principal("bob").role is None  # a name of the file is no identity


@pytest.mark.parametrize(
    ("job", "scope", "at", "expected"),
    [
        ("roll", "pool:web", MONDAY_NOON, Approval("the shop", "operator")),
        ("drain", "pool:web", MONDAY_NOON, None),
        ("roll", "pool:db", SUNDAY, None),
        ("pair.failover", "pair:edge", MONDAY_NOON, None),
        ("pair.failover", "pair:edge", MONDAY_EIGHT, None),
        (
            "drain",
            "pool:web",
            MONDAY_NIGHT,
            Approval("drain of pool:web outside mon-fri 09:00-17:00 Europe/Vienna", "admin"),
        ),
        (
            "roll",
            "pool:web",
            SUNDAY,
            Approval(
                "the shop; roll of pool:web outside mon-fri 09:00-17:00 Europe/Vienna", "admin"
            ),
        ),
    ],
)
def test_policies_say_when_another_person_must_approve(
    access: Access, job: str, scope: str, at: float, expected: Approval | None
) -> None:
    assert access.approval_for(job, scope, at) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("people:\n  a: {role: operater}\n", ":2: people.a.role: must be 'viewer', 'operator'"),
        ("people:\n  a: {role: admin, scope: []}\n", ":2: people.a.scope: unknown key; did you"),
        (
            "people:\n  a:\n    role: admin\n    scopes: [web]\n",
            ":4: people.a.scopes[0]: 'web' is no scope",
        ),
        (
            "people:\n  a: {role: admin, identities: [U1]}\n",
            ":2: people.a.identities[0]: 'U1' is no identity",
        ),
        (
            "people:\n  a: {role: admin, identities: [cli:x]}\n"
            "  b: {role: admin, identities: [cli:x]}\n",
            ":3: people.b.identities[0]: 'cli:x' is a already",
        ),
        ("approvals:\n- {jobs: [rol]}\n", ":2: approvals[0].jobs[0]: there is no job 'rol'"),
        ("approvals:\n- outside: {hours: 9-17}\n", "outside.hours: '9-17': must be hours"),
        ("approvals:\n- outside: {hours: '17:00-09:00'}\n", "must end after it begins"),
        ("approvals:\n- outside: {days: moon, hours: '09:00-17:00'}\n", "must be days"),
        (
            "approvals:\n- outside: {hours: '09:00-17:00', timezone: Mars/Base}\n",
            "there is no time zone 'Mars/Base'",
        ),
        ("approval: []\n", ":1: approval: unknown key; did you mean 'approvals'?"),
        ("- a\n", "the top must be a mapping"),
    ],
)
def test_what_is_wrong_is_said_with_file_line_and_key(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "access.yaml"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        load_access(path)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="WINCH_ACCESS"):
        load_access(tmp_path / "nope.yaml")


def test_a_change_is_seen_and_a_change_for_the_worse_is_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "access.yaml"
    path.write_text("people: {a: {role: viewer, identities: [slack:U1]}}\n")
    file = AccessFile(path)
    assert file.current().principal("slack:U1").role == "viewer"
    path.write_text("people: {a: {role: operator, identities: [slack:U1]}}\n")
    os.utime(path, ns=(1, 1))
    assert file.current().principal("slack:U1").role == "operator"
    path.write_text("people: nonsense\n")
    os.utime(path, ns=(2, 2))
    assert file.current().principal("slack:U1").role == "operator"
    path.unlink()
    assert file.current().principal("slack:U1").role == "operator"


def test_without_a_file_only_the_command_line_has_a_role() -> None:
    access = AccessFile(None).current()
    assert access.principal("cli:ops").role == "admin"
    assert access.principal("slack:U1").role is None
    assert access.approval_for("roll", "pool:web", SUNDAY) is None
