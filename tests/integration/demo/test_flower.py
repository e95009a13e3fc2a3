"""The shipped configuration, in the real Flower: columns, live text, history and login."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from worker.embedded import EmbeddedRedis
from worker.flowerstart import flower_command
from worker.settings import Settings

APP = "tests.integration.demo.flower_app:app"
LOGIN = ("ops", "s3cret:with:colons")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(condition: Callable[[], Any], seconds: float = 30.0) -> Any:
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, "the condition was not met in time"
        time.sleep(0.1)


@contextmanager
def running(command: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, env=environment)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, dict[str, str]]]:
    login = tmp_path / "login"
    login.write_text(f"# who may look\n{':'.join(LOGIN)}\n", encoding="utf-8")
    login.chmod(0o600)
    state = tmp_path / "state"
    port = free_port()
    for key, value in {
        "WINCH_STATE_DIR": str(state),
        "WINCH_FLOWER_PORT": str(port),
        "WINCH_FLOWER_BASIC_AUTH_FILE": str(login),
        "TEST_HOLD_SECONDS": "5",
    }.items():
        monkeypatch.setenv(key, value)
    with EmbeddedRedis(state) as redis:
        monkeypatch.setenv("TEST_BROKER_URL", f"redis+socket://{redis.socket}")
        yield f"http://127.0.0.1:{port}", dict(os.environ)


def flower(environment: dict[str, str]) -> list[str]:
    command = flower_command(Settings())
    return [APP if word == "worker.app:app" else word for word in command]


def answering(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthcheck").status_code == 200
    except httpx.TransportError:
        return False


def listed(url: str) -> list[dict[str, Any]]:
    form = {"draw": "1", "start": "0", "length": "10", "search[value]": ""}
    form |= {"order[0][column]": "0", "order[0][dir]": "asc", "columns[0][data]": "name"}
    answer = httpx.post(f"{url}/tasks/datatable", data=form, auth=LOGIN)
    answer.raise_for_status()
    tasks: list[dict[str, Any]] = answer.json()["data"]
    return tasks


def test_flower_shows_what_a_step_says_keeps_it_over_a_kill_and_asks_for_a_login(
    stage: tuple[str, dict[str, str]],
) -> None:
    url, environment = stage
    worker = [sys.executable, "-m", "celery", "-A", APP, "worker", "--pool=threads", "-c", "2"]
    with ExitStack() as stack:
        stack.enter_context(running(worker, environment))
        first = stack.enter_context(running(flower(environment), environment))
        until(lambda: answering(url))
        assert httpx.get(f"{url}/tasks").status_code == 401
        page = httpx.get(f"{url}/tasks", auth=LOGIN).text
        columns = re.findall(r"<th[^>]*>\s*(\w+)", page)
        assert columns[:4] == ["Name", "State", "args", "Result"]
        workers = f"{url}/workers?json=1"
        until(lambda: '"status": true' in httpx.get(workers, auth=LOGIN).text)

        subprocess.run(
            [sys.executable, "-m", "celery", "-A", APP, "call", "haproxy.drain", "-a", '["web1"]'],
            env=environment,
            check=True,
        )
        until(lambda: [t for t in listed(url) if t["state"] == "DRAINING"])
        (task,) = listed(url)
        assert task["name"] == "haproxy.drain"
        assert "3 of 8 sessions left" in task["result"]
        until(lambda: listed(url)[0]["state"] == "SUCCESS")
        assert "web1: 0 sessions" in listed(url)[0]["result"]

        database = Path(environment["WINCH_STATE_DIR"])
        written = time.time()
        until(lambda: [f for f in database.glob("flower.db*") if f.stat().st_mtime > written])
        first.kill()
        first.wait()
        stack.enter_context(running(flower(environment), environment))
        until(lambda: answering(url))
        assert "web1: 0 sessions" in listed(url)[0]["result"]
