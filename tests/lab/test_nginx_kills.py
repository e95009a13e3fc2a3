"""The worker is killed -9 between any two signals to nginx; the next one goes on by itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.kit.dying import VARIABLE
from tests.kit.fixtures import stack
from tests.kit.stack import Stack
from tests.lab.load import Ab
from tests.lab.nginx_edge import Edge, edge, module_edge
from tests.lab.nginx_upgrade import NEW, OLD
from tests.lab.nginx_ways import Downloads, healthy
from tests.lab.test_roll import said

__all__ = ["edge", "module_edge", "stack"]

# A check that fails in the soak only: an old master is there, and has no worker that accepts.
FAILS_IN_THE_SOAK = (
    "old=$(cat /run/nginx.pid.oldbin 2>/dev/null) || exit 0; pgrep -P $old -f 'worker process *$'"
)

# A killed worker is noticed after 10 s without its heartbeat.
pytestmark = [pytest.mark.chaos, pytest.mark.timeout(420)]


def around(*words: str) -> list[str]:
    """Just before and just after each of these commands."""
    return [f"{when}:{word}" for word in words for when in ("before", "after")]


def signals(edge: Edge) -> dict[str, int]:
    """How often nginx was sent each signal, by its own log."""
    log = edge.webs[0].read_file("/var/log/nginx/error.log")
    names = ("USR2", "WINCH", "HUP", "QUIT")
    return {name: log.count(f"(SIG{name}) received from") for name in names}


@contextmanager
def unharmed(edge: Edge) -> Iterator[None]:
    """No request is lost, no download breaks, and each signal is counted from here on."""
    web = edge.webs[0]
    web.sh(": >/var/log/nginx/error.log")
    with Ab(f"http://{web.address}/") as load, Downloads(web) as downloads:
        yield
    assert load.result.lost == 0, load.result.output
    assert downloads.broken == []
    assert downloads.complete > 0


def killed_at(stack: Stack, points: list[str], *command: str) -> int:
    """Start a job, and let one worker after the other die at these points."""
    done = stack.winch("nginx", *command, "--yes", "--no-wait")
    assert done.returncode == 0, said(done)
    run = int(done.stdout)
    for point in points:
        worker = stack.worker(**{VARIABLE: point})
        assert worker.process.wait(timeout=60) == -9, point
        assert stack.document(run)["ended_at"] is None, point
    stack.worker()
    return run


def test_in_an_upgrade(edge: Edge, stack: Stack) -> None:
    fleet = edge.fleet(hosts=["web1"])
    points = around("nginx.winch-1.22.1", ".winch-new", "USR2", "WINCH", "QUIT")
    with unharmed(edge):
        run = killed_at(
            stack, points, "upgrade", "edge", "--binary", str(edge.binary), "--fleet", fleet
        )
        ended = stack.ended(run, seconds=90)

    assert ended["status"] == "succeeded", ended
    assert signals(edge) == {"USR2": 1, "WINCH": 1, "HUP": 0, "QUIT": 1}
    healthy(edge.webs[0], NEW)


def test_on_the_way_back_by_hup(edge: Edge, stack: Stack) -> None:
    check = {"command": {"run": FAILS_IN_THE_SOAK, "attempts": 1}}
    fleet = edge.fleet(hosts=["web1"], verify=[check])
    with unharmed(edge):
        run = killed_at(
            stack,
            around("HUP", "QUIT", ".winch-new"),
            *("upgrade", "edge", "--binary", str(edge.binary), "--fleet", fleet),
        )
        ended = stack.ended(run, seconds=90)

    assert ended["status"] == "rolled_back", ended
    assert signals(edge) == {"USR2": 1, "WINCH": 1, "HUP": 1, "QUIT": 1}
    healthy(edge.webs[0], OLD)


def test_on_the_way_back_after_quit(edge: Edge, stack: Stack) -> None:
    fleet = edge.fleet(hosts=["web1"])
    worker = stack.worker()
    done = stack.winch(
        "nginx", "upgrade", "edge", "--binary", str(edge.binary), "--fleet", fleet, "--yes"
    )
    assert done.returncode == 0, said(done)
    assert worker.stop() == 0
    with unharmed(edge):
        points = around(".winch-new", "USR2", "WINCH", "QUIT")
        run = killed_at(stack, points, "rollback", "edge", "--fleet", fleet)
        ended = stack.ended(run, seconds=90)

    assert ended["status"] == "succeeded", ended
    assert signals(edge) == {"USR2": 1, "WINCH": 1, "HUP": 0, "QUIT": 1}
    healthy(edge.webs[0], OLD)
