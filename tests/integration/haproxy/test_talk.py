"""The script that speaks to a socket, with each program that can, against a real HAProxy."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.haproxy.client import Runtime, set_server_state, talk
from tasks.haproxy.errors import (
    HaproxyDown,
    NoSocketClient,
    NoSuchBackend,
    NoSuchServer,
    PermissionDenied,
    RuntimeApiRefused,
    SocketMissing,
    UnknownCommand,
    WeightOutOfRange,
)
from tests.integration.haproxy.conftest import Site, backend
from tests.integration.haproxy.rig import App, Haproxy, LocalContext, new_address, stopping
from tests.needs import find_program
from worker.remote import Command

CLIENTS = [name for name in ("socat", "nc", "python3", "perl") if find_program(name)]


def _run(command: Command, path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", *command.argv[1:]],
        input=command.stdin,
        env={"PATH": str(path)},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


def _only(directory: Path, client: str) -> Path:
    program = sys.executable if client == "python3" else find_program(client)
    (directory / client).symlink_to(str(program))
    return directory


@pytest.mark.parametrize("client", CLIENTS)
def test_each_program_speaks_to_a_unix_socket(site: Site, tmp_path: Path, client: str) -> None:
    command = talk(site.haproxy.sockets[0], ["show cli level", "show servers state web_servers"])
    result = _run(command, _only(tmp_path, client))
    assert result.stdout.startswith("admin\n\n1\n# be_id"), result.stderr
    assert result.stdout.endswith("\n\n")


@pytest.mark.parametrize("client", CLIENTS)
def test_each_program_speaks_to_the_masters_socket(site: Site, tmp_path: Path, client: str) -> None:
    result = _run(talk(site.haproxy.master_socket, ["show proc"]), _only(tmp_path, client))
    assert "# workers" in result.stdout, result.stderr


@pytest.mark.parametrize("client", CLIENTS)
def test_each_program_speaks_over_tcp(site: Site, tmp_path: Path, client: str) -> None:
    command = talk(f"{site.haproxy.address}:9999", ["show cli level"])
    result = _run(command, _only(tmp_path, client))
    assert result.stdout == "admin\n\n", result.stderr


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("path", ["/nowhere.sock", "/dead.sock"])
def test_each_program_says_why_it_cannot(tmp_path: Path, client: str, path: str) -> None:
    dead = tmp_path / "dead.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(dead))
    result = _run(talk(f"{tmp_path}{path}", ["show info"]), _only(tmp_path, client))
    assert result.returncode != 0
    expected = "refused" if path == "/dead.sock" else "No such file or directory"
    assert expected in result.stderr


def test_a_balancer_without_any_of_them_says_so(tmp_path: Path) -> None:
    result = _run(talk("/x.sock", ["show info"]), tmp_path)
    assert (result.returncode, result.stderr) == (127, "no socat, nc, python3 or perl\n")
    assert NoSocketClient("x").exit_code == 3


def test_a_colon_in_a_sockets_path_is_part_of_it(site: Site, context: LocalContext) -> None:
    path = site.haproxy.directory / "a:b.sock"
    path.symlink_to(site.haproxy.sockets[0])
    assert Runtime(context.on("lb1"), str(path)).ask("show cli level") == ["admin"]


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        ("set server web_servers/nope state drain", NoSuchServer),
        ("set server nope/web1 state drain", NoSuchBackend),
        ("set server web1 state drain", NoSuchServer),
        ("set weight web_servers/web1 999", WeightOutOfRange),
        ("set colour web_servers/web1 red", RuntimeApiRefused),
        ("shutdown sessions server nope/web1", NoSuchBackend),
        ("frobnicate", UnknownCommand),
    ],
)
def test_every_refusal_is_an_error_of_ours(
    site: Site, context: LocalContext, command: str, kind: type[Exception]
) -> None:
    with pytest.raises(kind, match=command):
        Runtime(context.on("lb1"), site.haproxy.sockets[0]).tell(command)


def test_the_commands_after_a_refused_one_are_done(site: Site, context: LocalContext) -> None:
    runtime = Runtime(context.on("lb1"), site.haproxy.sockets[0])
    drain = set_server_state("web_servers", "web1", "drain")
    with pytest.raises(NoSuchServer):
        runtime.tell(set_server_state("web_servers", "nope", "drain"), drain)
    assert site.haproxy.status("web1") == "DRAIN"


def test_a_socket_without_admin_level_says_what_to_do(
    apps: list[App], context: LocalContext
) -> None:
    haproxy = Haproxy(backend(apps), level="user")
    with stopping(haproxy), pytest.raises(PermissionDenied, match="add `level admin`"):
        Runtime(context.on("lb1"), haproxy.sockets[0]).tell(
            set_server_state("web_servers", "web1", "drain")
        )


def test_a_missing_socket_is_told_from_a_dead_haproxy(site: Site, context: LocalContext) -> None:
    host = context.on("lb1")
    with pytest.raises(SocketMissing, match="is this the path"):
        Runtime(host, "/nowhere/admin.sock").ask("show info")
    with pytest.raises(HaproxyDown, match="is HAProxy running"):
        Runtime(host, f"{new_address()}:9999").ask("show info")
