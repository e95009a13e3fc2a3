"""Redis, a database and worker processes of a test's own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from worker.app import make_app, publish
from worker.embedded import redis_executable
from worker.engine import Engine
from worker.leases import Leases, connect_redis
from worker.report import run_commands, run_document
from worker.store import Store

T = TypeVar("T")
ROOT = Path(__file__).parents[2]


def until(
    condition: Callable[[], T], *, seconds: float = 60.0, what: str = "", every: float = 0.02
) -> T:
    """Wait for a condition to be true, and return its value."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what or condition}")
        time.sleep(every)


class Redis:
    """A redis-server on a unix socket, which a test may kill, restart and empty."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.socket = directory / "redis.sock"
        self.url = f"redis+socket://{self.socket}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            [redis_executable(), "--port", "0", "--unixsocket", str(self.socket),
             "--dir", str(self.directory), "--appendonly", "yes", "--save", ""],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        until(self._answers, what="Redis answers")

    def _answers(self) -> bool:
        try:
            return bool(connect_redis(self.url).ping())
        except Exception:
            return False

    def stop(self, *, kill: bool = False) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
            self._process.wait(timeout=10)
            self._process = None

    def flush(self) -> None:
        connect_redis(self.url).flushall()


class Worker:
    """A real worker process."""

    def __init__(self, stack: Stack, sites: list[str], environment: dict[str, str]) -> None:
        self.log = stack.directory / f"worker-{len(stack.workers)}-{time.monotonic_ns()}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.kit.worker", *sites],
                env={**stack.environment, **environment},
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.wait(timeout=10)

    def pause(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(timeout=30)


class Stack:
    """Everything an engine needs, in one directory."""

    def __init__(self, directory: Path, *, database_url: str | None = None) -> None:
        self.directory = directory
        self.redis = Redis(directory)
        self.database_url = database_url or f"sqlite:///{directory / 'winch.db'}"
        self.environment = {
            **os.environ,
            "WINCH_STATE_DIR": str(directory),
            "WINCH_REDIS_URL": self.redis.url,
            "WINCH_DATABASE_URL": self.database_url,
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        self.workers: list[Worker] = []

    def start(self) -> Stack:
        self.redis.start()
        self.store = Store(self.database_url.replace("postgresql://", "postgresql+psycopg://"))
        self.store.migrate()
        self.app = make_app(self.redis.url)
        self.client = connect_redis(self.redis.url)
        self.engine = Engine(self.store, Leases(self.client), self._publish)
        return self

    def _publish(self, message: Any) -> None:
        publish(message, self.app)

    def worker(self, *sites: str, **environment: str) -> Worker:
        started = Worker(self, list(sites), environment)
        self.workers.append(started)
        return started

    def run(self, plan: Any) -> int:
        run_id = self.engine.create_run(plan, requested_by="test", reason=None)
        self.engine.advance(run_id)
        return run_id

    def document(self, run_id: int) -> dict[str, Any]:
        return run_document(self.store, run_id)

    def ended(self, run_id: int, *, seconds: float = 60.0) -> dict[str, Any]:
        """Wait for the run's end and return its document."""
        try:
            until(lambda: self.document(run_id)["ended_at"], seconds=seconds, what="run's end")
        except AssertionError as error:
            logs = "\n".join(w.log.read_text()[-3000:] for w in self.workers)
            raise AssertionError(f"{error}\n{self.document(run_id)}\n{logs}") from None
        return self.document(run_id)

    def commands(self, run_id: int) -> list[dict[str, Any]]:
        return run_commands(self.store, run_id)

    def step(self, run_id: int, host: str, name: str) -> dict[str, Any]:
        found = next(h for h in self.document(run_id)["hosts"] if h["name"] == host)
        return next(s for s in found["steps"] if s["name"] == name)

    def winch(
        self, *arguments: str, seconds: float = 180.0, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run the real command line and wait for its end."""
        return subprocess.run(
            [sys.executable, "-m", "chatops.cli", *arguments],
            env={**self.environment, **environment},
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def stop(self) -> None:
        for worker in self.workers:
            if worker.process.poll() is None:
                worker.process.send_signal(signal.SIGCONT)
                worker.kill()
        self.redis.stop()
        self.store.close()
        self.client.close()
        self.app.close()
