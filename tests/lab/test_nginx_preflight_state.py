"""Refusals of `nginx.preflight` for the state that nginx and its host are in, one test each."""

from __future__ import annotations

import pytest

from tasks.nginx.params import Instance
from tests.lab import rootfs
from tests.lab.host import LabHost
from tests.lab.nginx_refusals import CONF, edit, made, refusal, upgrade
from tests.lab.nginx_upgrade import (
    NEW_PATH,
    HeldDownload,
    Upgrade,
    for_held_downloads,
    observe,
    put_binary,
    run_steps,
)
from tests.lab.waiting import wait_for

__all__ = ["made", "upgrade"]


def begin(upgrade: Upgrade, last: str) -> None:
    run_steps(upgrade.host, upgrade.forward(), stop_after=f"nginx.{last}")


# --- the phase


@pytest.mark.parametrize("last", ["upgrade_executable", "shutdown_workers"])
def test_an_upgrade_to_the_same_binary_can_be_finished_as_offered(
    upgrade: Upgrade, last: str
) -> None:
    begin(upgrade, last)

    assert "is under way: finish it with --force, or `winch nginx rollback edge`" in refusal(
        upgrade
    )

    upgrade.force = True
    run_steps(upgrade.host, upgrade.forward())
    assert observe(upgrade.host)[1].new.version == "1.26.3"  # type: ignore[union-attr]


def test_an_upgrade_to_another_binary_can_be_rolled_back_as_offered(upgrade: Upgrade) -> None:
    begin(upgrade, "shutdown_workers")
    content = (rootfs.ensure("trixie") / "usr/sbin/nginx").read_bytes()
    put_binary(upgrade.host, content + b"another")

    text = refusal(upgrade)

    assert "another upgrade is under way: finish it with its own binary and --force" in text
    run_steps(upgrade.host, upgrade.back())
    run_steps(upgrade.host, upgrade.forward()[:1])


@pytest.mark.parametrize("signal", ["new", "old"])
def test_a_master_that_still_leaves_is_named_with_what_it_holds(
    upgrade: Upgrade, signal: str
) -> None:
    host = upgrade.host
    for_held_downloads(host)
    before = HeldDownload(host)
    begin(upgrade, "shutdown_workers")
    after = HeldDownload(host)
    now = observe(host)[1]
    assert now.old is not None
    assert now.new is not None
    if signal == "new":
        host.sh(f"kill -HUP {now.old.pid}")
        wait_for(lambda: (then := observe(host)[1].old) and then.workers, "old workers")
    host.sh(f"kill -QUIT {now.new.pid if signal == 'new' else now.old.pid}")
    phase = {"new": "rolled back, the new one leaving", "old": "quit pending"}[signal]
    wait_for(lambda: str(observe(host)[1]) == phase, phase)
    if signal == "old":
        assert "finish it with --force" in refusal(upgrade)  # it is this very binary
        put_binary(host, (rootfs.ensure("trixie") / "usr/sbin/nginx").read_bytes() + b"another")

    text = refusal(upgrade)

    assert f"nginx is {phase}: master" in text
    assert "still serves 1 connections: try again when it has ended" in text
    before.finish()
    after.finish()


def test_workers_without_a_master_are_refused_with_the_way_out(upgrade: Upgrade) -> None:
    host = upgrade.host
    begin(upgrade, "upgrade_executable")
    new = observe(host)[1].new
    assert new is not None
    host.sh(f"kill -KILL {new.pid}")
    wait_for(lambda: observe(host)[1].orphans, "orphans")

    text = refusal(upgrade)

    assert "have no master and still accept connections" in text
    assert "`winch nginx rollback edge` brings the old version back" in text
    run_steps(host, upgrade.back())
    run_steps(host, upgrade.forward()[:1])


# --- how it was started, and its pid files


def test_a_relative_path_that_usr2_finds_is_fine(upgrade: Upgrade) -> None:
    upgrade.host.sh("systemctl stop nginx; cd /usr/sbin && ./nginx")
    upgrade.instance = Instance(host="web1", group="edge", unit=None)

    run_steps(upgrade.host, upgrade.forward()[:1])


def test_a_pid_file_that_only_the_fleet_file_knows_is_refused(upgrade: Upgrade) -> None:
    upgrade.instance = Instance(host="web1", group="edge", pid_file="/run/other.pid")

    text = refusal(upgrade)

    assert "runs, but /run/other.pid is absent" in text
    assert "correct `pid_file` in the fleet file" in text


def test_a_unit_that_does_not_exist_is_refused(upgrade: Upgrade) -> None:
    upgrade.instance = Instance(host="web1", group="edge", unit="ngnix.service")

    assert "there is no unit ngnix.service: correct `unit` in the fleet file" in refusal(upgrade)


def test_a_binary_that_reads_another_configuration_is_refused(upgrade: Upgrade) -> None:
    host = upgrade.host
    binary = (rootfs.ensure("trixie") / "usr/sbin/nginx").read_bytes()
    put_binary(host, binary.replace(b"/etc/nginx/nginx.conf", b"/etc/ng1nx/nginx.conf"))
    host.sh("cp -a /etc/nginx /etc/ng1nx")
    try:
        text = refusal(upgrade)
    finally:
        host.sh("rm -rf /etc/ng1nx")

    assert "--conf-path=/etc/ng1nx/nginx.conf (running: /etc/nginx/nginx.conf)" in text
    assert "build it with the arguments of the running one" in text


