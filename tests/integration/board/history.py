"""Runs as they would stand in the database, without anybody having run them."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from worker.models import Lane, Run, Step
from worker.store import Store

ROLL = ("haproxy.drain", "deploy.redeploy", "probe.verify", "haproxy.enable")
SHARES = (0.3, 0.4, 0.1, 0.2)


@dataclass
class Past:
    """A roll that has begun `ago` seconds before now: `at_once` hosts, `each` seconds a host."""

    hosts: int
    ago: float
    at_once: int = 3
    each: float = 40.0
    failing: set[int] = field(default_factory=set)
    waiting: set[int] = field(default_factory=set)
    version: str = "1.26.3"
    reason: str | None = None

    def write(self, store: Store) -> int:
        """Write it, and return the run's number."""
        dice = random.Random(self.hosts)
        now = store.now()
        begun = now - self.ago
        takes = (self.hosts / self.at_once + 1) * self.each * 1.2
        over = takes < self.ago
        with store.write() as session:
            run = Run(
                job="roll",
                target="web",
                status=("failed" if self.failing else "succeeded") if over else "running",
                requested_by="http:alice",
                reason=self.reason,
                created_at=begun - 4,
                started_at=begun,
                ended_at=begun + takes if over else None,
                vars={"version": self.version},
                scope="pool:web",
                needs_advance=False,
                exit_code=(2 if self.failing else 0) if over else None,
                detail="web3: expected HTTP 200, observed HTTP 502"
                if over and self.failing
                else None,
            )
            session.add(run)
            session.flush()
            assert run.id is not None
            for number in range(self.hosts):
                lane = Lane(run_id=run.id, position=number, host=f"web{number + 1}", changed=True)
                session.add(lane)
                session.flush()
                begin = begun + number // self.at_once * self.each * 1.2 + dice.uniform(0, 4)
                steps = self._steps(number, begin, now, dice)
                for position, step in enumerate(steps):
                    step.run_id, step.lane_id, step.position = run.id, lane.id or 0, position
                    session.add(step)
                lane.status = _status(steps)
                if lane.status == "waiting":
                    lane.waiting_for, lane.waiting_since, lane.wait_until = (
                        "sessions",
                        now,
                        now + 9e5,
                    )
                session.add(lane)
            return run.id

    def _steps(self, number: int, begin: float, now: float, dice: random.Random) -> list[Step]:
        found, at, status = [], begin, "succeeded"
        for name, share in zip(ROLL, SHARES, strict=True):
            takes = self.each * share * dice.uniform(0.7, 1.1)
            step = Step(run_id=0, lane_id=0, position=0, name=name, summary=name, attempts=1)
            found.append(step)
            if status != "succeeded":
                step.status = "cancelled" if status == "failed" else "pending"
                step.attempts = 0
                continue
            if at > now:
                status = step.status = "pending"
                step.attempts = 0
                continue
            step.started_at, step.changed = at, True
            step.detail = f"{name} on lb1, lb2"
            if at + takes > now or number in self.waiting:
                status = step.status = "waiting" if number in self.waiting else "running"
                continue
            at += takes
            step.ended_at = at
            if number in self.failing and name == "probe.verify":
                status = "failed"
                step.detail, step.attempts = "expected HTTP 200, observed HTTP 502", 3
            step.status = status
        return found


def _status(steps: list[Step]) -> str:
    seen = {step.status for step in steps}
    for status in ("failed", "waiting", "running"):
        if status in seen:
            return status
    if seen in ({"pending"}, {"succeeded"}):
        return seen.pop()
    return "running"
