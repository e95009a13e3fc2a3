"""What a step is: a function of a context and its parameters, registered by name.

    @step("haproxy.drain", preview=preview_drain)
    def drain(context: Context, params: Drain) -> Outcome: ...

A step observes the host, decides with a pure function, acts, and verifies by observing again. It
may be killed anywhere and is then run again with the same parameters and what it remembered. It
returns `Done` or `Wait`, or raises one of `worker.errors.StepError`. Claiming, fencing, recording,
and what happens next are the engine's (`worker.execute`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeVar, get_type_hints

from pydantic import BaseModel, ConfigDict

from worker.remote import Host

WaitReason = Literal["sessions", "lease", "soak", "approval", "retry"]


@dataclass(frozen=True)
class Done:
    """The step is complete. `changed` is False when there was nothing to do.

    `order`: the hosts whose lanes are to be taken in this order, now that the world has been looked
    at; a gate may say so of lanes that have not begun.
    """

    detail: str
    changed: bool = True
    order: tuple[str, ...] = ()


@dataclass(frozen=True)
class Wait:
    """Look again in `seconds`: the lane ends its chain, and the steward starts it when due.

    For waits of more than some three seconds; shorter ones are polled inside the step. `seconds`
    None: not before somebody approves; the step then finds who in `context.memory["approved_by"]`.
    """

    reason: WaitReason
    detail: str
    seconds: float | None


Outcome = Done | Wait


class Params(BaseModel):
    """Parameters of a step: plain data that survives JSON; everything that the step needs."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Context(Protocol):
    """What the engine gives to a step while it runs."""

    @property
    def host(self) -> Host:
        """The lane's own host."""

    def on(self, name: str) -> Host:
        """Another host of the fleet, by its name (a balancer, say)."""

    @property
    def memory(self) -> Mapping[str, Any]:
        """What this step remembered, also before a crash, a wait or a retry."""

    def remember(self, **facts: Any) -> None:
        """Record JSON facts before acting on them. The first value of a key stays: what stood
        before the step's first action must not be overwritten by what a second try observes."""

    def recall(self, step: str) -> Mapping[str, Any]:
        """What the lane's step of that name remembered ({} if it never ran).

        Of a step that is there both ways: what it remembered on its way forward.
        """

    def reached(self, job: str, target: str, step: str) -> frozenset[str] | None:
        """The hosts at which a step has begun, in the newest run of a job on a target that got so
        far anywhere; this run may be it. None: there is none, or it cannot be told."""

    def progress(self, text: str) -> None:
        """Say how far the step is: shown in Flower, `watch` and chat. Cheap."""

    def elapsed(self) -> float:
        """Seconds since the step first started, waits and crashes included."""


P = TypeVar("P", bound=Params)


@dataclass(frozen=True)
class StepType(Generic[P]):
    """A registered step: its name, its parameters' type, what runs it and what previews it."""

    name: str
    params: type[P]
    run: Callable[[Context, P], Outcome]
    preview: Callable[[Context, P], list[str]]


REGISTRY: dict[str, StepType[Any]] = {}


def step(
    name: str, *, preview: Callable[[Context, P], list[str]]
) -> Callable[[Callable[[Context, P], Outcome]], Callable[[Context, P], Outcome]]:
    """Register a step under its name.

    `preview` observes (reads only) and returns the commands that the step would run now, one
    text line each, prefixed by the host where it is not the lane's own: `lb1: set server …`.
    """

    def register(run: Callable[[Context, P], Outcome]) -> Callable[[Context, P], Outcome]:
        params = get_type_hints(run)["params"]
        REGISTRY[name] = StepType(name, params, run, preview)
        return run

    return register
