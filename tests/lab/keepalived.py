"""VRRP pairs with keepalived."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.lab.host import LabHost
from tests.lab.waiting import wait_for

CONFIG = "/etc/keepalived/keepalived.conf"
TRACK_FILE = "/etc/keepalived/maint"
_STATES = {0: "INIT", 1: "BACKUP", 2: "MASTER", 3: "FAULT"}


@dataclass(frozen=True)
class VirtualAddress:
    """One VRRP instance: its address (see `lab.network.allocate`) and the member it lives on."""

    ip: str
    router_id: int
    home: str
    interface: str = "host0"


def configuration(
    member: LabHost,
    members: Sequence[LabHost],
    addresses: Sequence[VirtualAddress],
    *,
    advert_interval: float = 1.0,
    unicast: bool = True,
    track_file: str | None = TRACK_FILE,
    instance_lines: Sequence[str] = (),
) -> str:
    """The text of one member's keepalived.conf. Priorities are 150 at home and 100 elsewhere."""
    # Intervals below a second exist in VRRP version 3 only.
    version = ["vrrp_version 3"] if advert_interval < 1 else []
    parts = ["global_defs {", f"router_id {member.name}", *version, "}"]
    if track_file is not None:
        parts += ["track_file maint {", f'file "{track_file}"', "weight 1", "init_file 0", "}"]
    for address in addresses:
        parts += [
            f"vrrp_instance VI_{address.router_id} {{",
            "state BACKUP",
            f"interface {address.interface}",
            f"virtual_router_id {address.router_id}",
            f"priority {150 if address.home == member.name else 100}",
            f"advert_int {advert_interval:g}",
        ]
        if unicast:
            peers = [other.address for other in members if other is not member]
            parts += [f"unicast_src_ip {member.address}", "unicast_peer {", *peers, "}"]
        parts += ["virtual_ipaddress {", f"{address.ip}/24 dev {address.interface}", "}"]
        parts += ["track_file {", "maint", "}"] if track_file is not None else []
        parts += [*instance_lines, "}"]
    return "\n".join([*parts, ""])


def install_pair(
    members: Sequence[LabHost],
    addresses: Sequence[VirtualAddress],
    *,
    advert_interval: float = 1.0,
    unicast: bool = True,
    track_file: str | None = TRACK_FILE,
    instance_lines: Sequence[str] = (),
) -> None:
    """Run keepalived on the members, and wait until every address is at home and only there."""
    for member in members:
        text = configuration(
            member,
            members,
            addresses,
            advert_interval=advert_interval,
            unicast=unicast,
            track_file=track_file,
            instance_lines=instance_lines,
        )
        member.write_file(CONFIG, text)
        member.sh("keepalived -t && systemctl enable --quiet keepalived")
    for member in members:
        member.sh("systemctl restart keepalived")
    at_home = {address.ip: [address.home] for address in addresses}
    wait_for(
        lambda: {ip: holders(members, ip) for ip in at_home} == at_home,
        f"every address is at home and only there: {at_home}",
        timeout=10 + 10 * advert_interval,
        interval=0.05,
    )


def holders(members: Sequence[LabHost], ip: str) -> list[str]:
    """The names of the running members that really hold an address."""
    return [member.name for member in members if member.running and ip in member.addresses()]


def states(member: LabHost) -> dict[int, str]:
    """The VRRP state of each instance on a member, by router id, as keepalived itself says."""
    dump = "/tmp/keepalived.json"
    member.sh(f"rm -f {dump}; kill -$(keepalived --signum=JSON) $(cat /run/keepalived.pid)")

    def read() -> list[dict[str, Any]]:
        try:
            return list(json.loads(member.sh(f"cat {dump}", check=False)))
        except ValueError:  # not there yet, or half written
            return []

    found = wait_for(read, f"keepalived on {member.name} wrote {dump}")
    return {entry["data"]["vrid"]: _STATES[entry["data"]["state"]] for entry in found}


def pair_section(
    members: Sequence[LabHost],
    addresses: Sequence[VirtualAddress],
    *,
    advert_interval: float = 1.0,
    **settings: Any,
) -> dict[str, Any]:
    """One pair of a fleet file's `pairs`; `settings` are added or win."""
    return {
        "members": [member.name for member in members],
        "addresses": [
            {
                "ip": address.ip,
                "interface": address.interface,
                "router_id": address.router_id,
                "home": address.home,
            }
            for address in addresses
        ],
        "advert_interval": f"{round(advert_interval * 1000)}ms",
        "track_file": TRACK_FILE,
        **settings,
    }
