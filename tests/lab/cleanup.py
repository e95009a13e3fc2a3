"""Take a lab down by its id alone, and sweep up the labs of test runs that were killed.

Everything that a lab puts on the machine carries its id: the cgroups `winch-lab-ID-HOST`, the
mounts below `/run/winch-lab/ID`, the bridge `wl-ID` and its firewall rule. So a lab can be taken
down without anything that its owner knew. Its owner holds a lock on `/run/winch-lab/ID.lock`,
which the kernel lets go when the owner dies: a lab whose lock is free is a leftover.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import IO

from tests.lab.waiting import wait_for
from tests.needs import find_program

STATE = Path("/run/winch-lab")


def bridge_name(lab_id: str) -> str:
    """The lab's bridge; at most 15 characters."""
    return f"wl-{lab_id}"


def cgroup_name(lab_id: str, host: str) -> str:
    """The cgroup of one host of the lab, in every hierarchy."""
    return f"winch-lab-{lab_id}-{host}"


def claim(lab_id: str) -> IO[str]:
    """Say that this process owns the lab, until it closes the returned file or dies."""
    STATE.mkdir(exist_ok=True)
    path = STATE / f"{lab_id}.lock"
    while True:
        file = path.open("w")
        fcntl.flock(file, fcntl.LOCK_EX)
        # A sweeper may have seen the file before it was locked, and removed it.
        if path.exists() and path.stat().st_ino == os.fstat(file.fileno()).st_ino:
            return file
        file.close()


def sweep() -> list[str]:
    """Take down every lab whose owner is dead; return their ids."""
    swept = []
    for lock in sorted(STATE.glob("*.lock")):
        with lock.open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            dismantle(lock.stem)
            swept.append(lock.stem)
    return swept


def dismantle(lab_id: str) -> None:
    """Stop every process of the lab and remove what it put on the machine. Safe to repeat."""
    for hierarchy in cgroup_hierarchies():
        for group in hierarchy.glob(cgroup_name(lab_id, "*")):
            kill_cgroup(group)
    state = STATE / lab_id
    unmount_below(state)
    remove_bridge(bridge_name(lab_id))
    if state.is_dir():
        shutil.rmtree(state)
    (STATE / f"{lab_id}.lock").unlink(missing_ok=True)


def cgroup_hierarchies() -> list[Path]:
    """The hierarchies by which systemd tracks processes: v2, and `name=systemd` of v1."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, tail = line.partition(" - ")
        kind, _, options = tail.split(" ", 2)
        if kind == "cgroup2" or (kind == "cgroup" and "name=systemd" in options.split(",")):
            found.append(Path(fields.split(" ")[4]))
    return found


def kill_cgroup(group: Path, timeout: float = 10.0) -> None:
    """SIGKILL everything in a cgroup and below, wait until it is empty, and remove it."""

    def members() -> list[int]:
        files = [group / "cgroup.procs", *group.rglob("cgroup.procs")]
        return [int(pid) for file in files if file.exists() for pid in _read(file).split()]

    def emptied() -> bool:
        pids = members()
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        return not pids

    wait_for(emptied, f"{group} is empty", timeout=timeout)
    directories = [path for path in group.rglob("*") if path.is_dir()]
    for directory in [*sorted(directories, reverse=True), group]:
        wait_for(lambda path=directory: _removed(path), f"{directory} is removed")  # type: ignore[misc]


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # the cgroup went away between listing and reading
        return ""


def _removed(directory: Path) -> bool:
    try:
        directory.rmdir()
    except FileNotFoundError:
        return True
    except OSError:  # busy: its processes are zombies for a moment
        return False
    return True


def mounts_below(directory: Path) -> list[str]:
    """Mount points at and below a directory, innermost first."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = [line.split(" ")[4] for line in lines]
    prefix = f"{directory}/"
    return [
        point for point in reversed(points) if point == str(directory) or point.startswith(prefix)
    ]


def unmount_below(directory: Path) -> None:
    """Unmount everything at and below a directory; lazily what is still busy."""
    for point in mounts_below(directory):
        if subprocess.run(["umount", point], check=False, capture_output=True).returncode != 0:
            subprocess.run(["umount", "--lazy", point], check=True, capture_output=True)


def bridge_rule(bridge: str) -> list[str]:
    """The iptables rule that lets frames cross the bridge, without its verb."""
    return ["FORWARD", "-i", bridge, "-o", bridge, "-j", "ACCEPT"]


def remove_bridge(bridge: str) -> None:
    """Remove the bridge and its firewall rule, if they are there."""
    iptables = find_program("iptables")
    if iptables is not None:
        rule = bridge_rule(bridge)
        while (
            subprocess.run(
                [iptables, "-w", "-D", *rule], check=False, capture_output=True
            ).returncode
            == 0
        ):
            pass
    if Path("/sys/class/net", bridge).exists():
        subprocess.run(["ip", "link", "delete", bridge], check=True, capture_output=True)


if __name__ == "__main__":
    for lab in sweep():
        print(f"swept up {lab}")
