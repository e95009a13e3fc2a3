"""The same engine on PostgreSQL, where rows are locked instead of the whole file."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.integration.engine.test_freezes import race
from tests.kit.plans import Work
from tests.kit.postgres import postgres
from tests.kit.stack import Stack, until
from worker import control
from worker.control import NotNow
from worker.plan import Policy


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with postgres() as url:
        yield url


@pytest.fixture
def stack(database: str) -> Iterator[Stack]:
    directory = Path(tempfile.mkdtemp(prefix="winch-"))
    made = Stack(directory, database_url=database)
    try:
        yield made.start()
    finally:
        made.stop()
        shutil.rmtree(directory)


def test_two_workers_share_a_run(stack: Stack, work: Work) -> None:
    stack.worker()
    stack.worker()
    run = stack.run(work.plan([f"h{n}" for n in range(20)], policy=Policy(max_unavailable=5)))
    assert stack.ended(run)["status"] == "succeeded"
    assert len(work.lines()) == len(set(work.lines())) == 60


def test_a_killed_worker_is_replaced(stack: Stack, work: Work) -> None:
    hold = work.flag("hold")
    hold.touch()
    first = stack.worker()
    run = stack.run(work.plan(["web1"], options={"web1.two": {"hold_after": str(hold)}}))
    until(lambda: (stack.step(run, "web1", "test.two")["detail"] or "").startswith("held"))
    first.kill()
    hold.unlink()
    stack.worker()
    assert stack.ended(run)["status"] == "succeeded"
    assert work.lines() == ["web1.one", "web1.two", "web1.three"]


def test_of_two_retries_at_the_same_instant_one_wins_and_the_other_is_told(
    stack: Stack, work: Work
) -> None:
    stack.worker()
    broken = work.flag("broken")
    broken.touch()
    run = stack.run(work.plan(["web1"], options={"web1.two": {"fails_while": str(broken)}}))
    stack.ended(run)
    broken.unlink()

    def retry(_n: int) -> str:
        try:
            control.retry(stack.engine, run, [], "test")
        except NotNow as error:
            return str(error)
        return "won"

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(retry, range(8)))
    assert answers.count("won") == 1
    assert all("nothing to retry" in answer for answer in answers if answer != "won")
    assert stack.ended(run)["status"] == "succeeded"
    assert work.lines() == ["web1.one", "web1.two", "web1.three"]


def test_of_a_freeze_and_starts_at_the_same_instant_one_is_first_and_the_other_is_told(
    stack: Stack, work: Work
) -> None:
    race(stack, work)
