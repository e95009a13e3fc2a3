"""A lab: a bridge and the hosts on it, and nothing left of them afterwards.

with Lab() as lab:
    web1, web2, lb1 = lab.hosts("web1", "web2", "lb1")
"""

from __future__ import annotations

import atexit
import secrets
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from tests.lab import cleanup, rootfs
from tests.lab.host import HostPlace, LabHost
from tests.lab.network import Network

BOOTED_AT_ONCE = 4


class Lab:
    """Hosts on one bridge. A context manager: leaving it takes everything down, also on errors."""

    def __init__(self, suite: str = "bookworm") -> None:
        """Choose the suite of the hosts; nothing is touched before `with`."""
        self.suite = suite
        self.id = secrets.token_hex(3)
        self.by_name: dict[str, LabHost] = {}
        self.directory = cleanup.STATE / self.id

    def __enter__(self) -> Lab:
        cleanup.sweep()
        self._root = rootfs.ensure(self.suite)
        self._claim = cleanup.claim(self.id)
        atexit.register(self.close)  # when pytest is interrupted between a fixture's halves
        try:
            # In memory: fast, a valid upper directory whatever the disk's file system is, and
            # gone with one umount.
            self.directory.mkdir(mode=0o755)
            options = "mode=0755,size=4g"
            _run("mount", "-t", "tmpfs", "-o", options, "winch-lab", str(self.directory))
            self.network = Network(self.id)
            self.keys = self.directory / "keys"
            self.keys.mkdir()
            (self.keys / "known_hosts").touch()
            key = str(self.identity_file)
            _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "winch lab", "-f", key)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Take everything down. Safe to repeat."""
        atexit.unregister(self.close)
        try:
            for host in self.by_name.values():
                host.remove()
        finally:
            cleanup.dismantle(self.id)
            self._claim.close()

    @property
    def identity_file(self) -> Path:
        """The private key that root and deploy accept on every host."""
        return self.keys / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        """The host keys of all hosts, by address and by name."""
        return self.keys / "known_hosts"

    def host(self, name: str, *, suite: str | None = None) -> LabHost:
        """Boot one host; return when its sshd answers."""
        return self.hosts(name, suite=suite)[0]

    def hosts(self, *names: str, suite: str | None = None) -> list[LabHost]:
        """Boot several hosts in parallel; they know each other by name."""
        made = [self._prepare(name, suite or self.suite) for name in names]
        with ThreadPoolExecutor(BOOTED_AT_ONCE) as pool:
            list(pool.map(LabHost.start, made))
        self._introduce()
        return made

    def _prepare(self, name: str, suite: str) -> LabHost:
        if name in self.by_name:
            raise ValueError(f"the lab has a host {name} already")
        place = HostPlace(
            lab_id=self.id,
            directory=self.directory / name,
            rootfs=self._root if suite == self.suite else rootfs.ensure(suite),
            bridge=self.network.bridge,
            keys=self.keys,
        )
        host = LabHost(name, self.network.allocate(), place)
        self.by_name[name] = host
        key = host.prepare()
        with self.known_hosts.open("a") as file:
            kind, value = key.split(" ")[:2]
            file.write(f"{host.address},{name} {kind} {value}\n")
        return host

    def _introduce(self) -> None:
        lines = [f"{host.address} {host.name}" for host in self.by_name.values()]
        text = "\n".join(["127.0.0.1 localhost", *lines, ""])
        for host in self.by_name.values():
            if host.running:
                host.write_file("/etc/hosts", text)


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True, text=True)
