"""The life of one host: its file system, its cgroup, booting, the power cut, and its end."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from tests.lab.cleanup import cgroup_hierarchies, cgroup_name, kill_cgroup, unmount_below
from tests.lab.waiting import wait_for

BOOT_TIMEOUT = 60.0  # seconds; 0.3 on an idle machine
_ENVIRONMENT = (
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME=/root",
    "LANG=C.UTF-8",
)


class HostError(AssertionError):
    """A command on a host failed, or the host did not boot."""


@dataclass(frozen=True)
class HostPlace:
    """Where a host lives on this machine, and what it shares with its lab."""

    lab_id: str
    directory: Path  # of this host: upper, work, root, boot.log
    rootfs: Path
    bridge: str
    keys: Path  # of the lab: id_ed25519, id_ed25519.pub, known_hosts


class Machine:
    """What `LabHost` stands on: a systemd-nspawn container that boots like a machine."""

    def __init__(self, name: str, address: str, place: HostPlace) -> None:
        """Describe a host; `start()` boots it."""
        self.name = name
        self.address = address
        self.boot_seconds = 0.0
        self._place = place
        self._supervisor: subprocess.Popen[bytes] | None = None
        self._leader = 0  # pid, on this machine, of the host's systemd
        self._groups = [
            hierarchy / cgroup_name(place.lab_id, name) for hierarchy in cgroup_hierarchies()
        ]
        self._root = place.directory / "root"
        self._upper = place.directory / "upper"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name}, {self.address})"

    def prepare(self) -> str:
        """Make its file system with its keys; return its public host key."""
        lower, work = self._place.rootfs, self._place.directory / "work"
        for directory in (self._root, self._upper, work):
            directory.mkdir(parents=True)
        options = f"lowerdir={lower},upperdir={self._upper},workdir={work}"
        run_here("mount", "-t", "overlay", f"winch-lab-{self.name}", "-o", options, str(self._root))
        network = (
            "[Match]\nName=host0\n[Network]\n"
            f"Address={self.address}/24\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n"
        )
        self._place_file("etc/systemd/network/50-lab.network", network)
        self._place_file("etc/hostname", f"{self.name}\n")
        self._place_file("etc/winch-lab", f"{self._place.lab_id}\n")
        self._place_file("etc/hosts", f"127.0.0.1 localhost\n{self.address} {self.name}\n")
        # A test redeploys more often than systemd lets a person do (5 starts in 10 s).
        for unit in ("nginx", "haproxy", "keepalived"):
            drop_in = f"etc/systemd/system/{unit}.service.d/lab.conf"
            self._place_file(drop_in, "[Unit]\nStartLimitIntervalSec=0\n")
        key = self._root / "etc/ssh/ssh_host_ed25519_key"
        run_here("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", self.name, "-f", str(key))
        authorized = (self._place.keys / "id_ed25519.pub").read_text()
        self._place_file("root/.ssh/authorized_keys", authorized)
        self._place_file("home/deploy/.ssh/authorized_keys", authorized)
        home = (self._root / "home/deploy").stat()
        for path in (".ssh", ".ssh/authorized_keys"):
            os.chown(self._root / "home/deploy" / path, home.st_uid, home.st_gid)
        return key.with_suffix(".pub").read_text().strip()

    def start(self) -> None:
        """Boot, and return when sshd answers.

        Raises:
            HostError: it did not within BOOT_TIMEOUT; the end of its boot log is in the message.
        """
        began = time.monotonic()
        for group in self._groups:
            group.mkdir(exist_ok=True)
        nspawn = [
            "systemd-nspawn",
            "--quiet",
            f"--directory={self._root}",
            f"--machine=wl{self._place.lab_id}-{self.name}",
            f"--hostname={self.name}",
            "--register=no",
            "--keep-unit",
            "--resolv-conf=off",
            "--timezone=off",
            "--link-journal=no",
            f"--network-bridge={self._place.bridge}",
            "--boot",
        ]
        # Into its own cgroup before exec: without one of its own, systemd inside can neither list
        # nor kill the processes of a service.
        joins = [f"echo $$ > {shlex.quote(str(group / 'cgroup.procs'))}" for group in self._groups]
        script = "set -e; " + "; ".join([*joins, f"exec {shlex.join(nspawn)}"])
        with (self._place.directory / "boot.log").open("wb") as log:
            self._supervisor = subprocess.Popen(
                ["sh", "-c", script],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C is for the tests, which then clean up; not for the hosts.
                start_new_session=True,
                # A systemd of this decade wants cgroup v2, also where this machine has both.
                env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
            )
        try:
            self._leader = wait_for(self._find_leader, "systemd runs", timeout=BOOT_TIMEOUT)
            wait_for(self._sshd_answers, "sshd answers", timeout=BOOT_TIMEOUT)
        except (TimeoutError, HostError) as error:
            raise HostError(f"{self.name} did not boot: {error}; {self._boot_log()}") from error
        self.boot_seconds = time.monotonic() - began

    def poweroff(self, timeout: float = 30.0) -> None:
        """Shut down in order: services stop, connections are closed."""
        if self.running:
            os.kill(self._leader, signal.SIGRTMIN + 4)  # systemd(1): poweroff.target
        self._gone(timeout)

    def kill(self) -> None:
        """Cut the power: every process dies at once, nobody is told."""
        if self.running:
            os.kill(self._leader, signal.SIGKILL)
        self._gone(10.0)

    def reboot(self) -> None:
        """Shut down in order and boot again, on the same file system."""
        self.poweroff()
        self.start()

    def remove(self) -> None:
        """Kill it and remove its cgroups and its mount. Safe to repeat."""
        for group in self._groups:
            kill_cgroup(group)
        if self._supervisor is not None:
            self._supervisor.wait(10.0)
        unmount_below(self._root)

    @property
    def running(self) -> bool:
        """Whether its systemd is alive."""
        return self._supervisor is not None and self._supervisor.poll() is None

    def _gone(self, timeout: float) -> None:
        if self._supervisor is not None:
            self._supervisor.wait(timeout)
        for group in self._groups:
            kill_cgroup(group)

    def _find_leader(self) -> int:
        if self._supervisor is None or not self.running:
            raise HostError("systemd-nspawn exited")
        pid = self._supervisor.pid
        try:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        except FileNotFoundError:
            return 0
        for child in children:
            try:
                status = Path(f"/proc/{child}/status").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            ids = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()
            # Before it is systemd it is still nspawn, with half of its namespaces.
            if len(ids) > 2 and ids[-1] == "1" and status.startswith("Name:\tsystemd\n"):
                return int(child)
        return 0

    def _sshd_answers(self) -> bool:
        if not self.running:
            raise HostError("systemd-nspawn exited")
        try:
            # A SYN that came too early is lost, and repeated only after a second: ask anew.
            with socket.create_connection((self.address, 22), timeout=0.1) as connection:
                connection.settimeout(2.0)
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False

    def _boot_log(self) -> str:
        log = self._place.directory / "boot.log"
        return "boot log: …" + log.read_text(errors="replace")[-2000:]

    def _place_file(self, path: str, text: str) -> None:
        """Write a file before the first boot."""
        target = self._root / path
        target.parent.mkdir(
            mode=0o700 if path.endswith("authorized_keys") else 0o755, exist_ok=True
        )
        target.write_text(text, encoding="utf-8")

    def run(
        self, *argv: str, stdin: bytes | None = None, timeout: float = 60.0, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on the host as root, past SSH.

        Raises:
            HostError: it exited with other than 0 (unless `check` is False) or outlived `timeout`.
        """
        if not self.running:
            raise HostError(f"{self.name} is off: cannot run {shlex.join(argv)}")
        enter = ["nsenter", f"--target={self._leader}", "--all", "--root", "--wd"]
        limit = ["env", "-i", *_ENVIRONMENT, "timeout", "-k", "1", f"{timeout}"]
        done = subprocess.run(
            [*enter, *limit, *argv], input=stdin or b"", capture_output=True, check=False
        )
        out, err = (text.decode(errors="replace") for text in (done.stdout, done.stderr))
        if check and done.returncode != 0:
            raise HostError(
                f"{self.name}: {shlex.join(argv)} exited with {done.returncode}: {out}{err}".strip()
            )
        return subprocess.CompletedProcess(argv, done.returncode, out, err)


def run_here(*argv: str, stdin: str | None = None, check: bool = True) -> str:
    """Run a program of this machine; return its standard output."""
    done = subprocess.run(argv, input=stdin or "", capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        raise HostError(f"{shlex.join(argv)} exited with {done.returncode}: {done.stderr.strip()}")
    return done.stdout
