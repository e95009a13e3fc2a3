"""What 200 watchers of one run cost its steps.

`python -m tests.bench.watchers [--hosts 60] [--watchers 200] [--rounds 8] [--json]`

The same run is done with nobody watching and with all of them, by turns (off on on off …), on one
web process and one worker, so that whatever else the machine does meets both alike. The floor is
what two halves of the unwatched runs differ by: less than that cannot be told from nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import psutil
from sqlalchemy import select
from sqlmodel import col

from chatops.tokens import create_token
from tests.integration.api.test_web_process import web
from tests.kit.plans import Work
from tests.kit.stack import ROOT, Stack
from worker.models import Run
from worker.plan import Policy


@dataclass
class Round:
    """One run: how long its steps took (seconds), and what the processes used (CPU seconds)."""

    watchers: int
    steps: list[float]
    wall: float
    web_cpu: float
    worker_cpu: float
    crowd_cpu: float = 0.0
    bytes: int = 0  # that one watcher got

    @property
    def median(self) -> float:
        return statistics.median(self.steps)


@dataclass
class Result:
    """All rounds."""

    rounds: list[Round] = field(default_factory=list)

    def medians(self, *, watched: bool) -> list[float]:
        return [one.median for one in self.rounds if bool(one.watchers) == watched]

    @property
    def ratio(self) -> float:
        """How much longer a step takes when all watch: the median of neighbours' quotients."""
        pairs = zip(self.medians(watched=True), self.medians(watched=False), strict=True)
        return statistics.median(on / off for on, off in pairs)

    @property
    def floor(self) -> float:
        """The same quotient, of unwatched runs and their unwatched neighbours."""
        alone = self.medians(watched=False)
        pairs = list(zip(alone[::2], alone[1::2], strict=False))
        return statistics.median(max(a, b) / min(a, b) for a, b in pairs) if pairs else 1.0


@contextmanager
def crowd(base: str, token: str, run: int, count: int) -> Iterator[list[str]]:
    """Let so many watch a run; yields, when they do, a list that is filled when they have."""
    told: list[str] = []
    if count == 0:
        yield told
        return
    port = str(urlsplit(base).port)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.crowd", port, str(run), str(count)],
        env=os.environ | {"CROWD_TOKEN": token},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield told
        told += process.stdout.readline().split()
        process.wait(30)
    finally:
        process.kill()
        process.communicate()


def cpu(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


class Bench:
    """A web process, a worker, and runs."""

    def __init__(self, stack: Stack, web_pid: int, base: str, hosts: int) -> None:
        self._stack = stack
        self._worker = stack.worker().process.pid
        self._web = web_pid
        self._base = base
        self._hosts = [f"h{number}" for number in range(hosts)]
        self._token = create_token(stack.store, "bench", "viewer", (), by="bench")

    def round(self, watchers: int) -> Round:
        """Do one run, watched by so many."""
        directory = Path(tempfile.mkdtemp(dir=self._stack.directory))
        plan = Work(directory).plan(self._hosts, policy=Policy(max_unavailable=2))
        run = self._stack.engine.create_run(plan, requested_by="bench")
        with crowd(self._base, self._token, run, watchers) as told:
            before = cpu(self._web), cpu(self._worker)
            begun = time.monotonic()
            self._stack.engine.advance(run)
            self._wait(run)
            wall = time.monotonic() - begun
            after = cpu(self._web), cpu(self._worker)
        document = self._stack.document(run)
        assert document["status"] == "succeeded", document["detail"]
        done = Round(
            watchers,
            [step["seconds"] for host in document["hosts"] for step in host["steps"]],
            wall,
            after[0] - before[0],
            after[1] - before[1],
        )
        if told:
            assert told[:2] == [str(watchers)] * 2, f"not all saw the end: {told}"
            done.bytes, done.crowd_cpu = int(told[2]), float(told[4])
        return done

    def _wait(self, run: int) -> None:
        """Wait for a run's end by its one row: the bench is to cost nothing either."""
        while True:
            with self._stack.store.engine.connect() as connection:
                if connection.execute(select(col(Run.ended_at)).where(Run.id == run)).scalar():
                    return
            time.sleep(0.2)


def bench(hosts: int, watchers: int, rounds: int, *, say: bool = False) -> Result:
    """Measure; the first run only warms everything up."""
    directory = Path(tempfile.mkdtemp(prefix="winch-"))
    stack = Stack(directory)
    result = Result()
    try:
        stack.start()
        with web(stack, WINCH_RATE_LIMIT="100000") as (process, base):
            made = Bench(stack, process.pid, base, hosts)
            made.round(watchers)
            for number in range(2 * rounds):
                on = number % 4 in (1, 2)
                done = made.round(watchers if on else 0)
                result.rounds.append(done)
                if say:
                    print(line(done), flush=True)
    finally:
        stack.stop()
        shutil.rmtree(directory)
    return result


def line(done: Round) -> str:
    return (
        f"{done.watchers:4} watchers  step {done.median * 1000:6.1f} ms  run {done.wall:5.1f} s  "
        f"CPU: worker {done.worker_cpu:5.2f} s, web {done.web_cpu:5.2f} s, "
        f"watchers {done.crowd_cpu:4.2f} s  {done.bytes / 1000:.0f} kB each"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, default=60)
    parser.add_argument("--watchers", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    load = os.getloadavg()[0]
    result = bench(given.hosts, given.watchers, given.rounds, say=not given.json)
    alone, watched = (statistics.median(result.medians(watched=on)) for on in (False, True))
    if given.json:
        measured = [asdict(one) for one in result.rounds]
        print(json.dumps({"ratio": result.ratio, "floor": result.floor, "rounds": measured}))
        return
    print(
        f"median step: {alone * 1000:.1f} ms alone, {watched * 1000:.1f} ms watched by "
        f"{given.watchers}; ratio {result.ratio:.3f}, floor {result.floor:.3f} "
        f"(load before: {load:.1f} on {os.cpu_count()} CPUs)"
    )


if __name__ == "__main__":
    main()
