"""What a rollback of nginx is going to do, host by host: for whoever is asked whether to start."""

from __future__ import annotations

import importlib

from chatops.looking import LookingContext
from worker.plan import Plan
from worker.ssh import Connections
from worker.step import REGISTRY

_STEP = "nginx.check_rollback"


def courses(plan: Plan) -> list[str]:
    """Look at the hosts of a planned rollback. Returns a line for each: `web1: 1.28.1 → 1.26.3: …`.

    Raises:
        Refused: the newest upgrade has reached none of them.
        Unreachable: a host does not answer.
    """
    importlib.import_module("tasks.registry")
    kind = REGISTRY[_STEP]
    connections = Connections()
    try:
        return [
            line
            for lane in plan.lanes
            for step in lane.steps
            if step.name == _STEP
            for line in kind.preview(
                LookingContext(connections, plan.hosts, lane.host),
                kind.params.model_validate(step.params),
            )
        ]
    finally:
        connections.close()
