"""A roll on whole hosts goes on by itself when its worker or its Redis dies, in every step."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kit.stack import Stack, until
from tests.lab.farm import Farm
from tests.lab.load import Ab, Download

pytestmark = [pytest.mark.lab, pytest.mark.chaos]

WITHIN = 10.0  # seconds after the worker's return, on top of what the step itself still takes
# How long each step is made to last, so that it can be hit.
SLOW: dict[str, Any] = {
    "redeploy": {
        "command": {
            "run": "echo began >> /srv/began; sleep 2; deploy-app {version}",
            "undo": 'deploy-app "$WINCH_BEFORE"',
            "facts": "deploy-app --show",
        }
    },
    "verify": [
        {
            "http": {
                "url": "http://{address}/",
                "contains": "v{version} ",
                "consecutive": 4,
                "attempts": 20,
                "interval": "500ms",
            }
        }
    ],
    "enable": {"stable": "2s"},
}


@pytest.fixture
def stack() -> Iterator[Stack]:
    directory = Path(tempfile.mkdtemp(prefix="winch-"))
    made = Stack(directory)
    try:
        yield made.start()
    finally:
        made.stop()
        shutil.rmtree(directory)


def start(stack: Stack, fleet: Path) -> int:
    asked = stack.winch(
        "roll", "web", "--fleet", str(fleet), "--set", "version=1.26",
        "--limit", "web1,web2", "--yes", "--no-wait",
    )  # fmt: skip
    assert asked.returncode == 0, asked.stderr
    return int(asked.stdout)


@pytest.mark.parametrize(
    "name", ["haproxy.drain", "deploy.redeploy", "probe.verify", "haproxy.enable"]
)
def test_kill_9_of_the_worker_in_any_step(farm: Farm, stack: Stack, name: str) -> None:
    fleet = farm.fleet(pool=SLOW)
    before = farm.settings()
    for server in farm.servers:
        server.sh("rm -f /srv/began")
    first = stack.worker()
    downloads = [Download(farm.balancers[0].address).start() for _ in farm.servers]
    with Ab(farm.urls[1]) as load:
        run = start(stack, fleet)
        until(
            lambda: stack.step(run, "web1", name)["status"] in ("running", "waiting"),
            seconds=60,
            what=f"{name} under way",
        )
        first.kill()
        returned = time.monotonic()
        stack.worker()
        until(
            lambda: (
                stack.step(run, "web1", name)["status"] == "succeeded"
                or stack.step(run, "web1", name)["attempts"] > 1
            ),
            seconds=WITHIN,
            what=f"{name} goes on",
        )
        assert time.monotonic() - returned < WITHIN
        document = stack.ended(run, seconds=90)
    assert document["status"] == "succeeded", document
    assert load.result.lost == 0, load.result
    for download in downloads:
        download.wait()
        assert download.complete, download
    assert farm.settings() == before
    versions = farm.versions()
    assert (versions["web1"], versions["web2"], versions["web3"]) == ("1.26", "1.26", "1.25")
    # The command outlives its worker, completes, and is not run a second time.
    for server in farm.servers[:2]:
        assert server.run("cat", "/srv/began").stdout.split() == ["began"]


@pytest.mark.parametrize("what", ["restart", "flushall"])
def test_redis_goes_away_in_the_middle_of_a_roll(farm: Farm, stack: Stack, what: str) -> None:
    fleet = farm.fleet(pool=SLOW)
    before = farm.settings()
    for server in farm.servers:
        server.sh("rm -f /srv/began")
    worker = stack.worker()
    with Ab(farm.urls[1]) as load:
        run = start(stack, fleet)
        until(lambda: stack.step(run, "web1", "deploy.redeploy")["status"] == "running", seconds=60)
        if what == "restart":
            stack.redis.stop(kill=True)
            stack.redis.start()
        else:
            stack.redis.flush()
        document = stack.ended(run, seconds=90)
    assert document["status"] == "succeeded", document
    assert worker.process.poll() is None
    assert load.result.lost == 0, load.result
    assert farm.settings() == before
    for server in farm.servers[:2]:
        assert len(server.run("cat", "/srv/began").stdout.split()) == 1
