"""From a bad verify to the old nginx, before and after QUIT: `python -m tests.bench.nginx [COUNT]`.

One host upgrades COUNT times each way and fails its verify: once only the new version accepts, so
that the old master comes back by HUP; and when the old master has quit, so that the way back is the
same upgrade with the binary that was kept. `restored` is when only the old version accepts, `in
order` when its file is back on the disk too. The floor is the same signals by hand, over an SSH
connection that is open already, on the same host and between those upgrades.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from sqlmodel import select

from tasks.probe.params import Check, CommandProbe
from tests.kit.stack import Stack
from tests.lab.nginx_upgrade import OLD, Upgrade, install, observe, run_steps
from tests.lab.topology import Lab
from tests.lab.waiting import wait_for
from worker.models import Step
from worker.remote import Command
from worker.ssh import Connections

# It fails as soon as no worker of the old master accepts.
BEFORE_QUIT = "pgrep -P $(cat /run/nginx.pid.oldbin) -f 'worker process *$'"
AFTER_QUIT = "[ -e /run/nginx.pid.oldbin ]"  # it fails as soon as the old master has quit

_LIB = r"""
set -e
workers() { pgrep -P "$1" -f 'worker process *$' >/dev/null; }
put_back() { cp -p /usr/sbin/nginx.winch-* /usr/sbin/n && mv -f /usr/sbin/n /usr/sbin/nginx; }
"""
_HUP = (
    _LIB
    + r"""
old=$(cat /run/nginx.pid.oldbin) new=$(cat /run/nginx.pid)
kill -HUP "$old"
until workers "$old"; do sleep 0.002; done
kill -QUIT "$new"
while [ -e /run/nginx.pid.oldbin ]; do sleep 0.002; done
"""
)
_UPGRADE = (
    _LIB
    + r"""
old=$(cat /run/nginx.pid)
put_back
nginx -t 2>/dev/null
kill -USR2 "$old"
until new=$(cat /run/nginx.pid 2>/dev/null) && [ "${new:-$old}" != "$old" ] && workers "$new"; do
    sleep 0.002
done
kill -WINCH "$old"
while workers "$old"; do sleep 0.002; done
kill -QUIT "$old"
while [ -e /run/nginx.pid.oldbin ]; do sleep 0.002; done
"""
)


@dataclass
class Times:
    """Seconds of one way back."""

    restored: list[float] = field(default_factory=list)
    in_order: list[float] = field(default_factory=list)
    floor: list[float] = field(default_factory=list)


class Bench:
    """A host, an engine with one worker, and a person with an open connection."""

    def __init__(self, lab: Lab, stack: Stack) -> None:
        self.host = lab.host("web1")
        install(lab, self.host)
        self.lab, self.stack = lab, stack
        spec = Upgrade(lab, self.host).plan().hosts["web1"]
        self._connections = Connections()
        self._ssh = self._connections.get(spec, {})
        self._ssh.run(Command.of("true"), timeout=20)

    def close(self) -> None:
        """Disconnect."""
        self._connections.close()

    def by_winch(self, bad: str, times: Times) -> None:
        """Upgrade with a verify that turns bad, and see the way back through."""
        check = Check(command=CommandProbe(run=bad, attempts=1))
        upgrade = Upgrade(self.lab, self.host, checks=[check], soak=0.0)
        run = self.stack.run(upgrade.plan())
        document = self.stack.ended(run, seconds=60)
        if document["status"] != "rolled_back":
            raise SystemExit(f"expected to be rolled back, the run is {document['status']}")
        with self.stack.store.read() as session:
            steps = session.exec(select(Step).where(Step.run_id == run)).all()
        failed = next(step.ended_at for step in steps if step.status == "failed")
        ended = {step.name: step.ended_at for step in steps if step.direction == "back"}
        times.restored.append((ended["nginx.quit_new"] or 0) - (failed or 0))
        times.in_order.append((ended["nginx.unstage"] or 0) - (failed or 0))
        self._steady()

    def by_hand(self, last: str, script: str, times: Times) -> None:
        """Upgrade up to a step; then give the signals back by hand."""
        upgrade = Upgrade(self.lab, self.host, checks=[], soak=0.0)
        run_steps(self.host, upgrade.forward(), stop_after=last)
        began = time.monotonic()
        result = self._ssh.run(Command.shell(script), timeout=30)
        times.floor.append(time.monotonic() - began)
        if not result.ok:
            raise SystemExit(f"by hand: {result.stderr}")
        run_steps(self.host, upgrade.back())
        self._steady()

    def _steady(self) -> None:
        wait_for(lambda: str(observe(self.host)[1]) == "steady", "nginx is steady")
        (master,) = observe(self.host)[0].masters
        if master.version != OLD:
            raise SystemExit(f"expected nginx {OLD} to serve, {master} does")


def bench(count: int) -> dict[str, list[float]]:
    """Measure; returns the seconds by the label of their line."""
    directory = Path(tempfile.mkdtemp(prefix="winch-"))
    stack = Stack(directory).start()
    try:
        stack.worker()
        with Lab() as lab:
            one = Bench(lab, stack)
            try:
                hup, quit_ = Times(), Times()
                for _ in range(count):
                    one.by_winch(BEFORE_QUIT, hup)
                    one.by_hand("nginx.shutdown_workers", _HUP, hup)
                    one.by_winch(AFTER_QUIT, quit_)
                    one.by_hand("nginx.quit", _UPGRADE, quit_)
            finally:
                one.close()
    finally:
        stack.stop()
        shutil.rmtree(directory)
    return {
        f"{label}: {what}": seconds
        for label, times in (("before QUIT, by HUP", hup), ("after QUIT, by upgrade", quit_))
        for what, seconds in (
            ("restored", times.restored),
            ("in order", times.in_order),
            ("floor, the signals by hand", times.floor),
        )
    }


def row(label: str, seconds: list[float]) -> str:
    """One line of the table."""
    median, most = statistics.median(seconds) * 1000, max(seconds) * 1000
    return f"{label:52} {median:7.0f} ms [{most:5.0f}]"


def main(count: int) -> None:
    """Measure and print."""
    measured = bench(count)
    print(f"{f'from the bad verify, {count} times':52} {'median':>10} [  max]")
    for label, seconds in measured.items():
        print(row(label, seconds))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
