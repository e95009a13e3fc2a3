"""Parsers against what HAProxy 2.6.12, 3.0.11 and 3.2.26 printed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tasks.haproxy.client import split_replies
from tasks.haproxy.discover import FoundServer, fleet_from_state
from tasks.haproxy.errors import (
    NoSuchBackend,
    NoSuchServer,
    PermissionDenied,
    RuntimeApiRefused,
    StaticAlgorithm,
    UnknownCommand,
    WeightOutOfRange,
    refusal,
)
from tasks.haproxy.facts import SrvAdminState
from tasks.haproxy.parsers import (
    join,
    parse_info,
    parse_proc,
    parse_servers_conn,
    parse_servers_state,
    parse_stat,
)
from worker.errors import Failed

DATA = Path(__file__).parent / "data"
VERSIONS = ["2.6", "3.0", "3.2"]


def captured(name: str, version: str) -> str:
    return (DATA / f"{name}-{version}.txt").read_text()


@pytest.mark.parametrize("version", VERSIONS)
def test_servers_state_is_read_by_its_header(version: str) -> None:
    states = parse_servers_state(captured("show-servers-state", version))
    by_name = {(s.backend, s.server): s for s in states}
    web1 = by_name["web_servers", "web1"]
    assert (web1.address, web1.port, web1.uweight, web1.iweight) == ("127.0.0.78", 18081, 10, 100)
    admins = {server.server: server.admin for server in states if server.backend == "web_servers"}
    assert admins == {
        "web1": 0,
        "web2": 0,
        "web3": SrvAdminState.FMAINT | SrvAdminState.CMAINT,
        "spare": 0,
        "nocheck": SrvAdminState.FDRAIN,
    }
    assert by_name["sticky", "web2"].admin.forced == "maint"


@pytest.mark.parametrize("version", VERSIONS)
def test_stat_rows_join_their_states(version: str) -> None:
    states = parse_servers_state(captured("show-servers-state", version))
    backends = join(states, parse_stat(captured("show-stat", version)))
    web = backends["web_servers"]
    assert {name: server.status for name, server in web.servers.items()} == {
        "web1": "UP",
        "web2": "UP 1/3",
        "web3": "MAINT",
        "spare": web.servers["spare"].status,
        "nocheck": "DRAIN",
    }
    assert web.servers["spare"].backup
    assert web.algorithm == "roundrobin"
    assert backends["sticky"].servers["web1"].status == "UP"
    assert backends["sticky"].algorithm == "source"
    assert web.servers["web1"].stat.number("check_fall") == 3
    assert web.servers["web1"].check.startswith("L4OK")


@pytest.mark.parametrize("version", VERSIONS)
def test_stat_of_a_proxy_that_is_not_there_lists_everything(version: str) -> None:
    rows = parse_stat(captured("show-stat-nope", version))
    assert {row.text("pxname") for row in rows} >= {"fe", "web_servers", "sticky", "unrelated"}


@pytest.mark.parametrize("version", VERSIONS)
def test_used_connections_are_read_with_their_backend(version: str) -> None:
    used = parse_servers_conn(captured("show-servers-conn", version))
    assert used["web_servers", "web1"] == 0
    assert len(used) == 8


@pytest.mark.parametrize("version", VERSIONS)
def test_an_old_worker_still_counts_its_requests(version: str) -> None:
    replies = split_replies(captured("old-worker", version))
    assert replies[1] == "Can't find backend."
    assert parse_servers_conn(replies[0])["web_servers", "nocheck"] == 1


@pytest.mark.parametrize("version", VERSIONS)
def test_info_has_version_pid_and_uptime(version: str) -> None:
    info = parse_info(captured("show-info", version))
    assert info.version.startswith(version)
    assert info.pid > 1
    assert info.uptime >= 0


@pytest.mark.parametrize("version", VERSIONS)
def test_the_masters_list_tells_old_workers_from_new(version: str) -> None:
    assert [w.old for w in parse_proc(captured("show-proc", version))] == [False]
    workers = parse_proc(captured("show-proc-reloaded", version))
    assert [w.old for w in workers] == [False, True]
    assert all(w.version.startswith(version) for w in workers)
    assert parse_proc(captured("no-such-worker", version)) == []


@pytest.mark.parametrize("version", VERSIONS)
def test_joined_replies_are_told_apart_by_the_empty_line(version: str) -> None:
    level, state, none, stat, no_server, done = split_replies(captured("joined", version))
    assert (level, none, no_server, done) == ("admin", "Can't find backend.", "No such server.", "")
    assert len(parse_servers_state(state)) == 5
    assert len(parse_stat(stat)) == 6
    assert captured("show-cli-level-user", version) == "user\n\n"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("command", "kind"),
    [
        ("set server nope/web1 state drain", NoSuchBackend),
        ("set server web_servers/nope state drain", NoSuchServer),
        ("set server web_servers state drain", NoSuchServer),
        ("set weight sticky/web2 50%", StaticAlgorithm),
        ("set weight web_servers/web1 999", WeightOutOfRange),
        ("foo bar", UnknownCommand),
        ("shutdown sessions server nope/web1", NoSuchBackend),
        ("show servers conn nope", NoSuchBackend),
        ("set server sticky/web1 health up", RuntimeApiRefused),
        ("(user) set server web_servers/web1 state ready", PermissionDenied),
        ("(user) shutdown sessions server web_servers/web1", PermissionDenied),
    ],
)
def test_each_refusal_becomes_its_error(
    version: str, command: str, kind: type[RuntimeApiRefused]
) -> None:
    replies = json.loads((DATA / f"refusals-{version}.json").read_text())
    error = refusal("lb1 (/run/x.sock)", command, replies[command].strip())
    assert type(error) is kind
    assert "lb1 (/run/x.sock)" in error.message
    assert "\n" not in error.message


@pytest.mark.parametrize("version", VERSIONS)
def test_a_fleet_is_found_in_what_haproxy_says(version: str) -> None:
    found = fleet_from_state(
        captured("show-servers-state", version),
        captured("show-stat", version),
        captured("show-info", version),
    )
    assert found.version.startswith(version)
    assert [backend.name for backend in found.backends] == ["web_servers", "sticky", "unrelated"]
    assert found.backends[1].servers[1] == FoundServer(
        "web2", "127.0.0.78", 18082, 2, False, "MAINT"
    )
    assert found.addresses == ("127.0.0.78",)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("2\n# x\n", "expected version 1, got '2'"),
        ("Unknown command", "expected version 1"),
        ("1\n# be_id be_name srv_id srv_name srv_addr\n3 web\n", "the reply was cut"),
    ],
)
def test_servers_state_of_another_kind_is_refused(text: str, says: str) -> None:
    with pytest.raises(Failed, match=says):
        parse_servers_state(text)


def test_a_cut_stat_is_an_error() -> None:
    with pytest.raises(Failed, match="the reply was cut"):
        parse_stat("# pxname,svname,qcur,scur\nweb,web1\n")
    with pytest.raises(Failed, match="expected a header"):
        parse_stat("")
    with pytest.raises(Failed, match="show info"):
        parse_info("Permission denied")
    with pytest.raises(Failed, match="cannot read"):
        parse_servers_conn("Permission denied")


@pytest.mark.parametrize(
    ("text", "replies"),
    [
        ("", []),
        ("\n", [""]),
        ("\n\n", ["", ""]),
        ("admin\n\n", ["admin"]),
        ("No such server.\n\n\n", ["No such server.", ""]),
        ("Can't find the target PID matching the prefix '@!9'\n", ["Can't find the target PID"]),
    ],
)
def test_replies_end_with_an_empty_line(text: str, replies: list[str]) -> None:
    found = split_replies(text)
    assert len(found) == len(replies)
    assert all(one.startswith(other) for one, other in zip(found, replies, strict=True))
