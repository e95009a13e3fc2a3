"""The supervisor of `winch up`, with real children."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from chatops import up
from chatops.up import Part, Supervisor, describe_exit, next_backoff
from worker.embedded import EmbeddedRedis, answers


def until(condition: Callable[[], bool], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition was not met in time"
        time.sleep(0.02)


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def stop_when(supervisor: Supervisor, condition: Callable[[], bool]) -> threading.Thread:
    def wait() -> None:
        try:
            until(condition)
        finally:
            supervisor.ask_to_stop()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


@pytest.mark.parametrize(
    ("before", "lived", "expected"),
    [(0, 0, 0.5), (0.5, 1, 1), (8, 1, 15), (15, 1, 15), (15, 60, 0.5)],
)
def test_the_backoff_doubles_up_to_a_bound_and_starts_anew_after_a_steady_while(
    before: float, lived: float, expected: float
) -> None:
    assert next_backoff(before, lived) == expected


def test_an_exit_is_said_in_words() -> None:
    assert describe_exit(3) == "exit 3"
    assert describe_exit(-signal.SIGKILL) == "SIGKILL"


def test_a_child_that_dies_is_started_again_and_its_output_carries_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(up, "BACKOFF_FIRST", 0.05)
    said: list[str] = []
    code = "import sys, time; print('here'); sys.stdout.flush(); time.sleep(0.1); sys.exit(7)"
    supervisor = Supervisor([Part("worker", python(code))], say=said.append)
    supervisor.start()
    thread = stop_when(supervisor, lambda: said.count("worker | here") >= 2)
    assert supervisor.run() == 0
    thread.join()
    assert any(line.startswith("worker: ended with exit 7; starting it again") for line in said)


def test_parts_stop_in_the_reverse_of_the_order_they_started_in(tmp_path: Path) -> None:
    said: list[str] = []
    code = (
        "import signal, sys, time\n"
        "def end(*_): print('bye', flush=True); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end); print('up', flush=True); time.sleep(600)"
    )
    parts = [Part(name, python(code)) for name in ("redis", "worker", "flower")]
    supervisor = Supervisor(parts, say=said.append)
    supervisor.start()
    thread = stop_when(supervisor, lambda: sum("up" in line for line in said) == 3)
    supervisor.run()
    thread.join()
    byes = [line.split()[0] for line in said if line.endswith("bye")]
    assert byes == ["flower", "worker", "redis"]


def test_asked_twice_it_does_not_wait_for_a_child_that_ignores_sigterm() -> None:
    said: list[str] = []
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "print('up', flush=True); time.sleep(600)"
    )
    supervisor = Supervisor([Part("worker", python(code))], say=said.append)
    supervisor.start()
    thread = stop_when(supervisor, lambda: "worker | up" in said)
    second = threading.Thread(
        target=lambda: (
            until(lambda: any("stopping" in s for s in said)),
            supervisor.ask_to_stop(),
        )
    )
    second.start()
    begun = time.monotonic()
    supervisor.run()
    thread.join()
    second.join()
    assert time.monotonic() - begun < 15


def test_redis_comes_back_by_itself_after_kill_9(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(up, "BACKOFF_FIRST", 0.05)
    redis = EmbeddedRedis(tmp_path)
    said: list[str] = []
    part = Part("redis", redis.command(), redis.prepare, redis.wait_ready)
    supervisor = Supervisor([part], say=said.append)
    others = set(psutil.Process().children())  # of tests before this one
    supervisor.start()
    (child,) = (p for p in psutil.Process().children() if "redis" in p.name() and p not in others)
    child.kill()
    thread = stop_when(
        supervisor, lambda: any("SIGKILL" in line for line in said) and answers(redis.socket)
    )
    supervisor.run()
    thread.join()
    redis.close()
    assert not redis.socket.exists()


def test_no_child_survives_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom chatops.up import Part, Supervisor\n"
        "child = 'import os, time; print(os.getpid(), flush=True); time.sleep(600)'\n"
        "s = Supervisor([Part('worker', [sys.executable, '-c', child])],"
        " say=lambda line: print(line, flush=True))\n"
        "s.start(); s.run()"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    with subprocess.Popen(python(code), stdout=subprocess.PIPE, env=environment) as supervisor:
        assert supervisor.stdout is not None
        pid = int(supervisor.stdout.readline().split()[-1])
        assert psutil.pid_exists(pid)
        supervisor.kill()
    until(
        lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    )
