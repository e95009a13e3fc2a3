"""A bridge of the lab's own, with a /24 that nothing else on the machine uses."""

from __future__ import annotations

import fcntl
import ipaddress
import json
import random
import subprocess
from pathlib import Path

from tests.lab.cleanup import STATE, bridge_name, bridge_rule
from tests.needs import find_program


class Network:
    """The lab's bridge. This machine is `.1` on it; the hosts get `.10`, `.11`, …"""

    def __init__(self, lab_id: str) -> None:
        """Make the bridge, choosing a free subnet."""
        self.bridge = bridge_name(lab_id)
        self._next = 10
        STATE.mkdir(exist_ok=True)
        # Two labs that start at once must not choose the same subnet.
        with (STATE / "subnets").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.subnet = _free_subnet()
            self.gateway = str(self.subnet[1])
            _ip("link", "add", self.bridge, "type", "bridge")
            _ip("address", "add", f"{self.gateway}/24", "dev", self.bridge)
            _ip("link", "set", self.bridge, "up")
        # Ask again soon for a host that is still booting: by default once a second.
        Path(f"/proc/sys/net/ipv4/neigh/{self.bridge}/retrans_time_ms").write_text("20")
        _accept_bridged(self.bridge)

    def allocate(self) -> str:
        """An address for one more host; for a virtual address too."""
        address = str(self.subnet[self._next])
        self._next += 1
        return address


def _ip(*arguments: str) -> str:
    done = subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)
    return done.stdout


def _free_subnet() -> ipaddress.IPv4Network:
    taken = []
    for route in json.loads(_ip("-json", "-4", "route", "show", "table", "all")):
        destination = route["dst"]
        if destination != "default" and route.get("type") != "broadcast":
            taken.append(ipaddress.ip_network(destination, strict=False))
    for _ in range(1000):
        subnet = ipaddress.IPv4Network(
            f"10.{random.randint(64, 250)}.{random.randint(0, 255)}.0/24"
        )
        if not any(subnet.overlaps(other) for other in taken if other.version == 4):
            return subnet
    raise RuntimeError("no free 10.x.y.0/24 on this machine: remove stale routes (ip route)")


def _accept_bridged(bridge: str) -> None:
    """Keep a packet filter (a Docker engine's, say) from dropping what crosses the bridge."""
    switch = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
    iptables = find_program("iptables")
    if switch.exists() and switch.read_text().strip() == "1" and iptables is not None:
        subprocess.run(
            [iptables, "-w", "-I", *bridge_rule(bridge)], check=True, capture_output=True
        )