# --- where it listens


def take(host: LabHost, *words: str) -> None:
    """Let somebody else listen."""
    host.sh(f"systemd-run --quiet --collect --unit=taken socat {' '.join(words)}")


@pytest.mark.parametrize(
    ("listener", "wanted", "named"),
    [
        ("TCP-LISTEN:8181,fork,reuseaddr", "8181", "tcp 0.0.0.0:8181"),
        ("TCP-LISTEN:8181,fork,bind=127.0.0.1", "8181", "tcp 0.0.0.0:8181"),
        ("TCP-LISTEN:8181,fork", "127.0.0.1:8181", "tcp 127.0.0.1:8181"),
        ("TCP6-LISTEN:8181,fork,ipv6-v6only=1", "[::1]:8181", "tcp [::1]:8181"),
        ("UNIX-LISTEN:/run/taken.sock,fork", "unix:/run/taken.sock", "unix /run/taken.sock"),
    ],
)
def test_a_port_that_another_process_has_is_refused_with_its_name(
    upgrade: Upgrade, listener: str, wanted: str, named: str
) -> None:
    host = upgrade.host
    take(host, listener, "/dev/null")
    wait_for(lambda: host.sh("ss -lntx").count("8181") + host.exists("/run/taken.sock"), "taken")
    host.write_file("/etc/nginx/conf.d/b.conf", f"server {{ listen {wanted}; }}")
    try:
        text = refusal(upgrade)
    finally:
        host.sh("systemctl stop taken; rm -f /run/taken.sock")

    assert f"listens on {named} (socat, pid " in text
    assert "end that process, or take the listen out" in text


@pytest.mark.parametrize(
    ("listener", "wanted"),
    [
        ("TCP-LISTEN:8181,fork,bind=127.0.0.2", "127.0.0.1:8181"),
        ("TCP6-LISTEN:8181,fork,ipv6-v6only=1", "8181"),
        ("UDP-LISTEN:8181,fork", "8181"),
    ],
)
def test_a_port_of_another_address_or_protocol_is_not_taken(
    upgrade: Upgrade, listener: str, wanted: str
) -> None:
    host = upgrade.host
    take(host, listener, "/dev/null")
    wait_for(lambda: host.sh("ss -lntu").count(":8181"), "taken")
    host.write_file("/etc/nginx/conf.d/b.conf", f"server {{ listen {wanted}; }}")
    try:
        begin(upgrade, "upgrade_executable")
    finally:
        host.sh("systemctl stop taken")
    run_steps(host, upgrade.back())


@pytest.mark.parametrize(
    ("line", "then"),
    [("worker_processes 2;", 2), ("worker_processes 4;\n# reuseport", 1)],
    ids=["fewer workers", "no reuseport"],
)
def test_reuseport_with_fewer_sockets_is_refused(upgrade: Upgrade, line: str, then: int) -> None:
    host = upgrade.host
    app = "/etc/nginx/conf.d/app.conf"
    edit(host, "s/^worker_processes.*/worker_processes 4;/")
    host.sh(f"sed -i 's/listen 80 .*/listen 80 reuseport;/' {app}; systemctl restart nginx")
    (master,) = observe(host)[0].masters
    assert len(master.workers) == 4
    run_steps(host, upgrade.forward()[:1])  # as it is, it passes

    edit(host, f"s/^worker_processes.*/{line}/".replace("\n", "\\n"))
    if "# reuseport" in line:
        host.sh(f"sed -i 's/ reuseport;/;/' {app}")
    text = refusal(upgrade)

    assert f"tcp 0.0.0.0:80 (4 sockets now, {then} then)" in text
    assert "leave worker_processes and reuseport as they were" in text


# --- room


def test_no_room_for_the_pid_file_is_refused(upgrade: Upgrade) -> None:
    host = upgrade.host
    host.sh(
        "systemctl stop nginx; mkdir -p /opt/pid; mount -t tmpfs -o size=64k small /opt/pid;"
        f" sed -i 's,^pid .*,pid /opt/pid/nginx.pid;,' {CONF}; /usr/sbin/nginx;"
        " dd if=/dev/zero of=/opt/pid/full bs=4k 2>/dev/null; :"
    )
    upgrade.instance = Instance(host="web1", group="edge", pid_file="/opt/pid/nginx.pid", unit=None)
    try:
        text = refusal(upgrade)
    finally:
        host.sh("umount -l /opt/pid")

    assert "no space left in /opt/pid" in text
    assert "make room" in text


def test_everything_that_is_wrong_is_told_at_once(upgrade: Upgrade) -> None:
    host = upgrade.host
    edit(host, "s,^pid .*,pid /run/elsewhere.pid;,")
    host.sh("sed -i 's/listen 80 .*/listen 8080;/' /etc/nginx/conf.d/app.conf")
    put_binary(host, (rootfs.ensure("bookworm") / "usr/sbin/nginx").read_bytes())

    text = refusal(upgrade)

    assert text.count("; also: ") == 2
    for part in ("runs already", "pid files do not agree", "no longer listens on"):
        assert part in text
    assert NEW_PATH not in text
