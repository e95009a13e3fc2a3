"""Roll a pool: drain → redeploy → verify → enable, server by server."""

from __future__ import annotations

from dataclasses import replace

from worker.errors import UsageError
from worker.plan import BackStep, LaneSpec, Plan
from workflows.deploying import (
    lasting,
    redeploy_params,
    redeploy_step,
    restore_step,
    verify_params,
    verify_step,
)
from workflows.deployments import Redeploy
from workflows.hours import windows_of
from workflows.model import Fleet
from workflows.options import Options, select
from workflows.pair_steps import guard_steps
from workflows.policy import pool_policy
from workflows.pool import (
    check_used,
    drain_step,
    enable_step,
    find_pool,
    lane,
    pool_plan,
)
from workflows.templates import variables_in


def plan_roll(fleet: Fleet, pool_name: str, options: Options) -> Plan:
    """Plan to bring a new version to the servers of a pool.

    Raises:
        UsageError: an unknown pool or host, a variable without a value, a pool without
            `redeploy`, or a value that is not allowed where it would go.
        Refused: the pool has too few servers for one to be taken out.
    """
    pool = find_pool(fleet, pool_name)
    redeploy = pool.redeploy
    if redeploy is None:
        raise UsageError(
            f"pool {pool_name} has no redeploy: say under pools.{pool_name}.redeploy how a server "
            "gets its new version (docker, package, systemd, release or command)"
        )
    hosts = select(pool_name, pool, options)
    used = variables_in([redeploy.model_dump(), [check.model_dump() for check in pool.verify]])
    check_used(fleet, options, used)
    policy = pool_policy(pool_name, pool, len(hosts), options).model_copy(
        update={"windows": windows_of(pool.policy.windows)}
    )
    lanes = [_lane(fleet, pool_name, host, redeploy, options) for host in hosts]
    return pool_plan(fleet, "roll", pool_name, options, lanes=lanes, policy=policy)


def _lane(
    fleet: Fleet, pool_name: str, host: str, redeploy: Redeploy, options: Options
) -> LaneSpec:
    pool = fleet.pools[pool_name]
    at = ("pools", pool_name)
    own = {"address": fleet.hosts[host].address, "name": host}
    values = {**fleet.vars, **options.vars, **own}
    deploy = redeploy_params(fleet, (*at, "redeploy"), redeploy, values)
    enable = enable_step(fleet, pool, host)

    steps = [
        *guard_steps(fleet, host),
        drain_step(fleet, pool, host, options),
        redeploy_step(deploy),
    ]
    if pool.verify:
        steps.append(verify_step(verify_params(fleet, (*at, "verify"), pool.verify, values)))
    steps.append(enable)

    # A server that serves again is drained before it is touched; its own drain has left it in
    # maintenance, or even an operator's, which enabling it at the end puts back.
    out = drain_step(fleet, pool, host, replace(options, include_maintenance=True))
    back = [
        BackStep(step=out, undoes=["haproxy.enable"]),
        BackStep(step=restore_step(deploy), undoes=["deploy.redeploy"]),
    ]
    old = lasting(pool.verify)
    if old:
        verify = verify_step(verify_params(fleet, (*at, "verify"), old, values))
        back.append(BackStep(step=verify, undoes=["deploy.redeploy"]))
    back.append(BackStep(step=enable, undoes=["haproxy.drain", "haproxy.enable"]))
    return lane(fleet, pool, host, steps=steps, back=back)
