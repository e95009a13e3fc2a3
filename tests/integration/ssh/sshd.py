"""An sshd of the test's own: its configuration, keys and port, as an ordinary process."""

from __future__ import annotations

import contextlib
import getpass
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

from tests.needs import needs_program
from worker.plan import HostSpec, SshSpec


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def make_key(file: Path, passphrase: str = "") -> Path:
    subprocess.run(
        [needs_program("ssh-keygen"), "-q", "-t", "ed25519", "-N", passphrase, "-f", file],
        check=True,
    )
    return file


def children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


class Sshd:
    """Runs until `stop`. Its client key is `key`, its host key stands in `known_hosts`."""

    def __init__(self, directory: Path, *options: str) -> None:
        self.program = needs_program("sshd")
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:  # where a privileged sshd locks up its unprivileged half
            Path("/run/sshd").mkdir(exist_ok=True)
        self.port = free_port()
        self.key = make_key(directory / "id")
        make_key(directory / "host")
        self.known_hosts = directory / "known_hosts"
        self.trust()
        (directory / "authorized_keys").write_text((directory / "id.pub").read_text())
        self._config = directory / "sshd_config"
        self._config.write_text(
            "\n".join(
                (
                    *options,
                    f"Port {self.port}",
                    "ListenAddress 127.0.0.1",
                    f"HostKey {directory / 'host'}",
                    f"AuthorizedKeysFile {directory / 'authorized_keys'}",
                    f"PidFile {directory / 'pid'}",
                    "StrictModes no",
                    "UsePAM no",
                    "PasswordAuthentication no",
                    "KbdInteractiveAuthentication no",
                    "PermitRootLogin yes",
                    "MaxSessions 10",  # the first of two lines counts: options go before
                    "MaxStartups 100",
                    "",
                )
            )
        )
        self.start()

    def trust(self) -> None:
        """Write the host key into known_hosts."""
        kind, key, *_ = (self.directory / "host.pub").read_text().split()
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {kind} {key}\n")

    def start(self) -> None:
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self.program, "-D", "-e", "-f", self._config], stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + 10
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise AssertionError((self.directory / "log").read_text())
            time.sleep(0.02)

    def spec(self, name: str = "web1", **ssh: object) -> HostSpec:
        """Describe it, as a fleet file would."""
        values = {
            "user": getpass.getuser(),
            "port": self.port,
            "identity_file": self.key,
            "known_hosts": self.known_hosts,
        } | ssh
        return HostSpec(name=name, address="127.0.0.1", ssh=SshSpec.model_validate(values))

    def sessions(self) -> list[int]:
        """The processes of the connections that are open."""
        return children(self._process.pid)

    def cut(self) -> None:
        """Break every connection, as a reboot would."""
        for session in self.sessions():
            for pid in (*children(session), session):
                with contextlib.suppress(ProcessLookupError):
                    if "sshd" in Path(f"/proc/{pid}/cmdline").read_text():
                        os.kill(pid, signal.SIGKILL)

    def stop(self) -> None:
        self.cut()
        self._process.terminate()
        self._process.wait(10)
