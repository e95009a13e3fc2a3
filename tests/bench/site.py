"""A site to be rolled: real HAProxy with N servers, and a real sshd that is every host at once.

Each host has a loopback address of its own and therefore an SSH connection of its own. All servers
of the balancers are one small HTTP service: what is measured is not how it restarts.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import shlex
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import yaml

from tests.integration.ssh.sshd import free_port, make_key
from tests.needs import needs_program
from worker.plan import HostSpec, SshSpec
from workflows.fleet import load_fleet
from workflows.model import Fleet

BACKEND = "web"
START_SECONDS = 30.0


def address(number: int) -> str:
    """The address of a host; balancers have the numbers from 60001 on."""
    return f"127.{90 + number // 62500}.{number // 250 % 250}.{number % 250 + 1}"


def wait_for(condition: Callable[[], bool], what: str, seconds: float = START_SECONDS) -> None:
    """Wait for a condition, with a deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"not within {seconds:g} s: {what}")
        time.sleep(0.02)


class Site:
    """`hosts` servers behind `balancers` HAProxy processes; `start`, use, `stop`."""

    def __init__(self, directory: Path, hosts: int, balancers: int) -> None:
        self.directory = directory
        # Of this process alone: hosts remember lease numbers by name.
        self.hosts = [f"bench{os.getpid()}-{n}" for n in range(1, hosts + 1)]
        self.balancers = [f"bench{os.getpid()}-lb{n}" for n in range(1, balancers + 1)]
        # Short, but with no more than two thousand checks a second to all of them.
        self.check_milliseconds = max(100, hosts)
        self.ssh_port, self.web_port = free_port(), free_port()
        self._processes: list[subprocess.Popen[bytes]] = []

    def socket(self, balancer: str) -> Path:
        """A balancer's Runtime API socket."""
        return self.directory / f"{balancer}.sock"

    def version_file(self, host: str) -> Path:
        """What the redeploy of a host writes."""
        return self.directory / "versions" / host

    def spec(self, name: str) -> HostSpec:
        """A host or a balancer, as the engine's connections want it."""
        ssh = SshSpec.model_validate(self._ssh())
        return HostSpec(name=name, address=self._addresses()[name], ssh=ssh)

    def fleet(self) -> Fleet:
        """The fleet, by way of a fleet file."""
        file = self.directory / "fleet.yaml"
        versions = shlex.quote(str(self.directory / "versions"))
        pool = {
            "balancers": self.balancers,
            "backends": [BACKEND],
            "servers": {name: {} for name in self.hosts},
            "drain": {"timeout": "30s"},
            "redeploy": {"command": {"run": f"printf %s {{version}} > {versions}/{{name}}"}},
            "verify": [{"command": {"run": f"grep -q {{version}} {versions}/{{name}}"}}],
            "enable": {"stable": "0s"},
            "policy": {"max_unavailable": 1, "stages": ["100%"]},
        }
        fleet = {
            "ssh": self._ssh(),
            "vars": {"version": "1"},
            "hosts": {name: {"address": at} for name, at in self._addresses().items()},
            "balancers": {name: {"sockets": [str(self.socket(name))]} for name in self.balancers},
            "pools": {"web": pool},
        }
        file.write_text(yaml.safe_dump(json.loads(json.dumps(fleet)), sort_keys=False))
        return load_fleet(file)

    def start(self) -> None:
        """Start everything, and wait until every server is UP."""
        (self.directory / "versions").mkdir()
        for host in self.hosts:
            self.version_file(host).write_text("1")
        self._start_sshd()
        self._haproxy(
            "app",
            f"frontend app\n bind 127.0.0.1:{self.web_port}\n"
            " http-request return status 200 content-type text/plain string ok\n",
        )
        for name in self.balancers:
            self._haproxy(name, self._backend(), self.socket(name))
        wait_for(
            lambda: all(self._all_up(name) for name in self.balancers),
            "all servers are UP on all balancers",
        )

    def stop(self) -> None:
        """End everything, and leave no lease file behind."""
        for process in reversed(self._processes):
            process.terminate()
        for process in self._processes:
            process.wait(20)
        for directory in (Path("/run/winch"), Path(f"/tmp/winch-{os.geteuid()}")):
            for file in directory.glob(f"*bench{os.getpid()}-*.lease"):
                file.unlink()

    def _ssh(self) -> dict[str, object]:
        return {
            "user": getpass.getuser(),
            "port": self.ssh_port,
            "identity_file": str(self.directory / "id"),
            "known_hosts": str(self.directory / "known_hosts"),
        }

    def _addresses(self) -> dict[str, str]:
        hosts = {name: address(n) for n, name in enumerate(self.hosts, 1)}
        return hosts | {name: address(60000 + n) for n, name in enumerate(self.balancers, 1)}

    def _start_sshd(self) -> None:
        make_key(self.directory / "id")
        make_key(self.directory / "host_key")
        shutil.copy(self.directory / "id.pub", self.directory / "authorized_keys")
        kind, key, *_ = (self.directory / "host_key.pub").read_text().split()
        (self.directory / "known_hosts").write_text(
            "".join(f"[{at}]:{self.ssh_port} {kind} {key}\n" for at in self._addresses().values())
        )
        if os.geteuid() == 0:  # where a privileged sshd locks up its unprivileged half
            Path("/run/sshd").mkdir(exist_ok=True)
        # A "routing domain" is a device on Linux: every address of the loopback, and nothing else.
        (self.directory / "sshd_config").write_text(
            f"ListenAddress 0.0.0.0:{self.ssh_port} rdomain lo\n"
            f"HostKey {self.directory}/host_key\n"
            f"AuthorizedKeysFile {self.directory}/authorized_keys\n"
            "PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n"
            "KbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\nUseDNS no\n"
            "MaxStartups 500\n"
            # The user's own .bashrc, which bash reads for every session, may do anything.
            f"SetEnv HOME={self.directory}\n"
        )
        self._run("sshd", [needs_program("sshd"), "-D", "-e", "-f",
                           str(self.directory / "sshd_config")])  # fmt: skip
        first = self._addresses()[self.hosts[0]]
        wait_for(lambda: _connects(first, self.ssh_port), "sshd listens")

    def _backend(self) -> str:
        lines = "".join(f" server {name} 127.0.0.1:{self.web_port} check\n" for name in self.hosts)
        return (
            f"defaults\n default-server inter {self.check_milliseconds}ms rise 2 fall 3\n"
            f"backend {BACKEND}\n balance roundrobin\n{lines}"
        )

    def _haproxy(self, name: str, sections: str, stats: Path | None = None) -> None:
        config = self.directory / f"{name}.cfg"
        level = "" if stats is None else f" stats socket {stats} mode 600 level admin\n"
        config.write_text(
            f"global\n maxconn 4000\n{level}"
            "defaults\n mode http\n timeout connect 2s\n timeout client 10s\n timeout server 10s\n"
            f"{sections}"
        )
        self._run(name, [needs_program("haproxy"), "-db", "-f", str(config)])

    def _run(self, name: str, argv: list[str]) -> None:
        with (self.directory / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(argv, stdout=log, stderr=log, start_new_session=True)
        self._processes.append(process)

    def _all_up(self, balancer: str) -> bool:
        with contextlib.suppress(OSError):
            rows = [row.split(",") for row in ask(self.socket(balancer), "show stat web 4 -1")]
            return len(rows) == len(self.hosts) and all(row[17] == "UP" for row in rows)
        return False


def ask(path: Path, command: str) -> Iterator[str]:
    """What a Runtime API says, without its header and empty lines."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(path))
        client.sendall(f"{command}\n".encode())
        text = b"".join(iter(lambda: client.recv(65536), b"")).decode()
    return iter([line for line in text.splitlines() if line and not line.startswith("#")])


def _connects(at: str, port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((at, port), 1):
        return True
    return False
