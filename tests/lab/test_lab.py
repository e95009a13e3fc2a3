"""The lab itself: what other tests take for granted about its hosts and its end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab import cleanup, nginx
from tests.lab.load import fetch
from tests.lab.topology import Lab
from tests.needs import needs_nspawn


def test_hosts_boot_in_parallel_and_know_each_other(lab: Lab) -> None:
    hosts = lab.hosts("one", "two", "three")

    print("boot:", ", ".join(f"{host.name} {host.boot_seconds:.2f} s" for host in hosts))
    for host in hosts:
        assert host.sh("hostname") == host.name
        assert host.sh("sysctl -n net.ipv4.ip_forward") == "0"
        assert host.addresses() == [host.address]
        for other in hosts:
            assert "1 received" in host.sh(f"ping -c 1 -W 2 {other.name}")


def test_a_host_of_the_next_release_boots_beside_the_others(lab: Lab) -> None:
    host = lab.host("next", suite="trixie")

    assert host.sh(". /etc/os-release; echo $VERSION_CODENAME") == "trixie"
    nginx.install_nginx(host)
    assert fetch(f"http://{host.address}/") == "v1.25 next"


def test_sshd_lets_in_both_users_and_strict_clients_know_its_key(lab: Lab) -> None:
    host = lab.host("one")

    assert host.ssh("id -un").stdout == "root\n"
    assert host.ssh("id -un; sudo -n id -un", user="deploy").stdout == "deploy\nroot\n"

    other = lab.host("two")
    keys = lab.known_hosts.read_text().splitlines()
    swapped = f"{host.address},one {keys[1].split(' ', 1)[1]}\n"
    assert other.address not in swapped
    lab.known_hosts.write_text(swapped)
    refused = host.ssh("true")
    assert refused.returncode == 255
    assert "verification failed" in refused.stderr


def test_a_restart_kills_the_whole_service_and_nothing_else(lab: Lab) -> None:
    one, two = lab.hosts("one", "two")
    for host in (one, two):
        nginx.install_nginx(host)
    before = one.main_pid("nginx")
    workers = one.sh(f"pgrep -P {before}").split()
    neighbour = two.main_pid("nginx")

    # A process that a service left behind dies with it only if systemd sees its cgroup.
    one.sh("systemd-run --quiet --unit=stray sh -c 'setsid sleep 1000 & exec sleep 1000'")
    assert len(one.sh("pgrep -x sleep").split()) == 2
    one.sh("systemctl stop stray; systemctl restart nginx")

    assert one.sh("pgrep -x sleep", check=False) == ""
    assert one.main_pid("nginx") not in {0, before}
    for pid in [str(before), *workers]:
        assert not one.exists(f"/proc/{pid}")
    assert two.main_pid("nginx") == neighbour


def test_a_host_keeps_its_files_over_a_power_cut(lab: Lab) -> None:
    host = lab.host("one")
    host.write_file("/srv/kept", b"\x00\xff")
    host.kill()
    assert not host.running

    host.start()

    assert host.run("stat", "-c", "%s", "/srv/kept").stdout == "2\n"
    host.reboot()
    assert host.exists("/srv/kept")


def test_a_partition_cuts_two_hosts_off_from_each_other_only(lab: Lab) -> None:
    one, two, three = lab.hosts("one", "two", "three")
    one.partition(two)
    assert two.run("ping", "-c", "1", "-W", "1", "one", check=False).returncode != 0
    assert two.run("ping", "-c", "1", "-W", "1", "three").returncode == 0
    assert one.ssh("true").returncode == 0

    one.heal()
    assert two.run("ping", "-c", "1", "-W", "1", "one").returncode == 0

    three.partition()
    assert two.run("ping", "-c", "1", "-W", "1", "three", check=False).returncode != 0


def traces(lab_id: str) -> list[str]:
    """Everything on the machine that carries the lab's id."""
    groups = [hierarchy.glob(f"*{lab_id}*") for hierarchy in cleanup.cgroup_hierarchies()]
    found = [str(path) for paths in groups for path in paths]
    found += [str(path) for path in cleanup.STATE.glob(f"{lab_id}*")]
    found += cleanup.mounts_below(cleanup.STATE / lab_id)
    found += [path.name for path in Path("/sys/class/net").glob(f"*{lab_id}*")]
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = process.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        found += [command] if f"wl{lab_id}-" in command else []
    return found


def test_nothing_is_left_of_a_lab_also_when_its_test_fails() -> None:
    needs_nspawn()
    lab = Lab()

    def fail() -> None:
        with lab:
            lab.hosts("one", "two")
            assert len(traces(lab.id)) > 4
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert traces(lab.id) == []


def test_the_next_lab_sweeps_up_after_a_killed_test_run() -> None:
    needs_nspawn()
    script = (
        "from tests.lab.topology import Lab\n"
        "import sys\n"
        "with Lab() as lab:\n"
        "    lab.host('one')\n"
        "    print(lab.id, flush=True)\n"
        "    sys.stdin.read()\n"
    )
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
    ) as run:
        assert run.stdout is not None
        lab_id = run.stdout.readline().strip()
        assert lab_id not in cleanup.sweep(), "its owner lives"
        os.kill(run.pid, signal.SIGKILL)
    assert traces(lab_id)

    with Lab():
        assert traces(lab_id) == []
