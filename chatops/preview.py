"""What a plan would do now: each step's own preview, with nothing but eyes."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from chatops.looking import LookingContext
from worker.errors import Refused, StepError, Unreachable
from worker.plan import HostSpec, LaneSpec, Plan, StepSpec
from worker.ssh import Connections
from worker.step import REGISTRY

_AT_ONCE = 16


@dataclass
class _Seen:
    """What was found out about one lane."""

    steps: list[dict[str, Any]] = field(default_factory=list)
    problem: str | None = None
    code: int = 0


def preview(plan: Plan) -> dict[str, Any]:
    """Ask every host what its steps would run. Returns the document of `winch plan --json`.

    Its `exit_code`: 0; 3 when the job would be refused; 4 when a host does not answer.
    """
    importlib.import_module("tasks.registry")
    connections = Connections()
    lanes = [lane for lane in plan.lanes if not lane.gate]
    gates = [lane for lane in plan.lanes if lane.gate]
    try:
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            checked = list(threads.map(lambda lane: _gate(lane, plan.hosts, connections), gates))
            seen = list(threads.map(lambda lane: _lane(lane, plan.hosts, connections), lanes))
    finally:
        connections.close()
    problems = [one.problem for one in [*checked, *seen] if one.problem is not None]
    return {
        "job": plan.job,
        "target": plan.target,
        "vars": plan.vars,
        "problems": list(dict.fromkeys(problems)),
        "before": [step for one in checked for step in one.steps],
        "hosts": [
            {"name": lane.host, "steps": one.steps} for lane, one in zip(lanes, seen, strict=True)
        ],
        "exit_code": max((one.code for one in [*checked, *seen]), default=0),
    }


def _gate(lane: LaneSpec, hosts: Mapping[str, HostSpec], connections: Connections) -> _Seen:
    """Run a gate's checks: they only look, and they are what the job would be refused for.

    A step of a gate that has something to do (a file that hosts still lack) says so instead.
    """
    seen = _Seen()
    try:
        context = LookingContext(connections, hosts, lane.host)
        for step in lane.steps:
            commands = _commands(step, context)
            if commands:
                entry = {"name": step.name, "summary": step.summary, "commands": commands}
                seen.steps.append({**entry, "note": None})
                continue
            kind = REGISTRY[step.name]
            kind.run(context, kind.params.model_validate(step.params))
    except StepError as error:
        seen.problem, seen.code = str(error), error.exit_code
    return seen


def _lane(lane: LaneSpec, hosts: Mapping[str, HostSpec], connections: Connections) -> _Seen:
    seen = _Seen()
    for number, step in enumerate(lane.steps):
        entry: dict[str, Any] = {"name": step.name, "summary": step.summary}
        entry |= {"commands": [], "note": None}
        seen.steps.append(entry)
        if seen.code == Unreachable.exit_code:
            entry["note"] = "not known: a host does not answer"
            continue
        try:
            context = LookingContext(connections, hosts, lane.host)
            entry["commands"] = _commands(step, context)
        except Unreachable as error:
            seen.problem, seen.code = str(error), error.exit_code
            entry["note"] = str(error)
        except StepError as error:
            # A later step may look for what an earlier one is going to make.
            if number == 0 and isinstance(error, Refused):
                seen.problem, seen.code = str(error), error.exit_code
            before = "" if number == 0 else "known when the steps before it are done: "
            entry["note"] = f"{before}{error}"
    return seen


def _commands(step: StepSpec, context: LookingContext) -> list[str]:
    kind = REGISTRY[step.name]
    try:
        params = kind.params.model_validate(step.params)
    except ValidationError as error:
        raise Refused(f"{step.name}: {error.errors()[0]['msg']}") from None
    return kind.preview(context, params)
