"""Recording fakes for the two seams that a step sees: a host and its context.

`tests/unit/worker/test_fakes.py` runs the same cases against these and against the real ones.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from worker.errors import CommandFailed, Unreachable
from worker.remote import Command, Result

Answer = str | Result | Exception | Callable[[Command], "str | Result"]


class RecordingHost:
    """Answers commands by the first regular expression that matches their text, and records them.

    `answers` maps a pattern (searched in `str(command)`) to a text (exit code 0), a Result, an
    exception to raise, or a function of the command. A list of these is used one after the other,
    the last one again and again.
    """

    def __init__(self, name: str = "web1", address: str = "192.0.2.1") -> None:
        self.name = name
        self.address = address
        self.answers: dict[str, Answer | list[Answer]] = {}
        self.reads: list[str] = []
        self.acts: list[str] = []
        self.files: dict[str, bytes] = {}

    def _answer(self, command: Command, check: bool) -> Result:
        text = str(command)
        pattern = next((p for p in self.answers if re.search(p, text)), None)
        if pattern is None:
            raise AssertionError(f"{self.name}: no answer for {text!r}")
        answer = self.answers[pattern]
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if isinstance(answer, Exception):
            raise answer
        value = answer(command) if callable(answer) else answer
        result = Result(0, value, "", 0.0) if isinstance(value, str) else value
        if check and not result.ok:
            raise CommandFailed(
                f"{self.name}: {text} exited with {result.exit_code}",
                result.exit_code,
                result.stdout,
                result.stderr,
            )
        return result

    def read(self, command: Command, *, timeout: float = 30.0, check: bool = True) -> Result:
        self.reads.append(str(command))
        return self._answer(command, check)

    def act(
        self,
        command: Command,
        *,
        timeout: float = 60.0,
        check: bool = True,
        on_line: Callable[[str], None] | None = None,
    ) -> Result:
        self.acts.append(str(command))
        result = self._answer(command, check)
        if on_line is not None:
            for line in result.stdout.splitlines():
                on_line(line)
        return result

    def put(self, source: bytes | Path, path: str, *, mode: int = 0o644) -> None:
        self.files[path] = source if isinstance(source, bytes) else source.read_bytes()


class RecordingContext:
    """A step's context without an engine: memory in a dict, a clock that the test moves."""

    def __init__(
        self, *hosts: RecordingHost, recalled: Mapping[str, Mapping[str, Any]] | None = None
    ):
        self.hosts = {host.name: host for host in hosts}
        self.host = hosts[0]
        self.memory: dict[str, Any] = {}
        self.recalled = dict(recalled or {})
        self.said: list[str] = []
        self.seconds = 0.0

    def on(self, name: str) -> RecordingHost:
        if name not in self.hosts:
            raise Unreachable(f"{name}: no such host in this test")
        return self.hosts[name]

    def remember(self, **facts: Any) -> None:
        for key, value in facts.items():
            self.memory.setdefault(key, value)

    def recall(self, step: str) -> Mapping[str, Any]:
        return self.recalled.get(step, {})

    def progress(self, text: str) -> None:
        self.said.append(text)

    def elapsed(self) -> float:
        return self.seconds
