"""Hosts whose nginx is upgraded in place, the two binaries, and the plans that do it."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tasks.registry  # noqa: F401  (registers the steps)
from tasks.nginx.facts import Facts
from tasks.nginx.observe import read_facts
from tasks.nginx.params import (
    Instance,
    NewBinary,
    Preflight,
    Quit,
    QuitNew,
    ReloadOld,
    ShutdownWorkers,
    Soak,
    Stage,
    Unstage,
    UpgradeExecutable,
)
from tasks.nginx.phase import Situation, situation
from tasks.probe.params import Check, Http, Verify
from tests.lab import nginx, rootfs
from tests.lab.host import LabHost
from tests.lab.topology import Lab
from worker.plan import BackStep, HostSpec, LaneSpec, Plan, Policy, SshSpec, StepSpec
from worker.remote import Command, Result
from worker.step import REGISTRY, Wait

OLD, NEW = "1.22.1", "1.26.3"  # bookworm's nginx, and trixie's, which runs on bookworm too
NEW_PATH = "/var/lib/winch/nginx/lab/nginx"
BINARY = "/usr/sbin/nginx"


def install(lab: Lab, host: LabHost, *, big_mb: int = 2, limit_rate: str = "1m") -> None:
    """Serve with bookworm's nginx; trixie's lies where the upgrade expects it.

    Modules of the older version are not loaded. Notices are logged: they tell who did what.
    """
    host.sh("rm -f /etc/nginx/modules-enabled/*")
    host.sh(
        "sed -i 's,^error_log .*,error_log /var/log/nginx/error.log notice;,' /etc/nginx/nginx.conf"
    )
    nginx.install_nginx(host, big_mb=big_mb, limit_rate=limit_rate)
    put_binary(host)


def put_binary(host: LabHost, content: bytes | None = None) -> None:
    """Bring the new binary (trixie's, unless another content is given) to the host."""
    content = content or (rootfs.ensure("trixie") / "usr/sbin/nginx").read_bytes()
    host.write_file(NEW_PATH, content, mode=0o755)
    host.sh(f"sha256sum <{NEW_PATH} >{NEW_PATH}.sha256")


class HeldDownload:
    """A download that lasts until the test lets it end, however slow the machine is.

    It stops reading; the file is larger than all buffers between, so nginx cannot finish it.
    """

    def __init__(self, host: LabHost) -> None:
        """Begin it: the headers and the first bytes have come."""
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        self._socket.settimeout(30)
        self._socket.connect((host.address, 80))
        self._socket.sendall(b"GET /big HTTP/1.0\r\nHost: lab\r\n\r\n")
        head = b""
        while b"\r\n\r\n" not in head:
            head += self._socket.recv(1024)
        headers, _, rest = head.partition(b"\r\n\r\n")
        assert b" 200 " in headers.splitlines()[0], headers
        length = next(h for h in headers.lower().splitlines() if h.startswith(b"content-length"))
        self._left = int(length.split(b":")[1]) - len(rest)

    def finish(self) -> None:
        """Read the rest; all of it comes."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        while self._left > 0:
            piece = self._socket.recv(1 << 20)
            assert piece, f"{self._left} bytes are missing"
            self._left -= len(piece)
        self._socket.close()


def for_held_downloads(host: LabHost) -> None:
    """Serve a file that is larger than all buffers, as quickly as it is read."""
    host.sh(
        "truncate -s 8M /srv/files/big; systemctl reload nginx;"
        " sed -i 's/limit_rate .*/limit_rate 0;/' /etc/nginx/conf.d/app.conf;"
        " systemctl reload nginx"
    )


class Direct:
    """A host's commands past SSH, for `read_facts`."""

    def __init__(self, host: LabHost) -> None:
        self.host = host
        self.name, self.address = host.name, host.address

    def read(self, command: Command, *, timeout: float = 30.0, check: bool = True) -> Result:
        done = self.host.run(*command.argv, timeout=timeout, check=check)
        return Result(done.returncode, done.stdout, done.stderr, 0.0)

    def act(
        self,
        command: Command,
        *,
        timeout: float = 60.0,
        check: bool = True,
        on_line: Callable[[str], None] | None = None,
    ) -> Result:
        return self.read(command, timeout=timeout, check=check)

    def put(self, source: bytes | Path, path: str, *, mode: int = 0o644) -> None:
        content = source if isinstance(source, bytes) else source.read_bytes()
        self.host.write_file(path, content, mode)


def observe(host: LabHost, instance: Instance | None = None) -> tuple[Facts, Situation]:
    """Look at a host's nginx past SSH."""
    facts = read_facts(Direct(host), instance or Instance(host=host.name))  # type: ignore[arg-type]
    return facts, situation(facts)


@dataclass
class Upgrade:
    """A plan for one host, before it is made."""

    lab: Lab
    host: LabHost
    instance: Instance | None = None
    user: str = "root"
    soak: float = 0.3
    interval: float = 0.3
    confirm: str = "auto"
    force: bool = False
    on_failure: str = "rollback"
    checks: Sequence[Check] | None = None
    quit_: Mapping[str, Any] = field(default_factory=dict)
    timeout: float = 15.0

    def __post_init__(self) -> None:
        self.instance = self.instance or Instance(host=self.host.name, group="edge")
        if self.checks is None:
            url = f"http://{self.host.address}/"
            http = Http(url=url, status=200, attempts=5, interval=0.1, consecutive=3)
            self.checks = [Check(http=http)]

    @property
    def at(self) -> Instance:
        assert self.instance is not None
        return self.instance

    def forward(self, path: str = NEW_PATH) -> list[StepSpec]:
        """The steps of an upgrade."""
        new, at, checks = NewBinary(path=path), self.at, list(self.checks or [])
        soak = Soak(
            instance=at, new=new, seconds=self.soak, interval=self.interval,
            checks=checks, confirm="manual" if self.confirm == "manual" else "auto",
        )  # fmt: skip
        usr2 = UpgradeExecutable(instance=at, new=new, timeout=self.timeout)
        return [
            StepSpec.of("nginx.preflight", Preflight(instance=at, new=new, force=self.force), "p"),
            StepSpec.of("nginx.stage", Stage(instance=at, new=new), "s"),
            StepSpec.of("nginx.upgrade_executable", usr2, "u"),
            StepSpec.of("probe.verify", Verify(checks=checks), "v"),
            StepSpec.of("nginx.shutdown_workers", ShutdownWorkers(instance=at, new=new), "w"),
            StepSpec.of("nginx.soak", soak, "k"),
            StepSpec.of("nginx.quit", Quit(instance=at, new=new, **self.quit_), "q"),
            StepSpec.of("probe.verify", Verify(checks=checks), "v"),
        ]

    def back(self) -> list[StepSpec]:
        """The steps back."""
        return [
            StepSpec.of("nginx.reload_old", ReloadOld(instance=self.at), "r"),
            StepSpec.of("nginx.quit_new", QuitNew(instance=self.at), "q"),
            StepSpec.of("nginx.unstage", Unstage(instance=self.at), "u"),
        ]

    def _plan(self, job: str, steps: list[StepSpec], back: list[BackStep]) -> Plan:
        lab, host = self.lab, self.host
        ssh = SshSpec(
            user=self.user,
            identity_file=lab.identity_file,
            known_hosts=lab.known_hosts,
            become=None if self.user == "root" else "sudo",
        )
        spec = HostSpec(name=host.name, address=host.address, ssh=ssh)
        lane = LaneSpec(
            host=host.name,
            leases=[f"host:{host.name}"],
            touches=[host.name],
            steps=steps,
            back=back,
        )
        policy = Policy(on_failure="stop" if self.on_failure == "stop" else "rollback")
        return Plan(job=job, target="edge", hosts={host.name: spec}, lanes=[lane], policy=policy)

    def plan(self, path: str = NEW_PATH) -> Plan:
        """Upgrade this host."""
        undoes = ["nginx.stage"]
        back = [BackStep(step=step, undoes=undoes) for step in self.back()]
        return self._plan("nginx upgrade", self.forward(path), back)

    def rollback(self) -> Plan:
        """Bring this host back, whatever its phase."""
        return self._plan("nginx rollback", self.back(), [])


class DirectContext:
    """A step's context without an engine, on a real host: memory in a dict, real time."""

    def __init__(self, host: LabHost, recalled: Mapping[str, Mapping[str, Any]] | None = None):
        self.host = Direct(host)
        self.memory: dict[str, Any] = {}
        self.recalled = dict(recalled or {})
        self.began = time.monotonic()

    def on(self, name: str) -> Direct:
        return self.host

    def remember(self, **facts: Any) -> None:
        for key, value in facts.items():
            self.memory.setdefault(key, value)

    def recall(self, step: str) -> Mapping[str, Any]:
        return self.recalled.get(step, {})

    def reached(self, job: str, target: str, step: str) -> frozenset[str] | None:
        return None

    def progress(self, text: str) -> None:
        pass

    def elapsed(self) -> float:
        return time.monotonic() - self.began


def run_steps(
    host: LabHost,
    specs: Sequence[StepSpec],
    *,
    stop_after: str = "",
    on_wait: Callable[[str], Any] | None = None,
) -> dict[str, str]:
    """Run steps here and now, each with a memory of its own; return what they said.

    `on_wait` is called once, with what the first wait is for.
    """
    said: dict[str, str] = {}
    memories: dict[str, Mapping[str, Any]] = {}
    for spec in specs:
        kind = REGISTRY[spec.name]
        context = DirectContext(host, memories)
        params = kind.params.model_validate(spec.params)
        deadline = time.monotonic() + 60
        while isinstance(end := kind.run(context, params), Wait):  # type: ignore[arg-type]
            assert end.seconds is not None, end
            assert time.monotonic() < deadline, end
            if on_wait is not None:
                on_wait(end.detail)
                on_wait = None
            time.sleep(min(end.seconds, 0.2))
        memories[spec.name] = context.memory
        said[spec.name] = end.detail
        if spec.name == stop_after:
            break
    return said
