"""A pair with an IPv4 and an IPv6 address, by an instance each."""

from __future__ import annotations

import pytest

from tests.kit.stack import Stack
from tests.lab import keepalived
from tests.lab.edge import Edge, details, pair
from tests.lab.keepalived import VirtualAddress
from tests.lab.waiting import wait_for

pytestmark = pytest.mark.lab

SIX = "fd77::70"
INSTANCE = f"""
vrrp_instance SIX {{
    state BACKUP
    interface host0
    virtual_router_id 50
    priority PRIORITY
    advert_int 0.1
    virtual_ipaddress {{
        fe80::70/64 dev host0
        {SIX}/64 dev host0
    }}
    track_file {{
        maint
    }}
}}
"""


def holders(edge: Edge) -> list[str]:
    return [m.name for m in edge.members if f" {SIX}/" in m.sh("ip -6 -o address show dev host0")]


@pytest.fixture
def both(edge: Edge) -> Edge:
    """The same router id twice, as each protocol has its own."""
    edge.install()
    for number, member in enumerate(edge.members, 1):
        member.sh(
            "sysctl -qw net.ipv6.conf.host0.disable_ipv6=0;"
            f"ip -6 address replace fe80::a:{number}/64 dev host0 nodad"
        )
        text = member.read_file(keepalived.CONFIG)
        priority = str(200 - 50 * number)
        member.write_file(keepalived.CONFIG, text + INSTANCE.replace("PRIORITY", priority))
        member.sh("keepalived -t && systemctl restart keepalived")
    wait_for(lambda: holders(edge) == ["lb1"] and edge.holders() == [["lb1"]], "home", timeout=20)
    return edge


def test_both_addresses_move_together_in_a_failover_and_an_upgrade(
    both: Edge, edge_stack: Stack
) -> None:
    four = both.addresses[0].ip
    # Written as people write it; `ip` prints it shorter.
    both.addresses.append(VirtualAddress("FD77:0:0:0::0070", 50, "lb1"))
    # HAProxy listens on IPv4 here, so nothing is probed at the addresses.
    verify = [{"command": {"run": "systemctl is-active haproxy"}}]
    fleet = str(both.fleet(verify=verify))
    done, document = pair(edge_stack, "failover", "edge", "--fleet", fleet)
    assert done.returncode == 0, f"{done.stderr}{details(document)}"
    assert (both.holders()[:1], holders(both)) == ([["lb2"]], ["lb2"])
    assert f"lb2 holds {four}, {SIX}" in details(document)
    back, document = pair(edge_stack, "failover", "edge", "--back", "--fleet", fleet)
    assert back.returncode == 0, f"{back.stderr}{details(document)}"
    assert (both.holders()[:1], holders(both)) == ([["lb1"]], ["lb1"])
    done, document = pair(edge_stack, "upgrade", "edge", "--fleet", fleet)
    assert done.returncode == 0, f"{done.stderr}{details(document)}"
    assert both.versions() == ["1.26", "1.26"]
    assert (both.holders()[:1], holders(both)) == ([["lb1"]], ["lb1"])
