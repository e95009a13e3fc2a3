"""The longest gap that a client sees at a pair's address: `python -m tests.bench.failover [COUNT]`.

Beside a failover by `winch pair failover` stands that of a bare `systemctl stop keepalived`, on the
same two hosts, with advertisements each second and each tenth of one. A client asks every 10 ms on
a new connection; each number is the median of COUNT failovers, the largest in brackets.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.kit.stack import Stack
from tests.lab import keepalived
from tests.lab.edge import Edge
from tests.lab.farm import build_farm
from tests.lab.gap import Gap, Seen
from tests.lab.topology import Lab
from tests.lab.waiting import wait_for
from workflows.fleet import load_fleet
from workflows.jobs import plan_job
from workflows.options import Options


def measure(edge: Edge, away: Callable[[], object], back: Callable[[], object]) -> Seen:
    """Let the address go from lb1 to lb2, and home again; return what a client saw."""
    with Gap(edge.addresses[0].ip) as client:
        wait_for(lambda: client.seen.answers > 20, "the client has its answers")
        away()
        wait_for(lambda: edge.holders() == [["lb2"]], "lb2 holds the address", timeout=30)
        before = client.seen.answers
        wait_for(lambda: client.seen.answers > before + 20, "it answers again")
    back()
    wait_for(lambda: edge.holders() == [["lb1"]], "it is home again", timeout=30)
    return client.seen


def by_winch(edge: Edge, stack: Stack, job: str) -> None:
    """Run a job on the pair to its end."""
    plan = plan_job(load_fleet(edge.fleet()), job, "edge", [], Options(limit=("lb1",)))
    document = stack.ended(stack.run(plan), seconds=60)
    if document["status"] != "succeeded":
        raise RuntimeError(f"{job}: {document['detail']}")


def by_hand(edge: Edge, word: str) -> None:
    """Stop or start keepalived, and nothing else."""
    edge.members[0].sh(f"systemctl {word} keepalived")


def row(label: str, seen: list[Seen]) -> str:
    """One line of the table."""
    gaps = [each.longest * 1000 for each in seen]
    counts = (sum(values) for values in zip(*((s.lost, s.late, s.cut) for s in seen), strict=True))
    numbers = "".join(f" {number:4}" for number in counts)
    return f"{label:52} {statistics.median(gaps):7.0f} ms [{max(gaps):5.0f}]{numbers}"


def main(count: int) -> None:
    """Measure and print."""
    directory = Path(tempfile.mkdtemp(prefix="winch-"))
    stack = Stack(directory).start()
    try:
        stack.worker()
        with Lab() as lab:
            edge = Edge(build_farm(lab, balancers=2, servers=1), [lab.network.allocate()])
            print(f"{'longest gap at the address, ' + str(count) + ' failovers':52} "
                  f"{'median':>10} [  max] lost late  cut")  # fmt: skip
            for advert in (1.0, 0.1):
                for label, settings in (
                    ("track_file", {}),
                    ("reload", {"track_file": None}),
                    ("track_file, peer with nopreempt", {"lines": ["nopreempt"]}),
                ):
                    if "lines" in settings and advert < 1:
                        continue
                    edge.install(advert_interval=advert, **settings)  # type: ignore[arg-type]

                    def away() -> None:
                        by_winch(edge, stack, "pair.failover")

                    def back(nopreempt: bool = "lines" in settings) -> None:
                        by_winch(edge, stack, "pair.failback")
                        if nopreempt:  # it stays; send it home for the next one
                            edge.members[1].write_file(keepalived.TRACK_FILE, "-254\n")
                            wait_for(lambda: edge.holders() == [["lb1"]], "home", timeout=30)
                            edge.members[1].write_file(keepalived.TRACK_FILE, "0\n")

                    seen = [measure(edge, away, back) for _ in range(count)]
                    print(row(f"winch pair failover, {label}, advert {advert:g} s", seen))
                edge.install(advert_interval=advert)
                seen = [
                    measure(edge, lambda: by_hand(edge, "stop"), lambda: by_hand(edge, "start"))
                    for _ in range(count)
                ]
                print(row(f"systemctl stop keepalived, advert {advert:g} s", seen), flush=True)
    finally:
        stack.stop()
        shutil.rmtree(directory)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
