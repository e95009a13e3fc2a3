"""A plan: everything that a run will do, as data.

It is built once by `workflows`, written to the database, and from then on the engine needs neither
the fleet file nor the code that planned it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from worker.step import Params
from worker.windows import Window


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SshSpec(_Data):
    """How to reach a host over SSH. Paths are absolute; no secret is in here."""

    user: str | None = None
    port: int = 22
    identity_file: Path | None = None
    known_hosts: Path | None = None  # None: ~/.ssh/known_hosts and /etc/ssh/ssh_known_hosts
    become: Literal["sudo", "doas"] | None = None
    jump: str | None = None  # the name of another host of the plan


class HostSpec(_Data):
    """One machine that steps of the plan may talk to."""

    name: str
    address: str
    connection: Literal["ssh", "local"] = "ssh"
    site: str | None = None
    ssh: SshSpec = SshSpec()


class StepSpec(_Data):
    """One step: its registered name, its parameters, and what to call it in lists."""

    name: str
    params: dict[str, Any]
    summary: str

    @classmethod
    def of(cls, name: str, params: Params, summary: str) -> StepSpec:
        """Make a step from typed parameters; `summary` reads like `drain web/web1 on lb1, lb2`."""
        return cls(name=name, params=params.model_dump(mode="json"), summary=summary)


class LaneSpec(_Data):
    """One host's way through the run.

    `leases` are taken together before the first step: names like `host:web1`, `pair:edge`,
    `balancer:lb1`. `touches` are all hosts on which its steps may change something: they learn the
    lane's lease numbers first; `reads` are further ones that its steps only look at. `back` is what
    undoes the lane, in order, when a step fails and the policy says so, or when a person asks; of
    it only that is run which undoes a step that has begun (`BackStep.undoes`).
    """

    host: str
    site: str | None = None  # the Celery queue; None is the default one
    leases: list[str]
    touches: list[str]
    reads: list[str] = Field(default_factory=list)
    steps: list[StepSpec]
    back: list[BackStep] = Field(default_factory=list)
    gate: bool = False  # runs before all other lanes, is not shown, changes nothing that serves


class BackStep(_Data):
    """A step of the way back. It is needed when one of the steps named in `undoes` has begun."""

    step: StepSpec
    undoes: list[str]


class Policy(_Data):
    """How many lanes at once, and what a failure does. Counts are absolute by now."""

    max_unavailable: int = Field(default=1, ge=1)
    stages: list[int] = Field(default_factory=list)  # cumulative number of lanes; [] is one stage
    max_failures: int = Field(default=0, ge=0)
    on_failure: Literal["rollback", "stop"] = "rollback"
    lock_wait: float = 600.0  # seconds
    windows: list[Window] = Field(default_factory=list)  # when hosts may start; []: at any time


class Plan(_Data):
    """One job, planned."""

    job: str
    target: str
    vars: dict[str, str] = Field(default_factory=dict)
    hosts: dict[str, HostSpec]
    lanes: list[LaneSpec]
    policy: Policy = Policy()


LaneSpec.model_rebuild()
