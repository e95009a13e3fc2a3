"""What can be asked for in a chat, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from chatops.orders import NO_OVERRIDE, Order, Override
from worker.errors import UsageError


class Mistake(UsageError):
    """What was written cannot be meant; the message says what was probably meant."""


@dataclass(frozen=True)
class Start:
    """Start a job."""

    order: Order


@dataclass(frozen=True)
class Steer:
    """Do something to a run."""

    action: str
    run: int
    hosts: tuple[str, ...] = ()
    override: Override = NO_OVERRIDE


@dataclass(frozen=True)
class Status:
    """Show a run; None: the newest ones."""

    run: int | None = None


@dataclass(frozen=True)
class Freeze:
    """Let no job start (`lift`: let them again) in a scope; None: at all. Nothing: list them."""

    scope: str | None = None
    until: str | None = None
    reason: str | None = None
    lift: bool = False

    @property
    def asks(self) -> bool:
        """Whether it only asks what is frozen."""
        return not self.lift and self.until is None and self.reason is None and self.scope is None


@dataclass(frozen=True)
class Ask:
    """Ask for what there is."""

    what: Literal["leases", "help"]


Request = Start | Steer | Status | Freeze | Ask
