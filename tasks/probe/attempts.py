"""How many tries a check has had, what follows from one more, and how that survives a wait.

A step's memory is written once for each key, so each wait writes a key of its own. A sequence that
has ended (passed or failed) closes its round: `winch retry` starts to count from nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from itertools import count
from typing import Any, Literal

from tasks.probe.observation import Observation
from tasks.probe.params import Probe

Verdict = Literal["passed", "failed", "again"]


@dataclass(frozen=True)
class Tally:
    """Where a step is: the check, how often it was tried, the successes in a row."""

    check: int = 0
    tried: int = 0
    streak: int = 0


def decide(probe: Probe, tally: Tally, observation: Observation) -> tuple[Verdict, Tally]:
    """Count one try. It fails as soon as the tries that are left cannot suffice."""
    streak = tally.streak + 1 if observation.passed else 0
    after = replace(tally, tried=tally.tried + 1, streak=streak)
    if streak >= probe.consecutive:
        return "passed", after
    if streak + probe.attempts - after.tried < probe.consecutive:
        return "failed", after
    return "again", after


def open_round(memory: Mapping[str, Any]) -> int:
    """Number the round that is under way."""
    return next(number for number in count() if f"ended_{number}" not in memory)


def next_key(memory: Mapping[str, Any], number: int) -> str:
    """Name the key under which the next wait of a round writes its tally."""
    return next(
        f"tally_{number}_{wait}" for wait in count() if f"tally_{number}_{wait}" not in memory
    )


def resume(memory: Mapping[str, Any], number: int) -> Tally:
    """Take up the tally of a round's last wait, or begin."""
    last = Tally()
    for wait in count():
        kept = memory.get(f"tally_{number}_{wait}")
        if kept is None:
            return last
        last = Tally(**kept)
    return last


def kept(tally: Tally) -> dict[str, int]:
    """Make JSON of a tally."""
    return asdict(tally)
