"""From a pool's policy, in counts and shares, to the numbers of one run."""

from __future__ import annotations

from collections.abc import Sequence

from worker.errors import Refused
from worker.plan import Policy
from workflows.options import Options, check_option
from workflows.sections import Pool
from workflows.values import count_of


def room(pool: Pool) -> int:
    """Return how many servers of a pool may be out while `min_available` stay."""
    size = len(pool.servers)
    return max(0, size - count_of(pool.policy.min_available, size, up=True))


def pool_policy(name: str, pool: Pool, lanes: int, options: Options) -> Policy:
    """Turn counts into numbers for a run of so many lanes.

    Raises:
        Refused: not one server may be taken out.
        UsageError: an option is no count.
    """
    limit = room(pool)
    if limit < 1:
        raise no_room(name, pool, 1)
    return relaxed_policy(pool, lanes, options).model_copy(
        update={"max_unavailable": min(limit, _at_once(pool, options))}
    )


def relaxed_policy(pool: Pool, lanes: int, options: Options) -> Policy:
    """Do the same for a job that takes nothing out: `min_available` does not bound it."""
    stages = pool.policy.stages if options.stages is None else options.stages
    return Policy(
        max_unavailable=_at_once(pool, options),
        stages=stage_numbers([check_option("--stages", stage) for stage in stages], lanes),
        max_failures=count_of(pool.policy.max_failures, lanes, up=False),
        on_failure=pool.policy.on_failure,
        lock_wait=pool.policy.lock_wait,
    )


def stage_numbers(stages: Sequence[str], lanes: int) -> list[int]:
    """Turn stages into rising numbers of lanes, the last of which is all of them."""
    if not stages:
        return []
    numbers: list[int] = []
    for stage in [*stages, "100%"]:
        number = min(lanes, count_of(stage, lanes, up=True))
        if number > (numbers[-1] if numbers else 0):
            numbers.append(number)
    return numbers


def no_room(name: str, pool: Pool, wanted: int) -> Refused:
    """Say why servers cannot be taken out of a pool."""
    size, least = len(pool.servers), pool.policy.min_available
    may = room(pool)
    allowed = "none of them" if may == 0 else f"at most {may}"
    return Refused(
        f"pool {name}: {_servers(size)}, and {least} must stay available, so {allowed} may be out, "
        f"not {wanted}; nothing was changed; add servers or lower pools.{name}.policy.min_available"
    )


def _at_once(pool: Pool, options: Options) -> int:
    wanted = options.max_unavailable
    count = pool.policy.max_unavailable if wanted is None else wanted
    check_option("--max-unavailable", count)
    return max(1, count_of(count, len(pool.servers), up=False))


def _servers(size: int) -> str:
    return "1 server" if size == 1 else f"{size} servers"
