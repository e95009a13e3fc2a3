"""One machine for all tests here: a real HAProxy, Redis and worker; hosts are `local`."""

from __future__ import annotations

import os
import pty
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.needs import needs_program
from worker.embedded import EmbeddedRedis
from worker.plan import HostSpec, LaneSpec, Plan, Policy, StepSpec

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
SERVERS = ("web1", "web2", "web3")
START_SECONDS = 30.0


def until(condition: Callable[[], bool], seconds: float = START_SECONDS, what: str = "it") -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} was not so within {seconds} s"
        time.sleep(0.05)


def free_ports(number: int) -> list[int]:
    sockets = [socket.socket() for _ in range(number)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _heed_ctrl_c() -> None:
    """As a terminal's own programs do, also when the tests run in a shell's background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@dataclass
class Screen:
    """A program on a terminal of its own."""

    process: subprocess.Popen[bytes]
    terminal: int
    text: str = ""
    exit_code: int | None = field(default=None)

    def read(self, seconds: float = 0.1) -> bool:
        """Take what has been written; False when the program has gone."""
        if not select.select([self.terminal], [], [], seconds)[0]:
            return self.process.poll() is None
        try:
            data = os.read(self.terminal, 65536)
        except OSError:  # EIO: nobody holds the other end any more
            return False
        self.text += data.decode(errors="replace")
        return bool(data)

    def wait_for(self, text: str, seconds: float = START_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while text not in self.text:
            alive = self.read()
            assert alive or text in self.text, f"no {text!r} in {self.text!r}"
            assert time.monotonic() < deadline, f"no {text!r} in {self.text!r}"

    def type(self, text: str) -> None:
        os.write(self.terminal, text.encode())

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def end(self, seconds: float = START_SECONDS) -> int:
        deadline = time.monotonic() + seconds
        while self.read():
            assert time.monotonic() < deadline, f"it goes on: {self.text!r}"
        os.close(self.terminal)
        return self.process.wait(seconds)


class Machine:
    """Runs `winch` with a state directory and a fleet of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.state = directory / "state"
        self.run_dir = directory / "run"  # the leases' files of the "hosts"
        self.fleet = directory / "fleet.yaml"
        kept = {key: value for key, value in os.environ.items() if not key.startswith("WINCH_")}
        self.environment = kept | {
            "WINCH_STATE_DIR": str(self.state),
            "WINCH_FLEET": str(self.fleet),
            "WINCH_RUN_DIR": str(self.run_dir),
            "PYTHONPATH": str(ROOT),
            "NO_COLOR": "1",
        }

    def winch(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "chatops.cli", *words],
            env=self.environment | more,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            cwd=self.directory,
        )

    def on_screen(self, *words: str) -> Screen:
        master, slave = pty.openpty()
        environment = self.environment | {"TERM": "xterm", "LINES": "24", "COLUMNS": "100"}
        process = subprocess.Popen(
            [sys.executable, "-m", "chatops.cli", *words],
            env=environment,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=_heed_ctrl_c,  # noqa: PLW1509 - one system call, no locks
            cwd=self.directory,
        )
        os.close(slave)
        return Screen(process, master)

    def start(self, plan: Plan) -> str:
        done = subprocess.run(
            [sys.executable, str(HERE / "fake_run.py")],
            env=self.environment,
            input=plan.model_dump_json(),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def break_release(self, host: str, *, broken: bool = True) -> None:
        marker = self.directory / f"broken-{host}"
        if broken:
            marker.touch()
        else:
            marker.unlink()

    def haproxy(self, command: str) -> str:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(self.directory / "ha.sock"))
            client.sendall(f"{command}\n".encode())
            return "".join(iter(lambda: client.recv(65536).decode(), ""))


def fake_plan(
    step: str, seconds: float = 0.0, *, hosts: tuple[str, ...] = ("one",), lock_wait: float = 600.0
) -> Plan:
    """Make a plan of one fake step a host."""
    spec = StepSpec(name=step, params={"seconds": seconds}, summary="fake it")
    return Plan(
        job="roll",
        target="fake",
        hosts={
            name: HostSpec(name=name, address="127.0.0.1", connection="local") for name in hosts
        },
        lanes=[
            LaneSpec(host=name, leases=[f"host:{name}"], touches=[], steps=[spec]) for name in hosts
        ],
        policy=Policy(lock_wait=lock_wait),
    )


def write_haproxy(directory: Path) -> Path:
    """Write an HAProxy that balances over itself: each server is a frontend that answers."""
    front, *backs = free_ports(1 + len(SERVERS))
    lines = [
        f"global\n  stats socket {directory}/ha.sock mode 600 level admin",
        "defaults\n  mode http\n  timeout connect 1s\n  timeout client 5s\n  timeout server 5s",
        f"frontend front\n  bind 127.0.0.1:{front}\n  default_backend web",
        "backend web",
    ]
    for name, port in zip(SERVERS, backs, strict=True):
        lines.append(f"  server {name} 127.0.0.1:{port} check inter 100ms")
    for name, port in zip(SERVERS, backs, strict=True):
        lines.append(f"frontend {name}\n  bind 127.0.0.1:{port}\n  http-request return status 200")
    path = directory / "haproxy.cfg"
    path.write_text("\n".join(lines) + "\n")
    return path


def write_fleet(machine: Machine) -> None:
    base = machine.directory
    hosts = "\n".join(
        f"  {name}: {{address: 127.0.0.1, connection: local}}" for name in ("lb1", *SERVERS)
    )
    pool = f"""
    balancers: [lb1]
    backends: [web]
    servers: {{{", ".join(f"{name}: {{}}" for name in SERVERS)}}}
    drain: {{timeout: 10s}}
    redeploy:
      command:
        run: "test ! -e {base}/broken-{{name}} && echo {{version}} > {base}/{{name}}.version"
        undo: "true"
    verify: [{{command: {{run: "grep -qx {{version}} {base}/{{name}}.version", exit: 0,
        attempts: 2, interval: 100ms}}}}]
    enable: {{stable: 300ms}}"""
    machine.fleet.write_text(
        f"""vars: {{version: "1"}}
hosts:
{hosts}
balancers:
  lb1: {{sockets: [{base}/ha.sock]}}
pools:
  web:{pool}
  stubborn:{pool}
    policy: {{on_failure: stop}}
"""
    )


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    haproxy = needs_program("haproxy")
    needs_program("flock")
    directory = Path(tempfile.mkdtemp(prefix="winch-cli-"))
    made = Machine(directory)
    made.run_dir.mkdir()
    write_fleet(made)
    log = (directory / "log").open("wb")
    processes = [
        subprocess.Popen([haproxy, "-f", str(write_haproxy(directory))], stdout=log, stderr=log)
    ]
    try:
        with EmbeddedRedis(made.state):
            processes.append(
                subprocess.Popen(
                    [sys.executable, str(HERE / "fake_worker.py")],
                    env=made.environment,
                    stdout=log,
                    stderr=log,
                )
            )
            until((directory / "ha.sock").exists, what="HAProxy")
            until(lambda: made.haproxy("show stat web 4 -1").count(",UP,") == len(SERVERS))
            until(lambda: b" ready." in (directory / "log").read_bytes(), what="the worker")
            yield made
            processes[-1].terminate()
            processes[-1].wait(30)
    finally:
        for process in processes:
            process.kill()
            process.wait()
        log.close()
        shutil.rmtree(directory)
