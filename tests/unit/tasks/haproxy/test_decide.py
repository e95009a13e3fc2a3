"""What follows from facts: tables of servers and verdicts."""

from __future__ import annotations

import pytest

from tasks.haproxy.decide import (
    Marks,
    available,
    lacking,
    needed,
    out_already,
    standing,
    suggest,
    weight_steps,
)
from tasks.haproxy.facts import Backend, Server, ServerState, SrvAdminState, Stat


def server(
    name: str, status: str, *, admin: int = 0, weight: int = 100, backup: bool = False, **more: str
) -> Server:
    state = ServerState("web", 3, name, "192.0.2.1", 80, 2, SrvAdminState(admin), weight, 100)
    return Server(state, Stat({"status": status, "bck": "1" if backup else "0", **more}))


def backend(*servers: Server) -> Backend:
    return Backend("web", {one.name: one for one in servers})


@pytest.mark.parametrize(
    ("status", "admin", "weight", "counts"),
    [
        ("UP", 0, 100, True),
        ("no check", 0, 100, True),
        ("UP", 0x04, 100, True),  # was `disabled` in the file, is ready now
        ("UP", 0x40, 100, True),
        ("UP 1/2", 0, 100, False),
        ("UP", 0, 0, False),
        ("DRAIN", 8, 100, False),
        ("DRAIN (agent)", 0, 100, False),
        ("NOLB", 0, 100, False),
        ("MAINT", 1, 100, False),
        ("MAINT (via be/s1)", 2, 100, False),
        ("MAINT (resolution)", 0x20, 100, False),
        ("DOWN", 0, 100, False),
        ("DOWN 1/2", 0, 100, False),
        ("DOWN (agent)", 0, 100, False),
    ],
)
def test_only_a_server_in_full_service_counts(
    status: str, admin: int, weight: int, counts: bool
) -> None:
    servers = backend(server("a", "UP"), server("b", status, admin=admin, weight=weight))
    assert available(servers, ["a"], count_backup=False) == int(counts)


def test_backup_servers_count_by_policy() -> None:
    servers = backend(server("a", "UP"), server("b", "UP"), server("c", "UP", backup=True))
    assert available(servers, ["a"], count_backup=False) == 1
    assert available(servers, ["a"], count_backup=True) == 2


@pytest.mark.parametrize(
    ("count", "backup", "number"),
    [("1", False, 1), ("0", False, 0), ("25%", False, 1), ("34%", False, 2), ("50%", True, 3)],
)
def test_a_share_is_rounded_up(count: str, backup: bool, number: int) -> None:
    names = [server(f"s{n}", "UP") for n in range(4)]
    servers = backend(*names, server("spare", "UP", backup=True))
    assert needed(servers, count, count_backup=backup) == number


def test_what_is_missing_names_the_others_and_their_status() -> None:
    servers = backend(server("a", "UP"), server("b", "DOWN"), server("c", "UP 1/2"))
    assert lacking(servers, ["a"], "1", count_backup=False) == (
        "backend web: expected at least 1 other servers UP, found 0 (b DOWN, c UP 1/2)"
    )
    assert lacking(servers, ["a"], "0", count_backup=False) is None
    assert lacking(servers, ["a"], "1", count_backup=False, exactly_up=False) is None
    alone = backend(server("a", "UP"))
    assert "there is no other server" in str(lacking(alone, ["a"], "1", count_backup=False))


@pytest.mark.parametrize(
    ("admin", "forced", "out"),
    [
        (0, "ready", None),
        (4, "ready", None),
        (5, "maint", "in maintenance"),
        (1, "maint", "in maintenance"),
        (2, "ready", "in maintenance"),
        (0x20, "ready", "in maintenance"),
        (8, "drain", "draining"),
        (0x10, "ready", "draining"),
        (0x48, "drain", "draining"),
    ],
)
def test_the_admin_state_is_a_mask(admin: int, forced: str, out: str | None) -> None:
    one = server("a", "", admin=admin)
    assert one.admin.forced == forced
    assert out_already(one) == out


@pytest.mark.parametrize(
    ("weight", "percents", "steps"),
    [
        (100, [10, 50, 100], [10, 50, 100]),
        (7, [10, 50, 100], [1, 3, 7]),
        (1, [10, 100], [1, 1]),
        (0, [10, 100], [0, 0]),
        (256, [100], [256]),
    ],
)
def test_weights_in_percent_never_reach_zero_by_rounding(
    weight: int, percents: list[int], steps: list[int]
) -> None:
    assert weight_steps(weight, percents) == steps


@pytest.mark.parametrize(
    ("status", "now", "marks", "verdict"),
    [
        ("UP", (0, 0), None, "up"),
        ("no check", (0, 0), None, "up"),
        ("UP 1/2", (0, 0), None, "rising"),
        ("DOWN", (0, 0), None, "rising"),
        ("DRAIN", (0, 0), None, "rising"),
        ("UP", (3, 7), (3, 7), "up"),
        ("UP 1/2", (3, 8), (3, 7), "rising"),
        ("UP", (3, 8), (3, 7), "rising"),  # a check failed between two looks
        ("DOWN", (4, 8), (3, 7), "fell"),
        ("UP", (4, 9), (3, 7), "fell"),  # it was DOWN between two looks
        ("MAINT", (3, 7), (3, 7), "fell"),
        ("DRAIN", (3, 7), (3, 7), "fell"),
        ("UP", (0, 0), (3, 7), "rising"),  # a new process counts from 0
    ],
)
def test_a_window_of_uninterrupted_up(
    status: str, now: tuple[int, int], marks: tuple[int, int] | None, verdict: str
) -> None:
    one = server("a", status, chkdown=str(now[0]), chkfail=str(now[1]))
    assert standing(one, None if marks is None else Marks(*marks)) == verdict


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("web11", "; did you mean web1 or web2?"),
        ("app", " (there are: db, web1, web2)"),
    ],
)
def test_a_suggestion_names_near_names_or_all(name: str, says: str) -> None:
    assert suggest(name, ["web2", "web1", "db"]) == says


def test_a_suggestion_out_of_nothing_says_so() -> None:
    assert suggest("web1", []) == " (it has none)"
