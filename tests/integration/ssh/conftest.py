"""One sshd a module, connections that are closed again, and a lock directory of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.ssh.sshd import Sshd
from worker import guard
from worker.plan import HostSpec
from worker.ssh import Connection, Connections


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    server = Sshd(tmp_path_factory.mktemp("sshd"))
    yield server
    server.stop()


@pytest.fixture
def connections() -> Iterator[Connections]:
    all_of_them = Connections(connect_timeout=5.0)
    yield all_of_them
    all_of_them.close()


@pytest.fixture(params=["ssh", "local"])
def connection(request: pytest.FixtureRequest, connections: Connections, sshd: Sshd) -> Connection:
    here = HostSpec(name="web1", address="127.0.0.1", connection="local")
    return connections.get(sshd.spec() if request.param == "ssh" else here, {})


@pytest.fixture(autouse=True)
def locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the guard's files out of /run."""
    directory = tmp_path / "locks"
    text = guard.functions() + f"\nwinch_dir={directory}\n"
    monkeypatch.setattr(guard, "functions", lambda: text)
    return directory
