"""The table of facts and verdicts."""

from __future__ import annotations

import pytest

from tasks.keepalived.facts import Member, State
from tasks.keepalived.verdict import judge
from tests.unit.tasks.keepalived.members import IP, PAIR, REAL, captured, member

M, B, F, I = State.MASTER, State.BACKUP, State.FAULT, State.INIT  # noqa: E741
ADDRESS = PAIR.addresses[0]


@pytest.mark.parametrize(
    ("lb1", "lb2", "kind", "holder", "spares"),
    [
        (member("lb1", M), member("lb2", B), "healthy", "lb1", "lb1 lb2"),
        (member("lb1", B), member("lb2", M), "healthy", "lb2", "lb1 lb2"),
        (member("lb1", M), member("lb2", M), "split brain", None, ""),
        (member("lb1", M), member("lb2", M, holds=False), "split brain", "lb1", ""),
        (member("lb1", M), member("lb2", B, holds=True), "stale address", None, ""),
        (member("lb1", None, holds=True), member("lb2", M), "stale address", None, ""),
        (member("lb1", None, holds=True), member("lb2", B), "stale address", "lb1", ""),
        (member("lb1", M), member("lb2", None), "keepalived down", "lb1", "lb2"),
        (member("lb1", None), member("lb2", M), "keepalived down", "lb2", "lb1"),
        (member("lb1", None), member("lb2", None), "keepalived down", None, ""),
        (member("lb1", M), member("lb2", F), "fault", "lb1", "lb2"),
        (member("lb1", F, holds=True), member("lb2", B), "fault", "lb1", ""),
        (member("lb1", F), member("lb2", F), "fault", None, ""),
        (member("lb1", F), member("lb2", B), "fault", None, ""),
        (member("lb1", B), member("lb2", B), "no holder", None, ""),
        (member("lb1", M, holds=False), member("lb2", B), "no holder", None, ""),
        (member("lb1", B, holds=True), member("lb2", B), "unsettled", "lb1", ""),
        (member("lb1", M), member("lb2", I), "unsettled", "lb1", ""),
        (member("lb1", M), Member("lb2", error="no answer"), "unreachable", "lb1", ""),
        (Member("lb1", error="x"), Member("lb2", error="y"), "unreachable", None, ""),
        (member("lb1", M), Member("lb2", pid=7), "unknown", "lb1", ""),
        (member("lb1", M), member("lb2", B, router_id=51), "unknown", "lb1", ""),
    ],
)
def test_verdicts(lb1: Member, lb2: Member, kind: str, holder: str | None, spares: str) -> None:
    found = judge(ADDRESS, PAIR, {"lb1": lb1, "lb2": lb2})

    assert (found.kind, found.holder) == (kind, holder)
    assert [m for m in PAIR.members if found.spares(m)] == spares.split()
    assert found.ip == IP
    assert found.text


def test_a_split_brain_says_what_to_do() -> None:
    text = judge(ADDRESS, PAIR, {"lb1": member("lb1", M), "lb2": member("lb2", M)}).text
    assert text.startswith(f"split brain: lb1 and lb2 both hold {IP}")
    assert "touch nothing else" in text


@pytest.mark.parametrize(
    ("lb1", "lb2", "kinds"),
    [
        ("bookworm-lb1", "bookworm-lb2", ["healthy", "healthy"]),
        ("bookworm-lb1-fault", "bookworm-lb2-alone", ["fault", "fault"]),
        ("split-lb1", "split-lb2", ["split brain", "split brain"]),
        ("killed-lb1", "killed-lb2", ["stale address", "keepalived down"]),
        ("stopped-lb1", "killed-lb2", ["keepalived down", "keepalived down"]),
    ],
)
def test_verdicts_of_what_real_pairs_said(lb1: str, lb2: str, kinds: list[str]) -> None:
    seen = {"lb1": captured(lb1), "lb2": captured(lb2)}
    assert [judge(address, REAL, seen).kind for address in REAL.addresses] == kinds
