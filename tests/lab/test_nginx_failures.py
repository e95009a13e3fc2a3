"""What goes wrong between two binaries: the old one serves on, or one rollback brings it back."""

from __future__ import annotations

import pytest

from tasks.nginx.control import Nginx
from tasks.nginx.target import course_of
from tests.lab.host import LabHost
from tests.lab.load import Download, fetch
from tests.lab.nginx_each import begin, module_lab, serving, upgrade
from tests.lab.nginx_upgrade import (
    NEW,
    NEW_PATH,
    OLD,
    DirectContext,
    HeldDownload,
    Upgrade,
    for_held_downloads,
    observe,
    put_binary,
    run_steps,
)
from tests.lab.waiting import wait_for
from worker.errors import Failed

__all__ = ["module_lab", "upgrade"]

_REAL = "/root/real-nginx"
# Passes every test, and then does something else than serving.
_SHAM = f'#!/bin/sh\ncase " $* " in *" -"[tTvV]" "*) exec {_REAL} "$@";; esac\n'


def sham(host: LabHost, does: str) -> None:
    """Bring a new binary that passes every test and then does that."""
    host.sh(f"cp {NEW_PATH} {_REAL}")
    put_binary(host, f"{_SHAM}{does}\n".encode())


@pytest.mark.parametrize(
    ("does", "reason"),
    [
        ("kill -SEGV $$", "exited on signal 11"),
        ("exit 3", "exited with code 3"),
        ("exec sleep 1000", "not within 3 s"),
    ],
    ids=["crashes", "exits", "hangs"],
)
def test_a_binary_that_does_not_start_leaves_the_old_one_serving_and_on_the_disk(
    upgrade: Upgrade, does: str, reason: str
) -> None:
    sham(upgrade.host, does)
    upgrade.timeout = 3

    with pytest.raises(Failed) as caught:
        begin(upgrade, "upgrade_executable")

    print(caught.value)
    assert reason in str(caught.value)
    assert "its binary is back on the disk" in str(caught.value)
    serving(upgrade.host, OLD)


def test_a_configuration_broken_after_the_preflight_is_told_in_the_words_of_nginx(
    upgrade: Upgrade,
) -> None:
    host, plan = upgrade.host, upgrade.forward()
    run_steps(host, plan, stop_after="nginx.stage")
    host.write_file("/etc/nginx/conf.d/broken.conf", "nonsense on;\n")

    with pytest.raises(Failed, match=r'\[emerg\] unknown directive "nonsense"'):
        run_steps(host, plan[2:3])

    host.sh("rm /etc/nginx/conf.d/broken.conf")
    assert observe(host)[1].new.version == OLD  # type: ignore[union-attr]
    run_steps(host, plan)  # a retry, after the cause is mended
    serving(host, NEW)


def test_a_port_that_is_taken_fails_with_its_reason_and_the_old_one_serves_on(
    upgrade: Upgrade,
) -> None:
    host = upgrade.host
    begin(upgrade, "preflight")
    host.sh("systemd-run --quiet --unit=taken socat TCP-LISTEN:8181,fork /dev/null")
    wait_for(lambda: host.sh("ss -ltn").count(":8181"), "the port is taken")
    host.write_file("/etc/nginx/conf.d/b.conf", "server { listen 8181; }")

    with pytest.raises(Failed, match=r"bind\(\) to 0\.0\.0\.0:8181 failed"):
        run_steps(host, upgrade.forward()[1:3])

    host.sh("rm /etc/nginx/conf.d/b.conf")
    serving(host, OLD)


def test_a_leftover_oldbin_does_no_harm(upgrade: Upgrade) -> None:
    upgrade.host.write_file("/run/nginx.pid.oldbin", "4000000\n")

    said = run_steps(upgrade.host, upgrade.forward())

    assert "stale" in said["nginx.preflight"]
    serving(upgrade.host, NEW)


def course(upgrade: Upgrade) -> str:
    """What a rollback says that it would do."""
    context = DirectContext(upgrade.host)
    return course_of(Nginx(context, upgrade.at), older=True).text  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("last", "says"),
    [
        ("stage", "1.22.1, its file comes back to the disk"),
        ("upgrade_executable", "1.26.3 → 1.22.1: the other version ends (QUIT)"),
        ("shutdown_workers", "1.26.3 → 1.22.1: the old master takes over again (HUP)"),
        ("quit", "1.26.3 → 1.22.1: the same upgrade with /usr/sbin/nginx.winch-1.22.1"),
    ],
)
def test_one_rollback_brings_the_old_version_back_from_every_step(
    upgrade: Upgrade, last: str, says: str
) -> None:
    host = upgrade.host
    download = Download(host.address).start()
    wait_for(lambda: download.begun, "the download has begun")
    begin(upgrade, last)
    assert course(upgrade) == says

    said = run_steps(host, upgrade.back())

    print(said)
    download.wait()
    assert download.complete, download
    serving(host, OLD)
    assert course(upgrade) == "1.22.1, nothing to go back to"
    assert set(run_steps(host, upgrade.back())) == {step.name for step in upgrade.back()}
    serving(host, OLD)


@pytest.mark.parametrize("last", ["stage", "upgrade_executable", "shutdown_workers", "quit"])
def test_every_step_can_be_repeated_after_any_other(upgrade: Upgrade, last: str) -> None:
    upgrade.force = True  # what `--force` is for: to go on
    begin(upgrade, last)
    master = observe(upgrade.host)[1].new

    run_steps(upgrade.host, upgrade.forward())

    serving(upgrade.host, NEW)
    now = observe(upgrade.host)[1].new
    assert last in {"stage", "quit"} or (now and master and now.pid == master.pid)


