"""Reload HAProxy: check → save state → swap → reload → see that the state is there → verify."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from pydantic import ValidationError

from tasks.haproxy import params as haproxy
from worker.errors import UsageError
from worker.plan import BackStep, HostSpec, LaneSpec, Plan, Policy, StepSpec
from workflows.deploying import lasting, verify_params, verify_step
from workflows.hosts import host_specs
from workflows.model import Fleet
from workflows.options import Options, check_option, words
from workflows.pair_steps import guard_steps, own_values
from workflows.policy import stage_numbers
from workflows.pool import check_used
from workflows.problems import nearest
from workflows.references import GATE
from workflows.values import count_of, shown


def plan_reload(fleet: Fleet, target: str, options: Options) -> Plan:
    """Plan to reload balancers, one after the other. `target`: one name, or several with commas.

    With `options.haproxy.config` a new configuration is installed on each; without it, they read
    what is on their disks.

    Raises:
        UsageError: an unknown balancer, one whose master's socket is not known, or a file that
            cannot be read.
    """
    names = _choose(fleet, target, options)
    check_used(fleet, options, set())
    content = options.haproxy.content()
    lanes = [_lane(fleet, name, options, content) for name in names]
    hosts = host_specs(fleet, dict.fromkeys(host for lane in lanes for host in lane.touches))
    wanted = options.max_unavailable or "1"
    check_option("--max-unavailable", wanted)
    stages = [check_option("--stages", stage) for stage in options.stages or ()]
    return Plan(
        job="haproxy.reload",
        target=",".join(names),
        vars={**fleet.vars, **options.vars},
        hosts=hosts,
        lanes=[*_gates(fleet, names, options, content, hosts), *lanes],
        policy=Policy(
            max_unavailable=max(1, count_of(wanted, len(names), up=False)),
            stages=stage_numbers(stages, len(names)),
            max_failures=0,
            on_failure="rollback",
        ),
    )


def haproxy_state_steps(fleet: Fleet, host: str) -> tuple[list[StepSpec], list[StepSpec]]:
    """Make the steps before and after a restart of a host's HAProxy that keep its servers' states.

    None for a host that is no balancer, or whose master's socket the fleet file does not name. The
    lane needs `balancer_leases` too.
    """
    balancer = fleet.balancers.get(host)
    if balancer is None or balancer.master_socket is None:
        return [], []
    return [_save_step(fleet, host)], [_restore_step(fleet, host)]


def balancer_leases(fleet: Fleet, host: str) -> list[str]:
    """The lease of a host's HAProxy, if there is one; others' commands to it wait for its lock."""
    return [f"balancer:{host}"] if host in fleet.balancers else []


def _choose(fleet: Fleet, target: str, options: Options) -> list[str]:
    named = words([target])
    if not named:
        raise UsageError("name a balancer of the fleet file")
    for name in named:
        if name not in fleet.balancers:
            known = nearest(name, fleet.balancers)
            raise UsageError(f"there is no balancer {shown(name)}{known}")
    for option, hosts in (("--limit", options.limit), ("--exclude", options.exclude)):
        for host in hosts:
            if host not in named:
                raise UsageError(f"{option}: {shown(host)} is none of {', '.join(named)}")
    wanted = set(options.limit or named) - set(options.exclude)
    chosen = [name for name in named if name in wanted]
    if not chosen:
        raise UsageError("--limit and --exclude leave no balancer; nothing to do")
    for name in chosen:
        if fleet.balancers[name].master_socket is None:
            raise UsageError(
                f"balancers.{name} has no master_socket: a reload is proven by what the master "
                "says; name the path given to `haproxy -S` (Debian: /run/haproxy-master.sock)"
            )
    return chosen


def _lane(fleet: Fleet, name: str, options: Options, content: bytes | None) -> LaneSpec:
    instance = _instance(fleet, name, options)
    new = {
        "source": None if content is None else str(options.haproxy.config),
        "sha256": None if content is None else hashlib.sha256(content).hexdigest(),
    }
    what = ", ".join(fleet.balancers[name].config)
    steps = [
        *guard_steps(fleet, name),
        _preflight_step(fleet, name, options, content, mends=True),
        _save_step(fleet, name),
        StepSpec.of(
            "haproxy.install_config",
            _params(haproxy.InstallConfig, name, {**instance, **new}),
            f"check {what}" if content is None else f"install {_target(fleet, name, options)}",
        ),
        StepSpec.of(
            "haproxy.reload", _params(haproxy.Reload, name, instance), f"reload HAProxy on {name}"
        ),
        _restore_step(fleet, name),
    ]
    verify = _verify_step(fleet, name)
    steps += verify
    pairs = fleet.pairs_of(name)
    partners = [member for pair in pairs for member in fleet.pairs[pair].members]
    return LaneSpec(
        host=name,
        site=fleet.hosts[name].site,
        leases=[*balancer_leases(fleet, name), f"host:{name}", *(f"pair:{p}" for p in pairs)],
        touches=[*dict.fromkeys([name, *partners])],
        steps=steps,
        back=[] if content is None else _way_back(name, instance, verify),
    )


def _way_back(
    name: str, instance: Mapping[str, object], verify: Sequence[StepSpec]
) -> list[BackStep]:
    """The old file, and a reload that reads it. Without a new file there is nothing to go back to:
    HAProxy goes on with the worker that it has."""
    old = _params(haproxy.InstallConfig, name, instance)
    again = _params(haproxy.Reload, name, {**instance, "back": True})
    return [
        BackStep(
            step=StepSpec.of("haproxy.restore_config", old, "put the old configuration back"),
            undoes=["haproxy.install_config"],
        ),
        BackStep(
            step=StepSpec.of("haproxy.reload", again, f"reload HAProxy on {name} with it"),
            undoes=["haproxy.reload"],
        ),
        *(BackStep(step=step, undoes=["haproxy.reload"]) for step in verify),
    ]


def _gates(
    fleet: Fleet,
    names: Sequence[str],
    options: Options,
    content: bytes | None,
    hosts: dict[str, HostSpec],
) -> list[LaneSpec]:
    """Look at all balancers before the first is touched; a single one looks for itself."""
    if len(names) == 1:
        return []
    sites: dict[str | None, list[str]] = {}
    for name in names:
        sites.setdefault(fleet.hosts[name].site, []).append(name)
    gates = []
    for site, members in sites.items():
        gate = GATE if len(sites) == 1 else f"{GATE}.{site or 'default'}"
        hosts[gate] = HostSpec(**{**dict(hosts[members[0]]), "name": gate, "site": site})
        steps = [_preflight_step(fleet, m, options, content, mends=False) for m in members]
        gates.append(LaneSpec(host=gate, site=site, leases=[], touches=[], steps=steps, gate=True))
    return gates


def _preflight_step(
    fleet: Fleet, name: str, options: Options, content: bytes | None, *, mends: bool
) -> StepSpec:
    size = None if content is None else len(content)
    values = {**_instance(fleet, name, options), "candidate": size, "mends": mends}
    params = _params(haproxy.ReloadPreflight, name, values)
    return StepSpec.of("haproxy.preflight", params, f"see that HAProxy on {name} can be reloaded")


def _save_step(fleet: Fleet, name: str) -> StepSpec:
    params = haproxy.SaveState(balancer=_balancer(fleet, name))
    return StepSpec.of("haproxy.save_state", params, f"save the servers' states of {name}")


def _restore_step(fleet: Fleet, name: str) -> StepSpec:
    params = haproxy.RestoreState(balancer=_balancer(fleet, name))
    return StepSpec.of("haproxy.restore_state", params, f"see that {name} has the states again")


def _verify_step(fleet: Fleet, name: str) -> list[StepSpec]:
    """The balancer's own probes; else those of its pairs that hold for any version."""
    balancer = fleet.balancers[name]
    sections = [(("balancers", name, "verify"), lasting(balancer.verify))]
    if not balancer.verify:
        sections = [
            (("pairs", pair, "verify"), lasting(fleet.pairs[pair].verify))
            for pair in fleet.pairs_of(name)
        ]
    values = own_values(fleet, name)
    return [
        verify_step(verify_params(fleet, at, checks, values)) for at, checks in sections if checks
    ]


def _target(fleet: Fleet, name: str, options: Options) -> str:
    return options.haproxy.replaces or fleet.balancers[name].config[0]


def _instance(fleet: Fleet, name: str, options: Options) -> dict[str, object]:
    balancer = fleet.balancers[name]
    return {
        "balancer": _balancer(fleet, name),
        "unit": balancer.unit,
        "config": balancer.config,
        "replaces": options.haproxy.replaces,
    }


def _balancer(fleet: Fleet, name: str) -> haproxy.Balancer:
    balancer = fleet.balancers[name]
    return haproxy.Balancer(
        host=name, sockets=balancer.sockets, master_socket=balancer.master_socket
    )


def _params(
    kind: type[haproxy.OfInstance], name: str, values: Mapping[str, object]
) -> haproxy.OfInstance:
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(
            f"balancers.{name}: {'.'.join(map(str, first['loc']))}: {first['msg']} "
            f"(it is {shown(str(first['input']))})"
        ) from None
