"""A real nginx of the test's own, without root or systemd: there and back, by every step.

The second binary is the first one with some bytes after its end: the same version, another
content. So this needs only one nginx, and shows that contents are compared, not versions.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

import tasks.registry  # noqa: F401  (registers the steps)
from tasks.nginx import signals
from tasks.nginx.facts import Facts
from tasks.nginx.observe import facts_command, read_facts
from tasks.nginx.params import Instance
from tasks.nginx.phase import Situation, situation
from tests.kit.stack import until
from tests.needs import needs_program, needs_root
from worker.errors import Failed
from worker.remote import Command, Result
from worker.step import REGISTRY, Wait


class Here:
    """This machine, without guard and records."""

    name, address = "here", "127.0.0.1"

    def read(self, command: Command, *, timeout: float = 30.0, check: bool = True) -> Result:
        done = subprocess.run(command.argv, capture_output=True, check=check, timeout=timeout)
        out, err = (text.decode(errors="replace") for text in (done.stdout, done.stderr))
        return Result(done.returncode, out, err, 0.0)

    def act(self, command: Command, *, timeout: float = 60.0, check: bool = True) -> Result:
        return self.read(command, timeout=timeout, check=check)

    def put(self, source: bytes, path: str, *, mode: int = 0o644) -> None:
        Path(path).write_bytes(source)


class Context:
    """A step's context without an engine."""

    def __init__(self, recalled: Mapping[str, Mapping[str, Any]]) -> None:
        self.host = Here()
        self.memory: dict[str, Any] = {}
        self.recalled = recalled
        self.began = time.monotonic()

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


class OwnNginx:
    """An nginx in a directory, on a free port."""

    def __init__(self, directory: Path) -> None:
        binary = needs_program("nginx")
        self.binary = directory / "sbin-nginx"
        self.new = directory / "new-nginx"
        shutil.copy(binary, self.binary)
        self.new.write_bytes(Path(binary).read_bytes() + b"another content\n")
        self.new.chmod(0o755)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        (directory / "nginx.conf").write_text(
            f"pid {directory}/nginx.pid; worker_processes 2; error_log {directory}/error.log;\n"
            "events {}\nhttp { access_log off;"
            + "".join(
                f" {name}_temp_path {directory}/{name};"
                for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
            )
            + f" server {{ listen 127.0.0.1:{self.port}; return 200 fine; }} }}\n"
        )
        self.instance = Instance(
            host="here", binary=str(self.binary), pid_file=f"{directory}/nginx.pid", unit=None
        )
        subprocess.run(
            [self.binary, "-p", directory, "-c", directory / "nginx.conf",
             "-e", directory / "error.log"],
            check=True, capture_output=True,
        )  # fmt: skip
        self.memories: dict[str, Mapping[str, Any]] = {}
        until(lambda: str(self.look()[1]) == "steady", what="nginx is steady")

    def look(self) -> tuple[Facts, Situation]:
        facts = read_facts(Here(), self.instance)  # type: ignore[arg-type]
        return facts, situation(facts)

    def step(self, name: str, **params: Any) -> str:
        """Run one step to its end."""
        kind, context = REGISTRY[name], Context(self.memories)
        data: dict[str, Any] = {"instance": self.instance.model_dump(), **params}
        if "new" in kind.params.model_fields:
            digest = subprocess.run(["sha256sum", self.new], check=True, capture_output=True)
            data["new"] = {"path": str(self.new), "sha256": digest.stdout.split()[0].decode()}
        while isinstance(end := kind.run(context, kind.params.model_validate(data)), Wait):  # type: ignore[arg-type]
            time.sleep(min(end.seconds or 0, 0.1))
        self.memories[name] = context.memory
        return end.detail

    def answers(self) -> bool:
        return httpx.get(f"http://127.0.0.1:{self.port}/", trust_env=False).text == "fine"

    def stop(self) -> None:
        for master in self.look()[0].masters:
            os.kill(master.pid, signal.SIGTERM)
        until(lambda: not self.look()[0].masters, what="nginx has ended")


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OwnNginx]:
    """A running one; its record is kept in the test's directory."""
    tmp_path.chmod(0o755)
    monkeypatch.setattr("tasks.nginx.binary.DIRECTORY", str(tmp_path / "records"))
    made = OwnNginx(tmp_path)
    yield made
    made.stop()


def test_an_upgrade_goes_there_and_back_without_systemd(own: OwnNginx) -> None:
    before = own.look()[0].disk

    own.step("nginx.preflight", force=True)
    own.step("nginx.stage")
    own.step("nginx.upgrade_executable")
    assert str(own.look()[1]) == "upgrading"
    own.step("nginx.shutdown_workers")
    assert str(own.look()[1]) in {"old workers leaving", "old master idle"}
    own.step("nginx.soak", seconds=0)
    own.step("nginx.quit", reload=True)
    facts, now = own.look()
    assert now.new is not None
    assert str(now) == "steady"
    assert facts.disk == now.new.binary != before
    assert own.answers()

    for name in ("nginx.reload_old", "nginx.quit_new", "nginx.unstage"):
        print(own.step(name))
    facts, now = own.look()
    assert now.new is not None
    assert str(now) == "steady"
    assert facts.disk == now.new.binary == before
    assert own.answers()


def test_hup_brings_the_old_workers_back(own: OwnNginx) -> None:
    (master,) = own.look()[0].masters
    for name in ("nginx.stage", "nginx.upgrade_executable", "nginx.shutdown_workers"):
        own.step(name)

    for name in ("nginx.reload_old", "nginx.quit_new", "nginx.unstage"):
        own.step(name)

    now = own.look()[1]
    assert now.new is not None
    assert (str(now), now.new.pid) == ("steady", master.pid)


def test_a_second_run_of_every_step_changes_nothing(own: OwnNginx) -> None:
    for name in ("nginx.stage", "nginx.upgrade_executable", "nginx.shutdown_workers"):
        own.step(name)
        masters = [master.process.identity for master in own.look()[0].masters]
        own.step(name)
        assert [master.process.identity for master in own.look()[0].masters] == masters


def test_a_worker_that_is_killed_is_no_change_of_phase(own: OwnNginx) -> None:
    os.kill(own.look()[0].masters[0].workers[0].pid, signal.SIGKILL)

    until(lambda: str(own.look()[1]) == "steady", what="nginx is steady again")
    assert own.answers()


def test_a_process_that_has_ended_is_not_given_the_signal(own: OwnNginx) -> None:
    worker = own.look()[0].masters[0].workers[0]
    os.kill(worker.pid, signal.SIGKILL)
    until(lambda: not Path(f"/proc/{worker.pid}").exists(), what="the worker has ended")

    with pytest.raises(Failed, match="ended before it could be told QUIT"):
        signals.quit(Here(), worker)  # type: ignore[arg-type]


def test_a_user_without_rights_is_told_to_become_root(
    own: OwnNginx, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs_root("it becomes another user")
    needs_program("setpriv")
    command = facts_command(own.instance)
    other = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    unprivileged = Command((*other, *command.argv))
    monkeypatch.setattr("tasks.nginx.observe.facts_command", lambda *_: unprivileged)

    with pytest.raises(Failed, match="become: sudo"):
        own.look()

    monkeypatch.undo()
