"""A host's nginx behind balancers: out of its pools while its processes change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.haproxy.params import CheckPool, Drain, Enable
from worker.errors import UsageError
from worker.plan import StepSpec
from workflows.model import Fleet
from workflows.options import Options
from workflows.policy import no_room, room
from workflows.pool import drain_step, enable_step
from workflows.sections import Pool


@dataclass(frozen=True)
class Draining:
    """The steps that take a host out of all its pools and bring it back, and the balancers.

    `out_again` is for a host that this lane has taken out already.
    """

    out: StepSpec
    out_again: StepSpec
    back: StepSpec
    check: CheckPool
    balancers: list[str]


def draining(fleet: Fleet, group: str, host: str, options: Options) -> Draining:
    """Plan to drain a host of a group with `drain: true`.

    A lane has one drain, so several pools are drained together: they must agree on how.

    Raises:
        UsageError: the host is in no pool, or in pools that do not agree.
        Refused: a pool is too small for one server to be out.
    """
    pools = pools_of(fleet, host)
    if not pools:
        raise UsageError(
            f"nginx.{group}.drain: {host} is in no pool, so it cannot be drained: put it under "
            "pools, or set drain: false"
        )
    first, *others = pools
    for name in others:
        _check_agree(fleet, host, first, name)
    for name in pools:
        if room(fleet.pools[name]) < 1:
            raise no_room(name, fleet.pools[name], 1)
    again = Options(include_maintenance=True)
    out = [drain_step(fleet, fleet.pools[name], host, options) for name in pools]
    out_again = [drain_step(fleet, fleet.pools[name], host, again) for name in pools]
    back = [enable_step(fleet, fleet.pools[name], host) for name in pools]
    drain = Drain.model_validate(out[0].params)
    check = CheckPool(
        balancers=drain.balancers,
        targets=[t for step in out for t in Drain.model_validate(step.params).targets],
        hosts=[],
        min_available=drain.min_available,
        count_backup=drain.count_backup,
        include_maintenance=options.include_maintenance,
    )
    return Draining(
        _together(out, Drain),
        _together(out_again, Drain),
        _together(back, Enable),
        check,
        fleet.pools[first].balancers,
    )


def pools_of(fleet: Fleet, host: str) -> list[str]:
    """Return the pools that a host is a server of, in the file's order."""
    return [name for name, pool in fleet.pools.items() if host in pool.servers]


def _check_agree(fleet: Fleet, host: str, one: str, other: str) -> None:
    def ways(pool: Pool) -> dict[str, object]:
        return {
            "balancers": pool.balancers,
            "drain": pool.drain,
            "enable": pool.enable,
            "policy.min_available": pool.policy.min_available,
            "policy.count_backup": pool.policy.count_backup,
        }

    mine, theirs = ways(fleet.pools[one]), ways(fleet.pools[other])
    differ = [key for key in mine if mine[key] != theirs[key]]
    if differ:
        raise UsageError(
            f"{host} is in the pools {one} and {other}, and is drained in both together: they must "
            f"have the same {', '.join(differ)}"
        )


def _together(steps: Sequence[StepSpec], kind: type[Drain] | type[Enable]) -> StepSpec:
    """Make one step of those of several pools that agree."""
    first = steps[0]
    if len(steps) == 1:
        return first
    every = [kind.model_validate(step.params) for step in steps]
    targets = list({str(t): t for params in every for t in params.targets}.values())
    params = every[0].model_copy(update={"targets": targets})
    verb = first.summary.split(" ", 1)[0]
    where = f"{', '.join(map(str, targets))} on {', '.join(b.host for b in params.balancers)}"
    return StepSpec.of(first.name, params, f"{verb} {where}")
