"""How connections are made, refused, lost and made again, against a real sshd."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.integration.ssh.sshd import Sshd, free_port, make_key
from tests.needs import needs_program
from worker.errors import NotAllowed, Unreachable
from worker.guard import Guard
from worker.plan import HostSpec, SshSpec
from worker.remote import Command
from worker.ssh import Connection, Connections

ECHO = Command.of("echo", "ok")


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Sshd]:
    """An sshd for one test alone."""
    server = Sshd(tmp_path / "own")
    yield server
    server.stop()


def cut(server: Sshd, connection: Connection) -> None:
    """Break the connection, and wait until our side has heard of it."""
    server.cut()
    deadline = time.monotonic() + 5
    while connection.connected and time.monotonic() < deadline:
        time.sleep(0.005)
    assert not connection.connected


def refusal(connection: Connection) -> NotAllowed:
    with pytest.raises(NotAllowed) as caught:
        connection.run(ECHO, timeout=5)
    assert caught.value.permanent
    assert "\n" not in caught.value.message
    return caught.value


def test_all_threads_use_one_connection(connections: Connections, own: Sshd) -> None:
    def work(_: int) -> str:
        return connections.get(own.spec(), {}).run(Command.of("sleep", "0.2"), timeout=9).stdout

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work, range(16)))
    assert len(own.sessions()) == 1


def test_an_unknown_host_key_is_refused(sshd: Sshd, connections: Connections, tmp_path: Path):
    empty = tmp_path / "known_hosts"
    empty.write_text("")
    message = refusal(connections.get(sshd.spec(known_hosts=empty), {})).message
    assert re.search(rf"unknown host key: {empty} has none for \[127.0.0.1\]:{sshd.port}", message)
    assert "ssh-ed25519 SHA256:" in message
    assert f"ssh-keyscan -p {sshd.port} 127.0.0.1" in message


def test_a_changed_host_key_is_refused(sshd: Sshd, connections: Connections, tmp_path: Path):
    _, other, *_ = make_key(tmp_path / "other").with_suffix(".pub").read_text().split()
    file = tmp_path / "known_hosts"
    file.write_text(f"[127.0.0.1]:{sshd.port} ssh-ed25519 {other}\n")
    message = refusal(connections.get(sshd.spec(known_hosts=file), {})).message
    assert "its host key CHANGED" in message
    assert f"ssh-keygen -R '[127.0.0.1]:{sshd.port}'" in message
    assert str(file) in message


def test_a_revoked_host_key_is_refused(sshd: Sshd, connections: Connections, tmp_path: Path):
    file = tmp_path / "known_hosts"
    line = sshd.known_hosts.read_text()
    file.write_text(f"{line}@revoked * {line.split(' ', 1)[1]}")
    assert "@revoked" in refusal(connections.get(sshd.spec(known_hosts=file), {})).message


def test_a_hashed_known_hosts_file_is_understood(
    sshd: Sshd, connections: Connections, tmp_path: Path
) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(sshd.known_hosts.read_text())
    subprocess.run([needs_program("ssh-keygen"), "-q", "-H", "-f", file], check=True)
    assert "127.0.0.1" not in file.read_text()
    assert connections.get(sshd.spec(known_hosts=file), {}).run(ECHO, timeout=5).ok


def test_a_known_hosts_file_that_is_not_there_is_named(
    sshd: Sshd, connections: Connections, tmp_path: Path
) -> None:
    spec = sshd.spec(known_hosts=tmp_path / "nowhere")
    assert "nowhere does not exist" in refusal(connections.get(spec, {})).message


def test_a_wrong_key_is_refused(sshd: Sshd, connections: Connections, tmp_path: Path) -> None:
    spec = sshd.spec(identity_file=make_key(tmp_path / "id"))
    message = refusal(connections.get(spec, {})).message
    assert f"refused {tmp_path / 'id'}" in message
    assert "authorized_keys" in message


def test_keys_that_cannot_be_used_are_named(
    sshd: Sshd, connections: Connections, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    locked = make_key(tmp_path / "locked", "secret")
    garbage = tmp_path / "garbage"
    garbage.write_text("not a key")
    expected = {locked: "ssh-add", garbage: "not a private key", tmp_path / "none": "cannot read"}
    for file, text in expected.items():
        assert text in refusal(connections.get(sshd.spec(identity_file=file), {})).message


def test_an_encrypted_key_is_used_from_the_agent(
    sshd: Sshd, connections: Connections, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = tmp_path / "agent"
    agent = subprocess.Popen(
        [needs_program("ssh-agent"), "-D", "-a", address], stdout=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 5
        while not address.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        monkeypatch.setenv("SSH_AUTH_SOCK", str(address))
        subprocess.run([needs_program("ssh-add"), "-q", sshd.key], check=True)
        locked = tmp_path / "locked"
        locked.write_bytes(sshd.key.read_bytes())
        locked.chmod(0o600)
        subprocess.run(
            [needs_program("ssh-keygen"), "-q", "-p", "-N", "secret", "-f", locked],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        assert connections.get(sshd.spec(identity_file=locked), {}).run(ECHO, timeout=5).ok
    finally:
        agent.terminate()
        agent.wait(5)


def test_a_jump_host_is_passed_through_and_verified(
    sshd: Sshd, own: Sshd, connections: Connections, tmp_path: Path
) -> None:
    bastion = own.spec("bastion")
    hosts = {"bastion": bastion}
    assert connections.get(sshd.spec(jump="bastion"), hosts).run(ECHO, timeout=5).ok
    assert len(own.sessions()) == 1
    assert connections.get(bastion, hosts).run(ECHO, timeout=5).ok
    assert len(own.sessions()) == 1  # the same connection
    empty = tmp_path / "empty"
    empty.write_text("")
    lax = {"bastion": own.spec("bastion", known_hosts=empty)}
    message = refusal(connections.get(sshd.spec(jump="bastion"), lax)).message
    assert message.startswith("bastion (127.0.0.1:")
    inner = connections.get(sshd.spec(jump="bastion"), hosts)
    cut(own, inner)
    assert inner.run(ECHO, timeout=5).ok


def test_a_jump_host_that_cannot_go_on_is_named(own: Sshd, connections: Connections) -> None:
    lost = HostSpec(name="web9", address="127.0.0.1", ssh=SshSpec(port=free_port(), jump="bastion"))
    with pytest.raises(Unreachable, match="jump host bastion cannot reach it") as caught:
        connections.get(lost, {"bastion": own.spec("bastion")}).run(ECHO, timeout=5)
    assert not caught.value.permanent


def test_jump_hosts_that_form_a_loop_or_do_not_exist_are_refused(connections: Connections) -> None:
    def host(name: str, jump: str | None) -> HostSpec:
        return HostSpec(name=name, address="192.0.2.1", ssh=SshSpec(jump=jump))

    hosts = {"a": host("a", "b"), "b": host("b", "a")}
    with pytest.raises(NotAllowed, match="a -> b -> a"):
        connections.get(hosts["a"], hosts)
    with pytest.raises(NotAllowed, match="gone is no host of the fleet"):
        connections.get(host("c", "gone"), hosts)


def test_a_closed_port_is_unreachable(connections: Connections) -> None:
    spec = HostSpec(name="web1", address="127.0.0.1", ssh=SshSpec(port=free_port()))
    with pytest.raises(Unreachable, match=r"web1 \(127\.0\.0\.1:\d+\): .*refused") as caught:
        connections.get(spec, {}).run(ECHO, timeout=5)
    assert not caught.value.permanent


def test_all_threads_fail_together_when_a_host_does_not_answer(sshd: Sshd) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        connections = Connections(connect_timeout=0.5)
        spec = HostSpec(
            name="web1",
            address="127.0.0.1",
            ssh=SshSpec(port=silent.getsockname()[1], known_hosts=sshd.known_hosts),
        )

        def work(_: int) -> None:
            with pytest.raises(Unreachable):
                connections.get(spec, {}).run(ECHO, timeout=5)

        began = time.monotonic()
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(8)))
        assert time.monotonic() - began < 4
        connections.close()


def test_a_connection_that_broke_while_idle_is_made_again(
    own: Sshd, connections: Connections
) -> None:
    connection = connections.get(own.spec(), {})
    for _ in range(3):
        assert connection.run(ECHO, timeout=5).ok
        cut(own, connection)
    own.stop()
    with pytest.raises(Unreachable):
        connection.run(ECHO, timeout=5)
    own.start()
    assert connection.run(ECHO, timeout=5).ok


def test_a_command_whose_connection_breaks_is_not_run_again(
    own: Sshd, connections: Connections, tmp_path: Path
) -> None:
    connection = connections.get(own.spec(), {})
    file = tmp_path / "log"
    failed: list[Unreachable] = []

    def work() -> None:
        try:
            connection.run(Command.shell('echo ran >>"$1"; sleep 3', str(file)), timeout=9)
        except Unreachable as error:
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    deadline = time.monotonic() + 5
    while not file.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    own.cut()
    thread.join(3)
    assert "may or may not have run" in failed[0].message
    assert connection.run(ECHO, timeout=5).ok
    assert file.read_text() == "ran\n"


def test_an_idle_connection_is_closed_and_made_again(own: Sshd, connections: Connections) -> None:
    connection = connections.get(own.spec(), {})
    assert connection.run(ECHO, timeout=5).ok
    assert connections.close_idle(60) == 0
    assert connections.close_idle(0) == 1
    deadline = time.monotonic() + 5
    while own.sessions() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert own.sessions() == []
    assert connection.run(ECHO, timeout=5).ok


def test_a_jump_host_in_use_is_not_closed(sshd: Sshd, own: Sshd, connections: Connections) -> None:
    hosts = {"bastion": own.spec("bastion")}
    inner = connections.get(sshd.spec(jump="bastion"), hosts)
    outer = connections.get(hosts["bastion"], hosts)
    assert inner.run(ECHO, timeout=5).ok
    assert outer.run(ECHO, timeout=5).ok
    assert not outer.close_idle(0)
    assert connections.close_idle(0) == 2


@pytest.mark.parametrize("maximum", [1, 2])
def test_a_host_that_allows_few_sessions_still_works(
    tmp_path: Path, connections: Connections, maximum: int
) -> None:
    server = Sshd(tmp_path / "few", f"MaxSessions {maximum}")
    try:
        connection = connections.get(server.spec(), {})
        guard = Guard((("host:web1", 1_700_000_000_000),))

        def work(number: int) -> str:
            chosen = guard if number % 2 else None
            return connection.run(Command.of("echo", str(number)), timeout=9, guard=chosen).stdout

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(work, range(24))) == [f"{i}\n" for i in range(24)]
        connection.put(b"x" * 1_000_000, str(tmp_path / "file"), guard=guard)
    finally:
        server.stop()


def fake_program(directory: Path, name: str, text: str) -> None:
    directory.mkdir()
    (directory / name).write_text(f"#!/bin/sh\n{text}\n")
    (directory / name).chmod(0o755)


def test_become_starts_the_shell_as_root(tmp_path: Path, connections: Connections) -> None:
    fake_program(tmp_path / "bin", "sudo", '[ "$1" = -n ] || exit 9; shift; BECAME=yes exec "$@"')
    server = Sshd(tmp_path / "own", f"SetEnv PATH={tmp_path / 'bin'}:{os.environ['PATH']}")
    try:
        connection = connections.get(server.spec(become="sudo"), {})
        script = Command.shell('echo "$BECAME"')
        assert connection.run(script, timeout=5).stdout == "yes\n"
        connection.put(b"x" * 1_000_000, str(tmp_path / "file"))
        assert (tmp_path / "file").stat().st_size == 1_000_000
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("says", "expected"),
    [
        ("echo 'sudo: a password is required' >&2; exit 1", "NOPASSWD"),
        ("echo 'This account is currently not available.'; exit 1", "not available"),
        ("echo 'sudo: deploy is not in the sudoers file' >&2; exit 1", "not in the sudoers"),
    ],
)
def test_a_become_that_fails_is_explained(
    tmp_path: Path, connections: Connections, says: str, expected: str
) -> None:
    fake_program(tmp_path / "bin", "sudo", says)
    server = Sshd(tmp_path / "own", f"SetEnv PATH={tmp_path / 'bin'}:{os.environ['PATH']}")
    try:
        message = refusal(connections.get(server.spec(become="sudo"), {})).message
        assert expected in message
    finally:
        server.stop()
    assert "doas" in refusal(connections.get(sshless("doas"), {})).message


def sshless(become: str) -> HostSpec:
    return HostSpec(
        name="here",
        address="127.0.0.1",
        connection="local",
        ssh=SshSpec.model_validate({"become": become}),
    )


def test_noise_of_a_login_shell_is_no_answer(tmp_path: Path, connections: Connections) -> None:
    noisy = "sh -c 'echo Welcome; echo warning >&2; exec sh'"
    server = Sshd(tmp_path / "own", f"ForceCommand {noisy}")
    try:
        result = connections.get(server.spec(), {}).run(ECHO, timeout=5)
        assert (result.stdout, result.stderr) == ("ok\n", "")
    finally:
        server.stop()


def test_a_host_without_timeout_is_refused(
    tmp_path: Path, connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_program(tmp_path / "bin", "timeout", "echo 'unknown option -k' >&2; exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    here = HostSpec(name="here", address="127.0.0.1", connection="local")
    assert "install coreutils" in refusal(connections.get(here, {})).message
