"""How servers should be in the end, decided from what stood before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tasks.haproxy.client import set_server_state, set_weight
from tasks.haproxy.decide import Stood, weight_steps
from tasks.haproxy.params import Enable
from tasks.haproxy.pool import Observation, Place, Pool
from tasks.journal import last_page
from worker.step import Context


def decide_goals(pool: Pool, seen: Observation, drained: Mapping[str, Any]) -> dict[Place, Stood]:
    """Decide how each place should be in the end.

    As it stood before the lane's drain; without one, ready with the weight that it has. A drain
    that changed nothing leaves nothing to be undone: {}.
    """
    before = last_page(drained, "before")
    if before is not None:
        return {place: Stood.load(before[place.key]) for place in pool.places}
    if drained:
        return {}
    return {place: Stood("ready", seen.server(place).weight, True) for place in pool.places}


def preview_enable(context: Context, params: Enable) -> list[str]:
    """List the commands that enabling would give now."""
    pool = Pool(context, params.balancers, params.targets)
    seen = pool.observe()
    goals = decide_goals(pool, seen, context.recall("haproxy.drain"))
    lines: list[str] = []
    for place, goal in goals.items():
        server = seen.server(place)
        words: list[str] = []
        if goal.state == "ready" and server.admin.forced != "ready":
            steps = weight_steps(goal.weight, params.weights)
            words.append(set_weight(place.backend, place.server, steps[0]))
            if server.admin.forced == "maint":
                words.append(set_server_state(place.backend, place.server, "drain"))
            words.append(set_server_state(place.backend, place.server, "ready"))
            words += [set_weight(place.backend, place.server, weight) for weight in steps[1:]]
        elif server.admin.forced != goal.state:
            words.append(set_server_state(place.backend, place.server, goal.state))
        lines += [f"{place.at}: {word}" for word in words]
    return lines
