"""Commands for the Runtime API, and names that must never get into one."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from pydantic import ValidationError

from tasks.haproxy.client import (
    Runtime,
    set_server_health_down,
    set_server_state,
    set_weight,
    shutdown_sessions_server,
    talk,
)
from tasks.haproxy.errors import BadName, HaproxyDown, NoSocketClient, SocketForbidden
from tasks.haproxy.params import Balancer, Target
from tests.fakes import RecordingHost
from tests.unit.tasks.haproxy.fake_haproxy import SOCKET, FakeHaproxy, FakeServer, host, killed
from worker.remote import Result

BAD = ["web1; shutdown sessions server a/b", "a\nb", "a b", "$(reboot)", "'a'", '"', "", "a/b", "é"]


@pytest.mark.parametrize("bad", BAD)
def test_a_name_that_is_no_name_never_gets_into_a_command(bad: str) -> None:
    for make in (
        lambda: set_server_state(bad, "web1", "drain"),
        lambda: set_server_state("web", bad, "drain"),
        lambda: set_weight("web", bad, 1),
        lambda: set_server_health_down("web", bad),
        lambda: shutdown_sessions_server(bad, "web1"),
    ):
        with pytest.raises(BadName, match="is no name of a proxy or server"):
            make()
    with pytest.raises(ValidationError):
        Target(backend=bad, server="web1")
    with pytest.raises(ValidationError):
        Target(backend="web", server=bad)


@pytest.mark.parametrize("bad", ["/run/a,b", "/run/a b", "/run/a\n", "admin.sock", "EXEC:sh", ""])
def test_a_socket_is_a_path_or_host_and_port(bad: str) -> None:
    with pytest.raises(ValidationError):
        Balancer(host="lb1", sockets=[bad])


def test_a_record_shows_what_a_person_would_type() -> None:
    command = talk("/run/a:b.sock", ["show info", "show stat"])
    assert str(command) == r"echo 'show info; show stat' | socat - UNIX-CONNECT:/run/a\:b.sock"
    assert str(talk("10.0.0.5:9999", ["x"])) == "echo 'x' | socat - TCP:10.0.0.5:9999"


def test_the_script_is_posix_shell() -> None:
    script = talk(SOCKET, ["x"]).argv[2]
    shell = shutil.which("dash") or "sh"
    checked = subprocess.run([shell, "-n", "-c", script], capture_output=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, b"")


def test_many_commands_are_sent_in_lines_that_fit_haproxys_buffer() -> None:
    fake = FakeHaproxy([FakeServer("web1")])
    lb1 = host("lb1", fake)
    replies = Runtime(lb1, SOCKET).ask(*["show servers state web_servers"] * 600)
    assert len(replies) == 600
    assert len(lb1.reads) == 3
    assert max(len(command) for command in lb1.reads) < 8_200


@pytest.mark.parametrize(
    ("result", "kind", "says"),
    [
        (Result(1, "", "E connect: Connection refused", 0), HaproxyDown, "is HAProxy running"),
        (Result(1, "", "Permission denied", 0), SocketForbidden, "set `ssh.become: sudo`"),
        (Result(0, "", "", 0), HaproxyDown, "expected an answer, got none"),
        (Result(0, "admin\n\n", "", 0), HaproxyDown, "expected 2 replies"),
        (Result(127, "", "no socat, nc, python3 or perl", 0), NoSocketClient, "install socat"),
    ],
)
def test_every_way_of_not_answering_says_what_to_do(
    result: Result, kind: type[Exception], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.haproxy.client.REREAD_PAUSES_SECONDS", ())
    lb1 = RecordingHost("lb1")
    lb1.answers = {"socat": lambda _command: result}
    with pytest.raises(kind, match=says):
        Runtime(lb1, SOCKET).ask("show cli level", "show info")


def test_a_haproxy_that_hangs_is_down_and_not_asked_again() -> None:
    lb1 = RecordingHost("lb1")
    lb1.answers = {"socat": killed}
    with pytest.raises(HaproxyDown, match="is HAProxy running"):
        Runtime(lb1, SOCKET).ask("show info")
    assert len(lb1.reads) == 1


def test_a_read_that_a_reload_cut_is_repeated_but_never_a_change() -> None:
    lb1 = RecordingHost("lb1")
    cut = Result(1, "", "read: Connection reset by peer", 0)
    lb1.answers = {"cli level": [lambda _command: cut, "admin\n\n"], "set": lambda _command: cut}
    assert Runtime(lb1, SOCKET).ask("show cli level") == ["admin"]
    with pytest.raises(HaproxyDown):
        Runtime(lb1, SOCKET).tell("set server web_servers/web1 state drain")
    assert len(lb1.acts) == 1


def test_changes_go_through_the_guard_and_questions_do_not() -> None:
    fake = FakeHaproxy([FakeServer("web1")])
    lb1 = host("lb1", fake)
    runtime = Runtime(lb1, SOCKET)
    runtime.ask("show cli level")
    runtime.tell(set_server_state("web_servers", "web1", "drain"))
    assert len(lb1.reads) == 1
    assert lb1.acts == [
        "echo 'set server web_servers/web1 state drain' | socat - UNIX-CONNECT:" + SOCKET
    ]
