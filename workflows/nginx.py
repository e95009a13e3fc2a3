"""Upgrade nginx's binary in place over a group, and bring the old one back.

    preflight → stage → upgrade_executable → verify → shutdown_workers → soak → quit → verify

With `drain: true` a host is out of its pools while its processes change, from before `stage` until
the new workers serve alone. The soak then has its share of the traffic, which is what it is for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from worker.errors import UsageError
from worker.plan import HostSpec, LaneSpec, Plan, Policy, StepSpec
from workflows.hosts import host_specs
from workflows.hours import windows_of
from workflows.model import Fleet
from workflows.nginx_drain import pools_of
from workflows.nginx_gates import fetch_step, gate_steps, preflight_step, rollback_step
from workflows.nginx_lanes import instance_of, rollback_lane, upgrade_lane
from workflows.nginx_options import source_of
from workflows.options import Options, check_option
from workflows.policy import room, stage_numbers
from workflows.pool import check_used
from workflows.problems import nearest
from workflows.references import GATE
from workflows.sections import Nginx
from workflows.templates import variables_in
from workflows.values import count_of, shown

# What a gate does last: for a site, its hosts, and whether those are all.
Prepare = Callable[[str | None, list[str], bool], list[StepSpec]]


def plan_nginx_upgrade(fleet: Fleet, group_name: str, options: Options) -> Plan:
    """Plan to replace the binary of a group's nginx under load.

    Raises:
        UsageError: an unknown group or host, not exactly one source of the binary, a file that is
            none, or hosts that cannot be drained.
        Refused: a pool has too few servers for one to be drained.
    """
    group = find_group(fleet, group_name)
    hosts = select_hosts(group_name, group, options)
    source = source_of(options.nginx)
    known = {} if source.version is None else {"version": source.version}
    if source.kind == "package":
        known = {"version": options.nginx.package or ""}
    variables = {**fleet.vars, **known, **options.vars}
    _check_vars(fleet, group, options)

    def prepare(site: str | None, members: list[str], _all: bool) -> list[StepSpec]:
        instances = [instance_of(fleet, group_name, host) for host in members]
        return [
            fetch_step(fleet, site, instances, source, options.nginx),
            preflight_step(instances, source, options.nginx),
        ]

    lanes = [upgrade_lane(fleet, group_name, host, source, variables, options) for host in hosts]
    return _plan(fleet, "nginx.upgrade", group_name, options, lanes, prepare, variables=variables)


def plan_nginx_rollback(fleet: Fleet, group_name: str, options: Options) -> Plan:
    """Plan to bring the old nginx back, from whatever phase each host is in.

    Raises:
        UsageError: an unknown group or host, or hosts that cannot be drained.
        Refused: a pool has too few servers for one to be drained.
    """
    group = find_group(fleet, group_name)
    hosts = select_hosts(group_name, group, options)
    _check_vars(fleet, group, options)
    lanes = [rollback_lane(fleet, group_name, host, options) for host in hosts]

    def prepare(_site: str | None, members: list[str], all_: bool) -> list[StepSpec]:
        instances = [instance_of(fleet, group_name, host) for host in members]
        return [rollback_step(instances, options.nginx, all_=all_)]

    return _plan(fleet, "nginx.rollback", group_name, options, lanes, prepare)


def find_group(fleet: Fleet, name: str) -> Nginx:
    """Return a group by its name.

    Raises:
        UsageError: there is none of that name.
    """
    group = fleet.nginx.get(name)
    if group is None:
        raise UsageError(f"there is no nginx group {shown(name)}{nearest(name, fleet.nginx)}")
    return group


def select_hosts(name: str, group: Nginx, options: Options) -> list[str]:
    """Choose the hosts of a group that a job is about, in the file's order.

    Raises:
        UsageError: a name is not in the group, or nothing is left.
    """
    for option, names in (("--limit", options.limit), ("--exclude", options.exclude)):
        for host in names:
            if host not in group.hosts:
                raise UsageError(
                    f"{option}: {shown(host)} is not in nginx group {name}"
                    f"{nearest(host, group.hosts)}"
                )
    wanted = set(options.limit or group.hosts) - set(options.exclude)
    chosen = [host for host in group.hosts if host in wanted]
    if not chosen:
        raise UsageError(f"nginx group {name}: --limit and --exclude leave no host; nothing to do")
    return chosen


def _plan(
    fleet: Fleet,
    job: str,
    group_name: str,
    options: Options,
    lanes: list[LaneSpec],
    prepare: Prepare,
    *,
    variables: dict[str, str] | None = None,
) -> Plan:
    """Put a gate for each site before the lanes, and the machines beside them."""
    group = fleet.nginx[group_name]
    sites: dict[str | None, list[str]] = {}
    for each in lanes:
        sites.setdefault(each.site, []).append(each.host)
    builders = [] if options.nginx.build_host is None else [options.nginx.build_host]
    touched = [name for each in lanes for name in each.touches]
    hosts = host_specs(fleet, dict.fromkeys([*touched, *builders]))
    gates = []
    for site, members in sites.items():
        name = GATE if len(sites) == 1 else f"{GATE}.{site or 'default'}"
        hosts[name] = HostSpec(**{**dict(hosts[members[0]]), "name": name, "site": site})
        needed = [n for each in lanes if each.host in members for n in each.touches]
        steps = gate_steps(fleet, group, group_name, members, [*needed, *builders], options)
        steps += prepare(site, members, len(sites) == 1)
        gates.append(LaneSpec(host=name, site=site, leases=[], touches=[], steps=steps, gate=True))
    return Plan(
        job=job,
        target=group_name,
        vars={**fleet.vars, **options.vars} if variables is None else variables,
        hosts=hosts,
        lanes=[*gates, *lanes],
        policy=_policy(fleet, group, [lane.host for lane in lanes], options, job),
    )


def _policy(fleet: Fleet, group: Nginx, hosts: Sequence[str], options: Options, job: str) -> Policy:
    policy = group.policy
    wanted = options.max_unavailable or policy.max_unavailable
    at_once = max(
        1, count_of(check_option("--max-unavailable", wanted), len(group.hosts), up=False)
    )
    if group.drain:
        rooms = [room(fleet.pools[pool]) for host in hosts for pool in pools_of(fleet, host)]
        at_once = max(1, min([at_once, *rooms]))
    stages = policy.stages if options.stages is None else options.stages
    return Policy(
        max_unavailable=at_once,
        stages=stage_numbers([check_option("--stages", stage) for stage in stages], len(hosts)),
        max_failures=count_of(policy.max_failures, len(hosts), up=False),
        on_failure=policy.on_failure if job == "nginx.upgrade" else "stop",
        lock_wait=policy.lock_wait,
        windows=windows_of(policy.windows) if job == "nginx.upgrade" else [],
    )


def _check_vars(fleet: Fleet, group: Nginx, options: Options) -> None:
    used = variables_in([check.model_dump() for check in group.verify])
    check_used(fleet, options, used)
