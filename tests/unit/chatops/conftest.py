"""A command line of its own for each test: own state directory, own settings, no Redis."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from chatops.cli import run
from worker import app, settings, store
from worker.engine import Engine
from worker.plan import HostSpec, LaneSpec, Plan, StepSpec
from worker.store import Store


@dataclass
class Said:
    """What a command line came to."""

    code: int
    out: str
    err: str


@dataclass
class Winch:
    """Runs command lines in this process."""

    directory: Path
    capture: pytest.CaptureFixture[str]

    def __call__(self, *words: str) -> Said:
        self.capture.readouterr()
        code = run(words)
        captured = self.capture.readouterr()
        return Said(code, captured.out, captured.err)

    def store(self) -> Store:
        return store.store()

    def make_run(self, plan: Plan | None = None, *, reason: str | None = None) -> int:
        """Write a run that nobody starts."""
        leases: Any = None
        engine = Engine(self.store(), leases, lambda _message: None)
        return engine.create_run(plan or a_plan("web1"), requested_by="cli:ops", reason=reason)


def a_plan(*hosts: str, site: str | None = None) -> Plan:
    specs = {
        name: HostSpec(name=name, address="127.0.0.1", connection="local", site=site)
        for name in hosts
    }
    step = StepSpec(name="test.step", params={}, summary="do it")
    lanes = [
        LaneSpec(host=name, site=site, leases=[f"host:{name}"], touches=[name], steps=[step])
        for name in hosts
    ]
    return Plan(job="roll", target="web", hosts=specs, lanes=lanes)


@pytest.fixture
def winch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Winch]:
    for name in ("WINCH_REDIS_URL", "WINCH_DATABASE_URL", "WINCH_FLEET", "WINCH_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WINCH_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    settings.settings.cache_clear()
    app.engine.cache_clear()
    url = settings.settings().sql_url
    yield Winch(tmp_path, capsys)
    store._opened(url).close()
    settings.settings.cache_clear()
    app.engine.cache_clear()
    store._opened.cache_clear()