@pytest.mark.parametrize("signals", [["USR2"], ["USR2", "WINCH"]])
def test_an_upgrade_that_was_begun_by_hand_is_rolled_back(
    upgrade: Upgrade, signals: list[str]
) -> None:
    host = upgrade.host
    (master,) = observe(host)[0].masters
    host.sh(f"cp {NEW_PATH} /usr/sbin/nginx.n && mv -f /usr/sbin/nginx.n /usr/sbin/nginx")
    for signal in signals:
        host.sh(f"kill -{signal} {master.pid}")
        wait_for(lambda: observe(host)[1].old is not None, "a second master")
        wait_for(lambda: observe(host)[1].new is not None, "it serves")

    run_steps(host, upgrade.back())

    serving(host, OLD)
    assert observe(host)[1].new.pid == master.pid  # type: ignore[union-attr]


def test_a_host_that_was_never_reached_stays_as_it_is_and_says_so(upgrade: Upgrade) -> None:
    said = run_steps(upgrade.host, upgrade.back())

    assert "no upgrade is on record" in said["nginx.reload_old"]
    serving(upgrade.host, OLD)


def test_a_binary_that_was_only_copied_by_hand_is_replaced_by_the_running_one(
    upgrade: Upgrade,
) -> None:
    host = upgrade.host
    host.sh(f"cp {NEW_PATH} /usr/sbin/nginx.n && mv -f /usr/sbin/nginx.n /usr/sbin/nginx")

    run_steps(host, upgrade.back())

    serving(host, OLD)


@pytest.mark.parametrize("last", ["upgrade_executable", "shutdown_workers"])
def test_a_killed_new_master_leaves_orphans_that_a_rollback_ends(
    upgrade: Upgrade, last: str
) -> None:
    host = upgrade.host
    begin(upgrade, last)
    new = observe(host)[1].new
    assert new is not None
    host.sh(f"kill -KILL {new.pid}")
    wait_for(lambda: observe(host)[1].orphans, "orphans")

    with pytest.raises(Failed, match="is broken"):
        run_steps(host, upgrade.forward()[4:5])
    run_steps(host, upgrade.back())

    serving(host, OLD)
    assert observe(host)[0].orphans == ()


@pytest.mark.parametrize("back", [False, True], ids=["on", "back"])
def test_a_killed_old_master_leaves_both_ways_open(upgrade: Upgrade, back: bool) -> None:
    host = upgrade.host
    begin(upgrade, "upgrade_executable")
    old = observe(host)[1].old
    assert old is not None
    host.sh(f"kill -KILL {old.pid}")
    wait_for(lambda: observe(host)[1].orphans, "orphans")

    run_steps(host, upgrade.back() if back else upgrade.forward()[4:])

    serving(host, OLD if back else NEW)
    assert observe(host)[0].orphans == ()


def test_a_reload_midway_moves_systemd_and_a_rollback_moves_it_back(upgrade: Upgrade) -> None:
    host = upgrade.host
    begin(upgrade, "shutdown_workers")
    host.sh("systemctl reload nginx")
    assert host.main_pid("nginx") == observe(host)[1].new.pid  # type: ignore[union-attr]

    run_steps(host, upgrade.back())

    serving(host, OLD)


def test_quit_is_not_sent_while_the_pid_file_names_another(upgrade: Upgrade) -> None:
    host = upgrade.host
    begin(upgrade, "soak")
    new = observe(host)[1].new
    assert new is not None
    host.sh("rm /run/nginx.pid")

    with pytest.raises(Failed):
        run_steps(host, upgrade.forward()[6:7])

    assert fetch(f"http://{host.address}/").startswith("v1.25")
    host.sh(f"echo {new.pid} >/run/nginx.pid")
    run_steps(host, upgrade.forward()[6:])
    serving(host, NEW)


def test_a_rollback_after_quit_waits_for_connections_of_the_master_that_is_leaving(
    upgrade: Upgrade,
) -> None:
    host = upgrade.host
    for_held_downloads(host)
    download = HeldDownload(host)
    begin(upgrade, "shutdown_workers")
    old = observe(host)[1].old
    assert old is not None
    host.sh(f"kill -QUIT {old.pid}")
    wait_for(lambda: str(observe(host)[1]) == "quit pending", "quit pending")
    said: list[str] = []

    run_steps(host, upgrade.back(), on_wait=lambda text: (said.append(text), download.finish()))

    assert "was told to quit and ends first; 1 old worker still holds 1 connection" in said[0]
    serving(host, OLD)


def test_a_crashing_worker_of_the_new_version_ends_the_soak(upgrade: Upgrade) -> None:
    host = upgrade.host
    upgrade.soak = 20
    begin(upgrade, "shutdown_workers")
    new = observe(host)[1].new
    assert new is not None
    pid = new.workers[0].pid
    host.sh(f"systemd-run --quiet sh -c 'while kill -0 {pid}; do sleep 1; kill -SEGV {pid}; done'")

    with pytest.raises(Failed, match="exited on signal 11"):
        run_steps(host, upgrade.forward()[5:6])


def test_a_host_that_does_not_run_comes_back_with_the_old_version(upgrade: Upgrade) -> None:
    host = upgrade.host
    begin(upgrade, "shutdown_workers")
    host.sh("systemctl stop nginx")
    assert course(upgrade) == "not running → 1.22.1: started with the old binary"

    run_steps(host, upgrade.back())

    serving(host, OLD)
