"""Two jobs that would touch both members of one pair, started at the same moment by two workers."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Barrier

import pytest

from tests.kit.postgres import postgres
from tests.kit.stack import Stack, until
from tests.kit.steps import Effect
from worker.app import publish
from worker.engine import Engine
from worker.leases import Leases
from worker.models import Run
from worker.plan import HostSpec, LaneSpec, Plan, Policy, StepSpec
from worker.report import lease_list
from worker.store import Store

pytestmark = pytest.mark.chaos

MEMBERS = ("lb1", "lb2")
AT_ONCE = 10  # races that are under way together, each about a pair of its own


@pytest.fixture
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """Two worker processes on one database, of the test's kind."""
    directory = Path(tempfile.mkdtemp(prefix="winch-"))
    if request.getfixturevalue("database") == "sqlite":
        made = Stack(directory)
        yield from _run(made)
    else:
        with postgres() as url:
            yield from _run(Stack(directory, database_url=url))
    shutil.rmtree(directory)


def _run(made: Stack) -> Iterator[Stack]:
    try:
        made.start()
        made.worker()
        made.worker()
        yield made
    finally:
        made.stop()


class Race:
    """Two runs over the same pair; what the hosts saw of them stands in one file, in its order."""

    def __init__(self, stack: Stack, number: int) -> None:
        self.seen = stack.directory / f"seen-{number}"
        self._pair = f"{stack.directory.name}-{number}"
        self.runs: list[int] = []

    def plan(self, name: str, first: str) -> Plan:
        """Both members, one after the other; each is marked when it is taken out and comes back."""
        lanes = [
            LaneSpec(
                host=host,
                leases=[f"host:{self._pair}-{host}", f"pair:{self._pair}"],
                touches=list(MEMBERS),
                steps=[
                    self._mark("one", f"{name}.{host}.out"),
                    self._mark("two", f"{name}.{host}"),
                ],
            )
            for host in sorted(MEMBERS, key=lambda member: member != first)
        ]
        hosts = {h: HostSpec(name=h, address="127.0.0.1", connection="local") for h in MEMBERS}
        return Plan(
            job="test",
            target=self._pair,
            hosts=hosts,
            lanes=lanes,
            policy=Policy(max_unavailable=2),  # it would take both at once: the lease is in its way
        )

    def _mark(self, step: str, line: str) -> StepSpec:
        return StepSpec.of(f"test.{step}", Effect(file=str(self.seen), line=line), line)

    def check(self) -> None:
        """Whoever was out was out alone; both runs did all that they had to."""
        lines = self.seen.read_text().split()
        for out, back in zip(lines[::2], lines[1::2], strict=True):
            assert out == f"{back}.out", lines
        assert sorted(lines[1::2]) == [f"{run}.{host}" for run in "ab" for host in MEMBERS], lines


def ended(stack: Stack, run: int) -> bool:
    """Cheaper than the run's document, for there are many to ask."""
    with stack.store.read() as session:
        return session.get_one(Run, run).ended_at is not None


@pytest.mark.parametrize(("database", "count"), [("postgresql", 200), ("sqlite", 50)])
def test_of_two_jobs_on_one_pair_at_the_same_moment_both_are_done_and_never_both_at_once(
    stack: Stack, database: str, count: int
) -> None:
    # Two ways in, each with connections of its own, as two processes have them.
    stores = [Store(str(stack.store.url)) for _ in "ab"]
    engines = [
        Engine(store, Leases(stack.client), lambda message: publish(message, stack.app))
        for store in stores
    ]

    def race(number: int) -> Race:
        made = Race(stack, number)
        start = Barrier(2)

        def ask(which: int) -> int:
            plan = made.plan("ab"[which], MEMBERS[(which + number) % 2])
            run = engines[which].create_run(plan, requested_by="test")
            start.wait(30)
            engines[which].advance(run)
            return run

        with ThreadPoolExecutor(2) as threads:
            made.runs = list(threads.map(ask, range(2)))
        for run in made.runs:
            until(partial(ended, stack, run), seconds=120, every=0.1, what="the end of a run")
        return made

    began = time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as threads:
        races = list(threads.map(race, range(count)))
    took = time.monotonic() - began
    print(f"{count} races in {took:.1f} s, {took / count * 1000:.0f} ms each, {AT_ONCE} at once")
    for each in races:
        assert [stack.document(run)["status"] for run in each.runs] == ["succeeded"] * 2
        each.check()
    assert lease_list(stack.store) == []
    for store in stores:
        store.close()
