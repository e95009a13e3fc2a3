"""The VRRP steps of a pair, from the fleet file's words."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from tasks.keepalived import params as vrrp
from tasks.probe import params as probe
from worker.plan import StepSpec
from workflows.deploying import lasting, verify_params
from workflows.deployments import Check
from workflows.model import Fleet
from workflows.templates import variables_in

_NAME, _ADDRESS = "name", "address"


def guard_steps(fleet: Fleet, host: str) -> list[StepSpec]:
    """Make the steps that must pass before anything is done to a host that is in VRRP pairs."""
    return [preflight_step(fleet, pair, [host]) for pair in fleet.pairs_of(host)]


def preflight_step(
    fleet: Fleet, pair: str, members: Sequence[str], *, holding: bool = False
) -> StepSpec:
    """Make the step that sees whether members can be taken out, one after the other.

    `holding`: they must hold something, or it is not clear who is meant.
    """
    params = vrrp.Preflight(
        pair=pair_params(fleet, pair),
        members=list(members),
        services=services(fleet, pair),
        holding=holding,
    )
    peers = ", ".join(params.pair.peer(member) for member in members)
    return StepSpec.of("vrrp.preflight", params, f"see that {peers} can hold {_ips(params.pair)}")


def yield_step(fleet: Fleet, pair: str, host: str) -> StepSpec:
    """Make the step by which a host gives up what it holds of a pair."""
    params = vrrp.Yield(
        pair=pair_params(fleet, pair), services=services(fleet, pair), answers=answers(fleet, pair)
    )
    other = params.pair.peer(host)
    return StepSpec.of("vrrp.yield", params, f"let {other} hold {_ips(params.pair)}")


def rejoin_step(fleet: Fleet, pair: str, host: str, *, anyway: bool = False) -> StepSpec:
    """Make the step that undoes `yield_step`; `anyway`: also what another run has done."""
    params = vrrp.Rejoin(pair=pair_params(fleet, pair), answers=answers(fleet, pair), anyway=anyway)
    return StepSpec.of("vrrp.rejoin", params, f"let {host} take its place in {pair} again")


def prepare_step(fleet: Fleet, pair: str, *, remove: bool) -> StepSpec:
    """Make the step that adds (or removes) the lines for a track_file."""
    params = vrrp.Prepare(pair=pair_params(fleet, pair), remove=remove)
    file = params.pair.track_file or vrrp.DEFAULT_TRACK_FILE
    what = "remove the lines that watch" if remove else "let keepalived watch"
    return StepSpec.of("vrrp.prepare", params, f"{what} {file}")


def pair_params(fleet: Fleet, name: str) -> vrrp.Pair:
    """Describe a pair."""
    pair = fleet.pairs[name]
    first, second = pair.members
    return vrrp.Pair(
        name=name,
        members=(first, second),
        addresses=[
            vrrp.Address(ip=a.ip, interface=a.interface, router_id=a.router_id, home=a.home)
            for a in pair.addresses
        ],
        advert_interval=pair.advert_interval,
        track_file=pair.track_file,
    )


def services(fleet: Fleet, name: str) -> dict[str, list[probe.Check]]:
    """By member, the probes of its service on its own address that hold for any version.

    Without any, a balancer's unit must at least be active.
    """
    pair = fleet.pairs[name]
    old = lasting(pair.verify)
    found: dict[str, list[probe.Check]] = {}
    for member in pair.members:
        at = ("pairs", name, "verify")
        checks = verify_params(fleet, at, old, own_values(fleet, member)).checks if old else []
        balancer = fleet.balancers.get(member)
        if not checks and balancer is not None:
            active = f"systemctl is-active {shlex.quote(balancer.unit)}"
            checks = [probe.Check(command=probe.CommandProbe(run=active))]
        found[member] = checks
    return found


def answers(fleet: Fleet, name: str) -> list[vrrp.AddressCheck]:
    """The pair's probes, made at each of its addresses instead of a member's own."""
    pair = fleet.pairs[name]
    at = ("pairs", name, "verify")
    kept = [check for check in lasting(pair.verify) if _is_of_address(check)]
    found = []
    for address in pair.addresses:
        values = {**fleet.vars, _ADDRESS: address.ip}
        for check in verify_params(fleet, at, kept, values).checks:
            found.append(vrrp.AddressCheck(ip=address.ip, check=_moved(check, address.ip)))
    return found


def _moved(check: probe.Check, ip: str) -> probe.Check:
    if check.tcp is None:
        return check
    return probe.Check(tcp=probe.Tcp.model_validate({**check.tcp.model_dump(), "address": ip}))


def _is_of_address(check: Check) -> bool:
    """Whether a check follows {address}, so that it can be made elsewhere too."""
    used = variables_in(check.model_dump())
    if _NAME in used:
        return False
    if check.tcp is not None:
        return check.tcp.address is None or _ADDRESS in used
    return check.http is not None and _ADDRESS in used


def own_values(fleet: Fleet, host: str, given: Mapping[str, str] | None = None) -> dict[str, str]:
    """The values of the variables on one host."""
    own = {_ADDRESS: fleet.hosts[host].address, _NAME: host}
    return {**fleet.vars, **(given or {}), **own}


def _ips(pair: vrrp.Pair) -> str:
    return ", ".join(address.ip for address in pair.addresses)
