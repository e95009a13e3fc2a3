"""How to reach the machines of a plan, jump hosts among them."""

from __future__ import annotations

from collections.abc import Iterable

from worker.plan import HostSpec, SshSpec
from workflows.model import Fleet
from workflows.sections import Ssh


def host_specs(fleet: Fleet, names: Iterable[str]) -> dict[str, HostSpec]:
    """Describe hosts of the fleet, and every host that is passed through on the way to them."""
    specs: dict[str, HostSpec] = {}
    pending = list(names)
    exempt = _way_to_common_jump(fleet)
    while pending:
        name = pending.pop(0)
        if name in specs:
            continue
        specs[name] = spec = _spec(fleet, name, inherits_jump=name not in exempt)
        if spec.ssh.jump is not None:
            pending.append(spec.ssh.jump)
    return specs


def _way_to_common_jump(fleet: Fleet) -> set[str]:
    """Return the hosts that the common jump itself needs: they cannot inherit it."""
    exempt: set[str] = set()
    name = fleet.ssh.jump
    while name is not None and name not in exempt:
        exempt.add(name)
        name = fleet.hosts[name].ssh.jump if name in fleet.hosts else None
    return exempt


def _spec(fleet: Fleet, name: str, *, inherits_jump: bool) -> HostSpec:
    host = fleet.hosts.get(name)
    if host is None:  # a jump that is an address and no host of the fleet
        return HostSpec(name=name, address=name, ssh=_ssh(fleet.ssh, Ssh(), inherits_jump=False))
    if host.connection == "local":
        return HostSpec(
            name=name,
            address=host.address,
            connection="local",
            site=host.site,
            ssh=SshSpec(become=_ssh(fleet.ssh, host.ssh, inherits_jump=False).become),
        )
    ssh = _ssh(fleet.ssh, host.ssh, inherits_jump=inherits_jump)
    return HostSpec(name=name, address=host.address, site=host.site, ssh=ssh)


def _ssh(common: Ssh, own: Ssh, *, inherits_jump: bool) -> SshSpec:
    merged = {key: getattr(common, key) for key in Ssh.model_fields}
    if not inherits_jump:
        merged["jump"] = None
    merged |= {key: getattr(own, key) for key in own.model_fields_set}
    return SshSpec.model_validate(merged)
