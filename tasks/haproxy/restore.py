"""Set servers to a state on all balancers, and see that they are in it."""

from __future__ import annotations

from collections.abc import Mapping

from tasks.haproxy.client import set_server_state, set_weight
from tasks.haproxy.decide import Stood
from tasks.haproxy.errors import StaticAlgorithm
from tasks.haproxy.facts import State
from tasks.haproxy.pool import Observation, Place, Pool
from tasks.patience import Patience
from worker.errors import Failed

SETTLE_SECONDS = 1.0


def state_commands(seen: Observation, wanted: Mapping[Place, State]) -> list[tuple[Place, str]]:
    """Decide which `set server … state` are still needed."""
    return [
        (place, set_server_state(place.backend, place.server, state))
        for place, state in wanted.items()
        if seen.server(place).admin.forced != state
    ]


def set_states(
    pool: Pool, seen: Observation, wanted: Mapping[Place, State], *, whole: bool = False
) -> Observation:
    """Set the states that differ, look again (at `whole` backends), and return what was seen.

    Raises:
        Failed: HAProxy took the command, and the server is not in that state.
    """
    commands = state_commands(seen, wanted)
    if not commands:
        return seen
    patience = Patience(SETTLE_SECONDS)
    seen = pool.tell_and_look(commands, whole=whole)
    while True:
        wrong = [place for place, state in wanted.items() if not _is(seen, place, state)]
        if not wrong:
            return seen
        if patience.over:
            place = wrong[0]
            raise Failed(
                f"{place}: expected state {wanted[place]} after setting it, observed "
                f"{seen.server(place).admin.forced}: does something else control this server?"
            )
        patience.pause()
        seen = pool.observe() if whole else pool.look()


def _is(seen: Observation, place: Place, state: State) -> bool:
    return seen.server(place).admin.forced == state


def weigh(pool: Pool, seen: Observation, wanted: Mapping[Place, int]) -> bool:
    """Set the weights that differ; return whether every one could be set.

    A static algorithm accepts nothing between 0 and the configured weight. That is no error: the
    server then carries its whole share or none.
    """
    all_set = True
    for place, weight in wanted.items():
        if seen.server(place).weight == weight:
            continue
        try:
            pool.tell([(place, set_weight(place.backend, place.server, weight))])
        except StaticAlgorithm:
            all_set = False
    return all_set


def restore(pool: Pool, stood: Mapping[Place, Stood]) -> None:
    """Put weights and states back as they stood, and see that they are so."""
    seen = pool.look()
    weigh(pool, seen, {place: was.weight for place, was in stood.items()})
    set_states(pool, seen, {place: was.state for place, was in stood.items()})
