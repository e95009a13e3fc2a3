"""What a roll costs a host, beside the same commands given by hand: `python -m tests.bench.roll`.

The floor is measured in the same run: again and again the run is paused, some hosts are rolled by
hand, and it is resumed. So what else the machine does meets both alike.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import statistics
import sys
import tempfile
import time
from bisect import bisect
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from sqlmodel import col, select

from tests.bench.floor import Floor
from tests.bench.meter import Meter, Used
from tests.bench.site import Site
from tests.kit.stack import Stack, until
from worker import control
from worker.models import ENDED, IN_FLIGHT, Lane, Run
from workflows.jobs import plan_job
from workflows.options import Options

MOST_PAUSES = 10
FEWEST_BY_HAND = 20  # hosts
MOST_BY_HAND = 100
SECONDS_A_HOST = 30.0  # after which the bench gives up


@dataclass
class Row:
    """One number of hosts. Times in seconds; times a host are medians."""

    hosts: int
    balancers: int
    check_milliseconds: int
    preflight: float = 0.0
    preflight_cpu: float = 0.0
    roll: list[float] = field(default_factory=list)
    floor: list[float] = field(default_factory=list)
    used: Used = field(default_factory=Used)
    memory: int = 0
    load: float = 0.0
    steps: dict[str, dict[str, float]] = field(default_factory=dict)

    def summary(self) -> dict[str, float]:
        """What is printed, by column."""
        took, floor = statistics.median(self.roll), statistics.median(self.floor)
        return {
            "hosts": self.hosts,
            "s/host": took,
            "floor": floor,
            "above": took - floor,
            "ratio": took / floor,
            "cpu-s/host": self.used.cpu_seconds / self.hosts,
            "messages/host": self.used.messages / self.hosts,
            "events/host": self.used.events / self.hosts,
            "redis-cmds/host": self.used.commands / self.hosts,
            "kB/host": self.used.bytes / self.hosts / 1000,
            "preflight-s/host": self.preflight / self.hosts,
            "preflight-cpu-s/host": self.preflight_cpu / self.hosts,
            "worker-MB": self.memory / 1e6,
        }

    def as_json(self) -> dict[str, object]:
        """All that was measured."""
        means = {"mean": statistics.fmean(self.roll), "floor-mean": statistics.fmean(self.floor)}
        return {**asdict(self), "summary": self.summary() | means}


class Bench:
    """One run over one site."""

    def __init__(self, site: Site, stack: Stack, worker: int) -> None:
        self.site, self.stack = site, stack
        self.meter = Meter(worker, stack.client)
        self.row = Row(len(site.hosts), len(site.balancers), site.check_milliseconds)
        self._resumed: list[float] = []

    def measure(self) -> Row:
        """Roll all hosts, pausing for the floor."""
        hosts = self.site.hosts
        by_hand = hosts[:MOST_BY_HAND] * (1 + FEWEST_BY_HAND // len(hosts))
        by_hand = by_hand[: max(FEWEST_BY_HAND, min(len(hosts), MOST_BY_HAND))]
        floor = Floor(self.site, list(dict.fromkeys(by_hand)))
        try:
            run_id = self._begin()
            every = max(2, len(hosts) // MOST_PAUSES)
            pauses = max(1, (len(hosts) - 1) // every)
            share = -(-len(by_hand) // pauses)
            for number in range(pauses):
                self._segment(run_id, (number + 1) * every)
                # Those that are done, backwards: they are UP, and nobody touches them again.
                for host in by_hand[number * share : (number + 1) * share]:
                    self.row.floor.append(floor.roll(host, "2"))
                self._resume(run_id)
            self._segment(run_id, len(hosts))
        finally:
            floor.close()
        self._times(run_id)
        self.row.memory = self.meter.memory()
        self.row.load = os.getloadavg()[0]
        return self.row

    def _begin(self) -> int:
        """Start the run, and see its preflight through: it opens the connections."""
        plan = plan_job(self.site.fleet(), "roll", "web", [], Options(vars={"version": "2"}))
        before, began = self.meter.read(), time.monotonic()
        run_id = self.stack.run(plan)
        until(lambda: self._started(run_id), seconds=60 + len(self.site.hosts), what="preflight")
        self.row.preflight = time.monotonic() - began
        self._mark = self.meter.read()
        self.row.preflight_cpu = (self._mark - before).cpu_seconds
        return run_id

    def _segment(self, run_id: int, goal: int) -> None:
        """Wait until so many hosts are done; then pause, unless those are all."""
        seconds = SECONDS_A_HOST * len(self.site.hosts)
        until(lambda: self._over(run_id) or self._done(run_id) >= goal, seconds=seconds)
        if not self._over(run_id) and goal < len(self.site.hosts):
            control.pause(self.stack.engine, run_id, "bench")
            until(lambda: not self._lanes(run_id, *IN_FLIGHT), what="the host under way is done")
        else:
            until(lambda: self._over(run_id), what="the run's end")
        self.row.used += self.meter.read() - self._mark

    def _resume(self, run_id: int) -> None:
        self._mark = self.meter.read()
        if self._over(run_id):  # the pause came late, the last host was under way
            return
        self._resumed.append(time.time())
        control.resume(self.stack.engine, run_id, "bench")

    def _times(self, run_id: int) -> None:
        """From the start of a host to the start of the next one, where no pause lies between."""
        document = self.stack.document(run_id)
        if document["status"] != "succeeded":
            raise SystemExit(f"the roll is {document['status']}: {document['detail']}")
        with self.stack.store.read() as session:
            query = select(Lane.started_at).where(Lane.run_id == run_id, col(Lane.gate).is_(False))
            starts = sorted(at for at in session.exec(query) if at is not None)
        self.row.roll = [
            after - before
            for before, after in pairwise(starts)
            if bisect(self._resumed, before) == bisect(self._resumed, after)
        ]
        self.row.steps = steps(document, self.stack.commands(run_id))

    def _over(self, run_id: int) -> bool:
        with self.stack.store.read() as session:
            return session.get_one(Run, run_id).status in ENDED

    def _started(self, run_id: int) -> bool:
        return self._over(run_id) or self._lanes(run_id, "running", "succeeded") > 0

    def _done(self, run_id: int) -> int:
        return self._lanes(run_id, "succeeded")

    def _lanes(self, run_id: int, *statuses: str) -> int:
        with self.stack.store.read() as session:
            query = select(Lane.id).where(
                Lane.run_id == run_id, col(Lane.gate).is_(False), col(Lane.status).in_(statuses)
            )
            return len(session.exec(query).all())


def steps(document: dict[str, Any], commands: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Where the time of each step goes: all of it, and what of it is spent in commands."""
    inside: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for command in commands:
        inside.setdefault((command["host"], command["step"]), []).append(command)
    found: dict[str, list[tuple[float, float, int]]] = {}
    for host in document["hosts"]:
        for step in host["steps"]:
            if step["seconds"] is not None:
                those = inside.get((host["name"], step["name"]), [])
                spent = sum(each["seconds"] * each["times"] for each in those)
                number = sum(each["times"] for each in those)
                found.setdefault(step["name"], []).append((step["seconds"], spent, number))
    names = ("seconds", "in-commands", "commands")
    return {
        step: {name: statistics.median(row[at] for row in rows) for at, name in enumerate(names)}
        for step, rows in found.items()
    }


