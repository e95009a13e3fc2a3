"""One whole Debian host: systemd, sshd, a file system and an address of its own."""

from __future__ import annotations

import json
import shlex
import subprocess

from tests.lab.machine import HostError, HostPlace, Machine, run_here

__all__ = ["HostError", "HostPlace", "LabHost"]

_PARTITION = "lab_partition"  # a table of nftables, in the host


class LabHost(Machine):
    """A host of the lab. `sh()` runs a command on it as root, past SSH; `ssh()` goes through it."""

    def __init__(self, name: str, address: str, place: HostPlace) -> None:
        """Describe a host; `start()` boots it."""
        super().__init__(name, address, place)
        self._cut_off: list[LabHost] = []

    def sh(self, script: str, *, timeout: float = 60.0, check: bool = True) -> str:
        """Run shell text on the host as root, past SSH; return its standard output, stripped."""
        return self.run("sh", "-c", script, timeout=timeout, check=check).stdout.strip()

    def ssh(self, command: str, *, user: str = "root") -> subprocess.CompletedProcess[str]:
        """Run shell text through the host's sshd, with strict host keys."""
        options = ["-o", f"UserKnownHostsFile={self._place.keys / 'known_hosts'}"]
        options += ["-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes", "-F", "none"]
        options += ["-i", str(self._place.keys / "id_ed25519")]
        return subprocess.run(
            ["ssh", *options, f"{user}@{self.address}", command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def write_file(self, path: str, content: str | bytes, mode: int = 0o644) -> None:
        """Write a file on the host, with its directories."""
        data = content.encode() if isinstance(content, str) else content
        self.run("install", "-D", "-m", f"{mode:o}", "/dev/stdin", path, stdin=data)

    def read_file(self, path: str) -> str:
        """Read a text file of the host."""
        return self.run("cat", path).stdout

    def exists(self, path: str) -> bool:
        """Whether a path exists on the host."""
        return self.run("test", "-e", path, check=False).returncode == 0

    def main_pid(self, unit: str) -> int:
        """The MainPID of a unit, as the host counts; 0 when it does not run."""
        return int(self.sh(f"systemctl show --property=MainPID --value {shlex.quote(unit)}"))

    def addresses(self) -> list[str]:
        """The IPv4 addresses that the host really holds, virtual ones too."""
        listed = json.loads(self.run("ip", "-json", "-4", "address", "show", "dev", "host0").stdout)
        return [info["local"] for link in listed for info in link["addr_info"]]

    # -- the network's faults -------------------------------------------------------------------

    def netns(self, *argv: str, stdin: str | None = None, check: bool = True) -> str:
        """Run a program of this machine (tc, nft, tcpdump) in the host's network."""
        command = ["nsenter", f"--target={self._leader}", "--net", *argv]
        return run_here(*command, stdin=stdin, check=check)

    def partition(self, *others: LabHost) -> None:
        """Cut the host off from others, both directions, or from everybody when none is named.

        Packets are dropped where they arrive, multicast too; nobody is told. `heal()` ends it.
        """
        if not others:
            self._drop("iifname host0")
            return
        for other in others:
            self._drop(f"ip saddr {other.address}")
            other._drop(f"ip saddr {self.address}")
            self._cut_off.append(other)

    def heal(self) -> None:
        """End all partitions that this host was the subject of."""
        for host in [self, *self._cut_off]:
            if host.running:
                host.run("nft", "delete", "table", "inet", _PARTITION, check=False)
        self._cut_off.clear()

    def _drop(self, what: str) -> None:
        rules = (
            f"add table inet {_PARTITION}\n"
            f"add chain inet {_PARTITION} input {{ type filter hook input priority -300; }}\n"
            f"add rule inet {_PARTITION} input {what} drop\n"
        )
        self.run("nft", "-f", "-", stdin=rules.encode())
