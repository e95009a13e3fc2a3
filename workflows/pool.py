"""Jobs on the servers of a pool: what they share, and the two short ones, drain and enable."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tasks.haproxy.params import Balancer, CheckPool, Drain, Enable, Target
from worker.errors import UsageError
from worker.plan import BackStep, HostSpec, LaneSpec, Plan, Policy, StepSpec
from workflows.hosts import host_specs
from workflows.model import Fleet
from workflows.options import Options, check_vars, select
from workflows.policy import no_room, pool_policy, relaxed_policy, room
from workflows.problems import nearest
from workflows.references import GATE
from workflows.sections import Pool
from workflows.values import shown


def plan_drain(fleet: Fleet, pool_name: str, options: Options) -> Plan:
    """Plan to take servers out of a pool, and leave them out.

    Raises:
        UsageError: an unknown pool or host.
        Refused: fewer than `min_available` would stay.
    """
    pool = find_pool(fleet, pool_name)
    hosts = select(pool_name, pool, options)
    check_used(fleet, options, set())
    if len(hosts) > room(pool):
        raise no_room(pool_name, pool, len(hosts))
    lanes = []
    for host in hosts:
        back = BackStep(step=enable_step(fleet, pool, host), undoes=["haproxy.drain"])
        steps = [drain_step(fleet, pool, host, options)]
        lanes.append(lane(fleet, pool, host, steps=steps, back=[back]))
    policy = pool_policy(pool_name, pool, len(hosts), options)
    return pool_plan(fleet, "drain", pool_name, options, lanes=lanes, policy=policy)


def plan_enable(fleet: Fleet, pool_name: str, options: Options) -> Plan:
    """Plan to bring servers of a pool back.

    Raises:
        UsageError: an unknown pool or host.
    """
    pool = find_pool(fleet, pool_name)
    hosts = select(pool_name, pool, options)
    check_used(fleet, options, set())
    lanes = [
        lane(fleet, pool, host, steps=[enable_step(fleet, pool, host)], back=[]) for host in hosts
    ]
    policy = relaxed_policy(pool, len(hosts), options).model_copy(update={"on_failure": "stop"})
    return pool_plan(fleet, "enable", pool_name, options, lanes=lanes, policy=policy)


def find_pool(fleet: Fleet, name: str) -> Pool:
    """Return a pool by its name.

    Raises:
        UsageError: there is none of that name.
    """
    pool = fleet.pools.get(name)
    if pool is None:
        raise UsageError(f"there is no pool {shown(name)}{nearest(name, fleet.pools)}")
    return pool


def check_used(fleet: Fleet, options: Options, used: set[str]) -> None:
    """Refuse a variable that nothing uses: a slip would else roll out the default.

    Raises:
        UsageError: a variable that was set is neither used by the job nor in the file's `vars`.
    """
    check_vars(options.vars)
    for name in options.vars:
        if name not in used and name not in fleet.vars:
            raise UsageError(
                f"--set {name}: nothing in this job uses {{{name}}}"
                f"{nearest(name, used | fleet.vars.keys())}"
            )


def lane(
    fleet: Fleet, pool: Pool, host: str, *, steps: list[StepSpec], back: list[BackStep]
) -> LaneSpec:
    """Make a host's lane, with the leases of the host and of the VRRP pairs it is in.

    A pair's lease holds on both members, so the other one learns its number too.
    """
    return LaneSpec(
        host=host,
        site=fleet.hosts[host].site,
        leases=[f"host:{host}", *(f"pair:{pair}" for pair in fleet.pairs_of(host))],
        touches=[*_needed(fleet, pool, [host])],
        steps=steps,
        back=back,
    )


def drain_step(fleet: Fleet, pool: Pool, host: str, options: Options) -> StepSpec:
    """Make the step that takes a host's server out on all balancers."""
    params = Drain(
        balancers=_balancers(fleet, pool),
        targets=_targets(pool, host),
        timeout=pool.drain.timeout,
        on_timeout=pool.drain.on_timeout,
        min_available=pool.policy.min_available,
        count_backup=pool.policy.count_backup,
        include_maintenance=options.include_maintenance,
    )
    return StepSpec.of("haproxy.drain", params, f"drain {_where(pool, host)}")


def enable_step(fleet: Fleet, pool: Pool, host: str) -> StepSpec:
    """Make the step that brings a host's server back on all balancers."""
    params = Enable(
        balancers=_balancers(fleet, pool),
        targets=_targets(pool, host),
        weights=pool.enable.weights,
        stable=pool.enable.stable,
        timeout=pool.enable.timeout,
    )
    return StepSpec.of("haproxy.enable", params, f"enable {_where(pool, host)}")


def pool_plan(
    fleet: Fleet,
    job: str,
    pool_name: str,
    options: Options,
    *,
    lanes: Sequence[LaneSpec],
    policy: Policy,
) -> Plan:
    """Put gates before the lanes, and the machines beside them."""
    pool = fleet.pools[pool_name]
    hosts = host_specs(fleet, _needed(fleet, pool, [lane.host for lane in lanes]))
    sites: dict[str | None, list[str]] = {}
    for each in lanes:
        sites.setdefault(each.site, []).append(each.host)
    gates = []
    for site, members in sites.items():
        name = GATE if len(sites) == 1 else f"{GATE}.{site or 'default'}"
        first = hosts[pool.balancers[0]]
        hosts[name] = HostSpec(**{**dict(first), "name": name, "site": site})
        step = _check_step(fleet, pool, members, options, takes_out=job != "enable")
        gates.append(LaneSpec(host=name, site=site, leases=[], touches=[], steps=[step], gate=True))
    return Plan(
        job=job,
        target=pool_name,
        vars={**fleet.vars, **options.vars},
        hosts=hosts,
        lanes=[*gates, *lanes],
        policy=policy,
    )


def _check_step(
    fleet: Fleet, pool: Pool, members: list[str], options: Options, *, takes_out: bool
) -> StepSpec:
    """Make the step that checks all that the lanes of one site are going to need."""
    params = CheckPool(
        balancers=_balancers(fleet, pool),
        targets=[target for host in members for target in _targets(pool, host)],
        hosts=[*_needed(fleet, pool, members)],
        min_available=pool.policy.min_available,
        count_backup=pool.policy.count_backup,
        include_maintenance=options.include_maintenance,
        takes_out=takes_out,
    )
    count = "1 server" if len(members) == 1 else f"{len(members)} servers"
    summary = f"check {count} of {', '.join(pool.backends)} on {', '.join(pool.balancers)}"
    return StepSpec.of("haproxy.check_pool", params, summary)


def _needed(fleet: Fleet, pool: Pool, hosts: Sequence[str]) -> Iterable[str]:
    """Return every machine that lanes of these hosts need, each once."""
    partners = (
        member
        for host in hosts
        for pair in fleet.pairs_of(host)
        for member in fleet.pairs[pair].members
    )
    return dict.fromkeys([*pool.balancers, *hosts, *partners])


def _balancers(fleet: Fleet, pool: Pool) -> list[Balancer]:
    return [
        Balancer(
            host=name,
            sockets=fleet.balancers[name].sockets,
            master_socket=fleet.balancers[name].master_socket,
        )
        for name in pool.balancers
    ]


def _targets(pool: Pool, host: str) -> list[Target]:
    server = pool.server_name(host)
    return [Target(backend=backend, server=server) for backend in pool.backends]


def _where(pool: Pool, host: str) -> str:
    targets = ", ".join(str(target) for target in _targets(pool, host))
    return f"{targets} on {', '.join(pool.balancers)}"
