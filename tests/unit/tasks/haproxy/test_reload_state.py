"""Which states are kept over a reload, and how."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.haproxy.facts import ServerState, SrvAdminState
from tasks.haproxy.reload_state import (
    Kept,
    assertions,
    differences,
    gone,
    kept_of,
    port_of,
    read_states,
    set_at_run_time,
    state_file,
)

DATA = Path(__file__).parent / "data"


def server(admin: int, weight: int = 10, initial: int = 10, *, port: int = 80) -> ServerState:
    state = SrvAdminState(admin)
    return ServerState("web", 3, "web1", "10.0.0.1", port, 2, state, weight, initial)


STATES = [(0, None), (1, "maint"), (8, "drain"), (5, None), (4, "ready"), (12, "drain"),
          (2, None), (0x10, None), (0x20, None), (9, "drain")]  # fmt: skip


@pytest.mark.parametrize(("admin", "state"), STATES)
def test_what_was_set_at_run_time_is_told_from_what_is_configured(
    admin: int, state: str | None
) -> None:
    assert set_at_run_time(SrvAdminState(admin)) == state


def kept(state: str | None, weight: int = 10, initial: int = 10) -> Kept:
    return Kept.load(["web", "web1", state, weight, initial])


# saved, what the new process has, and the commands that are needed
CASES = [
    (kept("drain"), server(8), []),
    (kept("drain"), server(0), ["set server web/web1 state drain"]),
    (kept("maint"), server(8), ["set server web/web1 state maint"]),
    (kept("maint"), server(5), []),
    (kept("ready"), server(5), ["set server web/web1 state ready"]),
    (kept("ready"), server(0), []),
    (kept(None, 7), server(0, 10), ["set weight web/web1 7"]),
    (kept(None, 7), server(0, 7), []),
    (kept(None, 7), server(0, 60, 60), []),  # configured anew: the configuration wins
    (kept(None, 0), server(0, 60, 60), ["set weight web/web1 0"]),  # but not over "no traffic"
    (kept(None, 0), server(8, 0), ["set server web/web1 state ready"]),  # carried as a drain
    (kept("maint", 7), server(0), ["set server web/web1 state maint", "set weight web/web1 7"]),
]


@pytest.mark.parametrize(("saved", "now", "commands"), CASES)
def test_what_differs_is_set_again_unless_the_configuration_changed(
    saved: Kept, now: ServerState, commands: list[str]
) -> None:
    assert [one.command for one in differences([saved], [now])] == commands


def test_a_server_that_is_gone_needs_nothing() -> None:
    assert differences([kept("drain")], []) == []
    assert gone([kept("drain")], []) == [kept("drain")]


def test_only_servers_that_are_not_as_configured_are_kept() -> None:
    assert kept_of([server(0), server(5), server(2)]) == []
    assert kept_of([server(8)]) == [kept("drain")]
    assert [one.out for one in (kept("drain"), kept("maint"), kept("ready"), kept(None, 7))] == [
        True,
        True,
        False,
        False,
    ]
    assert kept(None, 0).out
    assert not kept(None, 0, 0).out  # configured so


def test_the_new_worker_is_told_what_must_not_serve() -> None:
    assert assertions([kept("drain"), kept(None, 0), kept(None, 7)]) == [
        "set server web/web1 state drain",
        "set weight web/web1 0",
        "set server web/web1 state ready",
    ]


@pytest.mark.parametrize("version", ["2.6", "3.0", "3.2"])
def test_a_state_file_holds_nothing_that_would_gainsay_the_configuration(version: str) -> None:
    dump = (DATA / f"show-servers-state-{version}.txt").read_text()
    states = read_states(dump)
    saved = kept_of(states)
    assert saved
    text = state_file(dump, saved, {one.key: 1234 for one in saved})
    lines = text.splitlines()
    assert lines[0] == "1"
    header = lines[1].lstrip("# ").split()
    rows = [dict(zip(header, line.split(" "), strict=True)) for line in lines[2:]]
    assert {(row["be_name"], row["srv_name"]) for row in rows} == {one.key for one in saved}
    for row in rows:
        assert row["srv_port"] == "1234"
        assert {row[c] for c in ("srv_addr", "srv_fqdn", "srv_check_addr")} == {"-"}
        assert row["srv_use_ssl"] == "1"
    again = read_states(text)
    assert {(s.server, set_at_run_time(s.admin)) for s in again if s.uweight} == {
        (one.server, one.state) for one in saved if one.weight
    }


def test_a_weight_of_zero_is_carried_as_a_drain() -> None:
    header = "# be_id be_name srv_id srv_name srv_admin_state srv_uweight srv_iweight srv_port"
    text = state_file(
        f"1\n{header}\n3 web 1 web1 0 0 10 80\n", [kept(None, 0)], {("web", "web1"): 80}
    )
    assert text.splitlines()[2].split()[6] == "8"


def test_the_port_is_the_configurations_and_else_the_one_that_it_has() -> None:
    assert port_of(kept("drain"), [server(8)], 8080) == 8080
    assert port_of(kept("drain"), [server(8)], None) == 80
    assert port_of(kept("drain"), [server(8, port=4294966296)], None) is None
