"""Jobs on VRRP pairs: one member after the other, never both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from worker.errors import UsageError
from worker.plan import BackStep, HostSpec, LaneSpec, Plan, Policy, StepSpec
from worker.windows import Window
from workflows.deploying import (
    lasting,
    redeploy_params,
    redeploy_step,
    restore_step,
    verify_params,
    verify_step,
)
from workflows.hosts import host_specs
from workflows.hours import windows_of
from workflows.model import Fleet
from workflows.options import Options, check_option, words
from workflows.pair_steps import (
    guard_steps,
    own_values,
    preflight_step,
    prepare_step,
    rejoin_step,
    yield_step,
)
from workflows.policy import stage_numbers
from workflows.pool import check_used
from workflows.problems import nearest
from workflows.references import GATE
from workflows.reload import balancer_leases, haproxy_state_steps
from workflows.sections import Pair
from workflows.templates import variables_in
from workflows.values import count_of, shown

__all__ = [
    "find_pairs",
    "guard_steps",
    "plan_pair_failback",
    "plan_pair_failover",
    "plan_pair_prepare",
    "plan_pair_unprepare",
    "plan_pair_upgrade",
]


def plan_pair_upgrade(fleet: Fleet, target: str, options: Options) -> Plan:
    """Plan to upgrade both members of pairs: the one that is BACKUP first.

    `target`: one pair, or several with commas; `options.stages` count pairs. `options.first`: the
    hosts that are BACKUP now; without it, those that are home to fewer addresses. Whoever comes
    first and holds an address gives it up before it is touched, so that the order is never a
    danger.

    Raises:
        UsageError: an unknown pair or host, a pair without `redeploy`, a variable without a value,
            pairs with different windows.
    """
    pairs = find_pairs(fleet, target)
    chosen = _choose(pairs, options)
    used: set[str] = set()
    for name, pair in pairs.items():
        if pair.redeploy is None:
            raise UsageError(
                f"pair {name} has no redeploy: say under pairs.{name}.redeploy how a member gets "
                "its new version (docker, package, systemd, release or command)"
            )
        data = [pair.redeploy.model_dump(), [check.model_dump() for check in pair.verify]]
        used |= variables_in(data)
    check_used(fleet, options, used)
    rounds: list[list[LaneSpec]] = []
    names = list(pairs)
    done = 0
    for together in stage_numbers(options.stages or (), len(names)) or [len(names)]:
        rounds += [[], []]
        for name in names[done:together]:
            for number, host in enumerate(chosen[name]):
                rounds[number - 2].append(_upgrade_lane(fleet, name, host, options))
        done = together
    plan = _plan(fleet, "pair.upgrade", target, options, chosen, rounds)
    windows = _common_windows(pairs)
    return plan.model_copy(update={"policy": plan.policy.model_copy(update={"windows": windows})})


def plan_pair_failover(fleet: Fleet, target: str, options: Options) -> Plan:
    """Plan that a member gives up what it holds: that of `options.limit`, else the home of all.

    Raises:
        UsageError: an unknown pair or host; or it is not clear who is meant.
    """
    pairs = find_pairs(fleet, target)
    check_used(fleet, options, set())
    chosen = _one_each(pairs, options, "gives up what it holds")
    lanes = [
        _lane(
            fleet,
            host,
            [
                preflight_step(fleet, name, [host], holding=not options.limit),
                yield_step(fleet, name, host),
            ],
            [BackStep(step=rejoin_step(fleet, name, host), undoes=["vrrp.yield"])],
        )
        for name, (host,) in chosen.items()
    ]
    return _plan(fleet, "pair.failover", target, options, chosen, [lanes])


def plan_pair_failback(fleet: Fleet, target: str, options: Options) -> Plan:
    """Plan that members take their places again, whoever has made them give those up.

    Raises:
        UsageError: an unknown pair or host.
    """
    pairs = find_pairs(fleet, target)
    check_used(fleet, options, set())
    chosen = _choose(pairs, options)
    rounds: list[list[LaneSpec]] = [[], []]
    for name in pairs:
        for number, host in enumerate(chosen[name]):
            step = rejoin_step(fleet, name, host, anyway=True)
            rounds[number].append(_lane(fleet, host, [step], []))
    return _plan(fleet, "pair.failback", target, options, {}, rounds)


def plan_pair_prepare(fleet: Fleet, target: str, options: Options) -> Plan:
    """Plan to let the members' keepalived watch a track_file, the graceful way to a failover.

    Raises:
        UsageError: an unknown pair or host.
    """
    return _plan_prepare(fleet, "pair.prepare", target, options, remove=False)


def plan_pair_unprepare(fleet: Fleet, target: str, options: Options) -> Plan:
    """Plan to remove what `plan_pair_prepare` has added.

    Raises:
        UsageError: an unknown pair or host.
    """
    return _plan_prepare(fleet, "pair.unprepare", target, options, remove=True)


def _plan_prepare(fleet: Fleet, job: str, target: str, options: Options, *, remove: bool) -> Plan:
    pairs = find_pairs(fleet, target)
    check_used(fleet, options, set())
    chosen = _choose(pairs, options)
    rounds: list[list[LaneSpec]] = [[], []]
    for name in pairs:
        for number, host in enumerate(chosen[name]):
            undo = prepare_step(fleet, name, remove=not remove)
            back = [BackStep(step=undo, undoes=["vrrp.prepare"])]
            lane = _lane(fleet, host, [prepare_step(fleet, name, remove=remove)], back)
            rounds[number].append(lane)
    return _plan(fleet, job, target, options, chosen, rounds)


def find_pairs(fleet: Fleet, target: str) -> dict[str, Pair]:
    """Return pairs by their names, separated by commas.

    Raises:
        UsageError: there is none of a name, or two of them share a host.
    """
    names = words([target])
    if not names:
        raise UsageError("name a pair of the fleet file")
    for name in names:
        if name not in fleet.pairs:
            raise UsageError(f"there is no pair {shown(name)}{nearest(name, fleet.pairs)}")
    pairs = {name: fleet.pairs[name] for name in names}
    seen: dict[str, str] = {}
    for name, pair in pairs.items():
        for member in pair.members:
            if member in seen:
                raise UsageError(
                    f"{member} is a member of both {seen[member]} and {name}: do one pair at a time"
                )
            seen[member] = name
    return pairs


def _choose(pairs: Mapping[str, Pair], options: Options) -> dict[str, list[str]]:
    """Choose the members of each pair, in the order in which they are taken."""
    known = [member for pair in pairs.values() for member in pair.members]
    for option, names in (("--limit", options.limit), ("--exclude", options.exclude)):
        for host in names:
            if host not in known:
                raise UsageError(
                    f"{option}: {shown(host)} is no member of {', '.join(pairs)}"
                    f"{nearest(host, known)}"
                )
    wanted = set(options.limit or known) - set(options.exclude)
    chosen = {
        name: [m for m in _in_order(pair, options.first) if m in wanted]
        for name, pair in pairs.items()
    }
    if not any(chosen.values()):
        raise UsageError("--limit and --exclude leave no host; nothing to do")
    return {name: members for name, members in chosen.items() if members}


def _in_order(pair: Pair, first: Sequence[str]) -> list[str]:
    homes = [address.home for address in pair.addresses]
    return sorted(pair.members, key=lambda m: (m not in first, homes.count(m)))


def _one_each(pairs: Mapping[str, Pair], options: Options, what: str) -> dict[str, list[str]]:
    chosen = _choose(pairs, options)
    found: dict[str, list[str]] = {}
    for name, members in chosen.items():
        homes = {address.home for address in pairs[name].addresses} & set(members)
        if len(members) == 1:
            found[name] = members
        elif len(homes) == 1:
            found[name] = [*homes]
        else:
            raise UsageError(
                f"pair {name}: {' and '.join(members)} hold addresses: say which one {what}, such "
                f"as 'pair failover {name} {members[0]}'"
            )
    return found


def _upgrade_lane(fleet: Fleet, name: str, host: str, options: Options) -> LaneSpec:
    pair = fleet.pairs[name]
    at = ("pairs", name)
    values = own_values(fleet, host, options.vars)
    if pair.redeploy is None:
        raise UsageError(f"pair {name} has no redeploy")
    deploy = redeploy_params(fleet, (*at, "redeploy"), pair.redeploy, values)
    away, rejoin = yield_step(fleet, name, host), rejoin_step(fleet, name, host)
    # Whatever is redeployed may restart HAProxy, which forgets what was drained, or keepalived,
    # which forgets that it was to stay away.
    save, restore = haproxy_state_steps(fleet, host)
    steps = [preflight_step(fleet, name, [host]), away]
    steps += [*save, redeploy_step(deploy), away, *restore]
    if pair.verify:
        steps.append(verify_step(verify_params(fleet, (*at, "verify"), pair.verify, values)))
    steps.append(rejoin)
    # A member that has taken its place again gives it up before it is put back.
    back = [
        BackStep(step=away, undoes=["vrrp.rejoin"]),
        BackStep(step=restore_step(deploy), undoes=["deploy.redeploy"]),
        BackStep(step=away, undoes=["deploy.redeploy"]),
        *(BackStep(step=step, undoes=["deploy.redeploy"]) for step in restore),
    ]
    old = lasting(pair.verify)
    if old:
        verify = verify_step(verify_params(fleet, (*at, "verify"), old, values))
        back.append(BackStep(step=verify, undoes=["deploy.redeploy"]))
    back.append(BackStep(step=rejoin, undoes=["vrrp.yield", "vrrp.rejoin"]))
    return _lane(fleet, host, steps, back, balancer_leases(fleet, host))


def _lane(
    fleet: Fleet,
    host: str,
    steps: list[StepSpec],
    back: list[BackStep],
    leases: Sequence[str] = (),
) -> LaneSpec:
    """Make a member's lane. Its pairs' leases hold on the other members too."""
    pairs = fleet.pairs_of(host)
    partners = (member for pair in pairs for member in fleet.pairs[pair].members)
    return LaneSpec(
        host=host,
        site=fleet.hosts[host].site,
        leases=[f"host:{host}", *(f"pair:{pair}" for pair in pairs), *leases],
        touches=[*dict.fromkeys([host, *partners])],
        steps=steps,
        back=back,
    )


def _plan(
    fleet: Fleet,
    job: str,
    target: str,
    options: Options,
    checked: Mapping[str, Sequence[str]],
    rounds: Sequence[Sequence[LaneSpec]],
) -> Plan:
    """Put the rounds one after the other, and gates before them.

    All pairs go at once; no second member starts before all first ones are done.
    """
    lanes = [lane for lanes in rounds for lane in lanes]
    hosts = host_specs(fleet, _each_once(name for lane in lanes for name in lane.touches))
    count = max(len(lanes) for lanes in rounds)
    wanted = options.max_unavailable
    if wanted is not None:
        check_option("--max-unavailable", wanted)
        count = min(count, max(1, count_of(wanted, count, up=False)))
    stages: list[int] = []
    for each in rounds:
        if each:
            stages.append(len(each) + (stages[-1] if stages else 0))
    return Plan(
        job=job,
        target=target,
        vars={**fleet.vars, **options.vars},
        hosts=hosts,
        lanes=[*_gates(fleet, checked, hosts), *lanes],
        policy=Policy(max_unavailable=count, stages=stages, max_failures=0, on_failure="rollback"),
    )


def _common_windows(pairs: Mapping[str, Pair]) -> list[Window]:
    (first, pair), *others = pairs.items()
    for name, other in others:
        if other.policy.windows != pair.policy.windows:
            raise UsageError(
                f"pairs {first} and {name} have different windows: upgrade each by itself"
            )
    return windows_of(pair.policy.windows)


def _gates(
    fleet: Fleet, checked: Mapping[str, Sequence[str]], hosts: dict[str, HostSpec]
) -> list[LaneSpec]:
    """Make a gate a site: nothing is touched before every pair is known to be well."""
    sites: dict[str | None, list[str]] = {}
    for name, members in checked.items():
        sites.setdefault(fleet.hosts[members[0]].site, []).append(name)
    gates = []
    for site, names in sites.items():
        name = GATE if len(sites) == 1 else f"{GATE}.{site or 'default'}"
        first = hosts[checked[names[0]][0]]
        hosts[name] = HostSpec(**{**dict(first), "name": name, "site": site})
        steps = [preflight_step(fleet, pair, checked[pair]) for pair in names]
        gates.append(LaneSpec(host=name, site=site, leases=[], touches=[], steps=steps, gate=True))
    return gates


def _each_once(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
