"""What can be asked of the desk (`chatops.desk`): a job, an override of a freeze."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from workflows.options import Options

STEERING = ("retry", "skip", "pause", "resume", "approve", "abort", "rollback")
OVERRIDING = ("retry", "skip", "resume", "approve")  # what a freeze may keep somebody from


@dataclass(frozen=True)
class Order:
    """A job that somebody asks for."""

    job: str
    target: str
    hosts: Sequence[str] = ()
    options: Options = field(default_factory=Options)
    reason: str | None = None
    at: str | None = None  # when it is to start, as people write it (chatops.times)
    override_freeze: bool = False


@dataclass(frozen=True)
class Override:
    """That hosts are to start although a freeze holds, and why."""

    freeze: bool = False
    reason: str | None = None

    @property
    def why(self) -> str | None:
        """The reason of an override; None: there is none."""
        return (self.reason or "") if self.freeze else None


NO_OVERRIDE = Override()


@dataclass(frozen=True)
class Asked:
    """The run that an order has made; `replayed`: it had been made before, by the same key."""

    run_id: int
    replayed: bool = False