def bench(hosts: int, balancers: int) -> Row:
    """Measure one number of hosts on a site of its own."""
    with contextlib.ExitStack() as undo:
        directory = Path(tempfile.mkdtemp(prefix="winch-bench-"))
        undo.callback(shutil.rmtree, directory)
        site = Site(directory, hosts, balancers)
        undo.callback(site.stop)
        site.start()
        stack = Stack(directory).start()
        undo.callback(stack.stop)
        worker = stack.worker()
        return Bench(site, stack, worker.process.pid).measure()


def table(rows: list[Row]) -> str:
    """One line a number of hosts."""
    summaries = [row.summary() for row in rows]
    lines = ["  ".join(summaries[0])]
    for summary in summaries:
        cells = [
            f"{value:{len(name)}.{0 if name in WHOLE else 3}f}" for name, value in summary.items()
        ]
        lines.append("  ".join(cells))
    return "\n".join(lines)


WHOLE = ("hosts", "worker-MB")


def main(argv: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.roll", description=__doc__)
    parser.add_argument("--hosts", default="10,100", help="numbers of hosts (10,100)")
    parser.add_argument("--balancers", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="print all that was measured as JSON")
    options = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything is ended
    rows = [bench(int(number), options.balancers) for number in options.hosts.split(",")]
    if options.json:
        print(json.dumps([row.as_json() for row in rows], indent=2))
    else:
        print(table(rows))


if __name__ == "__main__":
    main()
