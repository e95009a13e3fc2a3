"""The guard's words and answers; what it does on a host is in tests/integration/ssh."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.errors import Busy, Fenced, Refused
from worker.guard import Guard, file_name

MARK = "5" * 32


@given(st.text(), st.text())
def test_two_leases_never_share_a_file(one: str, other: str) -> None:
    assert (file_name(one) == file_name(other)) == (one == other)


@given(st.text())
def test_a_file_name_is_plain_and_not_too_long(lease: str) -> None:
    name = file_name(lease)
    assert len(name) <= 200
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-~%")


def test_names_that_are_too_long_stay_apart() -> None:
    assert file_name("x" * 500) != file_name("x" * 501)
    assert file_name("x" * 500).startswith("%sha256-")


def test_leases_are_taken_in_one_order() -> None:
    guard = Guard((("pair:edge", 2), ("host:web1", 1)))
    assert guard.words() == ["winch_guard", "host%3Aweb1", "1", "pair%3Aedge", "2", "--"]


def test_the_command_stands_behind_the_guard() -> None:
    text = Guard((("a'b; $(x)", 7),)).wrap("echo hi")
    assert shlex.split(text) == ["winch_guard", "a%27b%3B%20%24%28x%29", "7", "--", "echo", "hi"]


@pytest.mark.parametrize("number", [0, -1, 2**63])
def test_a_number_that_no_shell_can_compare_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match="63-bit"):
        Guard((("host:web1", number),))


def test_a_lease_stands_only_once() -> None:
    with pytest.raises(ValueError, match="twice"):
        Guard((("host:web1", 1), ("host:web1", 2)))


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (f"{MARK} fenced host%3Aweb1 8 7", Fenced),
        (f"{MARK} busy host%3Aweb1", Busy),
        (f"{MARK} trouble no flock there", Refused),
        (f"{MARK} something that is not known", Refused),
        (f"noise\n{MARK} fenced host%3Aweb1 8 7\nnoise", Fenced),
    ],
)
def test_a_refusal_is_known_by_its_mark(line: str, kind: type[Exception]) -> None:
    refusal = Guard((("host:web1", 7),)).refusal("web1", MARK, line + "\n")
    assert type(refusal) is kind
    assert str(refusal).startswith("web1: ")


def test_without_the_mark_it_is_output() -> None:
    guard = Guard((("host:web1", 7),))
    assert guard.refusal("web1", MARK, "0000 fenced host%3Aweb1 8 7\nwinch-fenced\n") is None
