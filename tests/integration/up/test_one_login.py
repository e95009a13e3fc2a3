"""`winch up` as a whole: one login opens the run board and Flower, and they link to each other."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.integration.cli.conftest import free_ports
from tests.kit.stack import ROOT, until


@pytest.fixture
def directory() -> Iterator[Path]:
    # Not tmp_path: a unix socket's path may have 107 bytes only.
    made = Path(tempfile.mkdtemp(prefix="winch-"))
    yield made
    shutil.rmtree(made)


def test_who_is_logged_in_on_the_board_sees_flower_too(directory: Path) -> None:
    web_port, flower_port = free_ports(2)
    kept = {key: value for key, value in os.environ.items() if not key.startswith("WINCH_")}
    environment = kept | {
        "WINCH_STATE_DIR": str(directory / "state"),
        "WINCH_WEB_PORT": str(web_port),
        "WINCH_FLOWER_PORT": str(flower_port),
        "PYTHONPATH": str(ROOT),
    }
    winch = [sys.executable, "-m", "chatops.cli"]
    log = directory / "log"
    with log.open("wb") as file:
        process = subprocess.Popen([*winch, "up"], env=environment, stdout=file, stderr=file)
    board, flower = (f"http://127.0.0.1:{port}" for port in (web_port, flower_port))
    try:
        made = subprocess.run(
            [*winch, "token", "create", "vera", "--role", "viewer"],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        with httpx.Client(trust_env=False, timeout=30) as browser:

            def answer() -> bool:
                assert process.poll() is None, log.read_text()
                try:
                    return all(
                        browser.get(f"{url}{path}").status_code < 500
                        for url, path in ((board, "/login"), (flower, "/healthcheck"))
                    )
                except httpx.TransportError:
                    return False

            until(answer, seconds=90, what="both answer", every=0.2)
            assert browser.get(f"{flower}/tasks").status_code == 302
            done = browser.post(f"{board}/login", json={"token": made.stdout.strip()})
            assert done.status_code == 200, done.text
            assert browser.get(f"{board}/session").json()["flower"] == flower
            page = browser.get(f"{flower}/tasks")
            assert page.status_code == 200
            assert "Flower" in page.text
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(90) == 0, log.read_text()
