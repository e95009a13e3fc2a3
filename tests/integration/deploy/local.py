"""This machine as a `Host`, with plain subprocesses; and one whose connection breaks on demand."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from worker.errors import CommandFailed, Unreachable
from worker.remote import Command, Result


class LocalHost:
    """Runs commands here. `environment` is added to the environment of each."""

    def __init__(self, environment: dict[str, str] | None = None) -> None:
        self.name = "web1"
        self.address = "127.0.0.1"
        self.acts: list[str] = []
        self.puts: list[str] = []
        self.environment = os.environ | (environment or {})

    def _run(self, command: Command, timeout: float, check: bool) -> Result:
        start = time.monotonic()
        words = ["timeout", "-k", "2", str(timeout), *command.argv]
        stdin = None if command.stdin is None else command.stdin.encode()
        done = subprocess.run(
            words, input=stdin, capture_output=True, env=self.environment, check=False
        )
        texts = (done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))
        result = Result(done.returncode, *texts, time.monotonic() - start)
        if check and not result.ok:
            message = f"{self.name}: {command}: {result.exit_code} {texts}"
            raise CommandFailed(message, result.exit_code, *texts)
        return result

    def read(self, command: Command, *, timeout: float = 30.0, check: bool = True) -> Result:
        return self._run(command, timeout, check)

    def act(
        self,
        command: Command,
        *,
        timeout: float = 60.0,
        check: bool = True,
        on_line: Callable[[str], None] | None = None,
    ) -> Result:
        self.acts.append(str(command))
        result = self._run(command, timeout, check)
        if on_line is not None:
            for line in result.stdout.splitlines():
                on_line(line)
        return result

    def put(self, source: bytes | Path, path: str, *, mode: int = 0o644) -> None:
        self.puts.append(path)
        target = Path(path)
        target.write_bytes(source if isinstance(source, bytes) else source.read_bytes())
        target.chmod(mode)


class BreakingHost(LocalHost):
    """Loses its connection at the `breaks_at`-th change: before it, or after it was made."""

    def __init__(
        self, breaks_at: int, *, after: bool, environment: dict[str, str] | None = None
    ) -> None:
        super().__init__(environment)
        self.left = breaks_at
        self.after = after

    @property
    def broke(self) -> bool:
        """Whether there were that many changes at all."""
        return self.left <= 0

    def act(
        self,
        command: Command,
        *,
        timeout: float = 60.0,
        check: bool = True,
        on_line: Callable[[str], None] | None = None,
    ) -> Result:
        self.left -= 1
        if self.left < 0 or (self.left == 0 and not self.after):
            raise Unreachable(f"{self.name}: the connection broke")
        result = super().act(command, timeout=timeout, check=check, on_line=on_line)
        if self.left == 0:
            raise Unreachable(f"{self.name}: the connection broke")
        return result


class LocalContext:
    """A step's context over a host; the memory can be carried to the next try."""

    def __init__(
        self,
        host: LocalHost,
        memory: dict[str, object] | None = None,
        recalled: dict[str, dict[str, object]] | None = None,
    ) -> None:
        self.host = host
        self.memory: dict[str, object] = {} if memory is None else memory
        self.recalled = recalled or {}
        self.said: list[str] = []

    def on(self, name: str) -> LocalHost:
        raise Unreachable(f"{name}: no such host in this test")

    def remember(self, **facts: object) -> None:
        for key, value in facts.items():
            self.memory.setdefault(key, value)

    def recall(self, step: str) -> dict[str, object]:
        return self.recalled.get(step, {})

    def progress(self, text: str) -> None:
        self.said.append(text)

    def elapsed(self) -> float:
        return 0.0


class Lane:
    """The memories of one lane's two deploy steps, as the engine would keep them."""

    def __init__(self) -> None:
        self.redeploy_memory: dict[str, object] = {}
        self.restore_memory: dict[str, object] = {}

    def redeploying(self, host: LocalHost) -> LocalContext:
        """A context of `deploy.redeploy`."""
        return LocalContext(host, self.redeploy_memory)

    def restoring(self, host: LocalHost) -> LocalContext:
        """A context of `deploy.restore`."""
        return LocalContext(host, self.restore_memory, {"deploy.redeploy": self.redeploy_memory})
