"""Pairs that are not like the others: names, interfaces, numbers of addresses, sync groups."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.kit.stack import Stack
from tests.lab import fleet as fleets
from tests.lab import haproxy, keepalived
from tests.lab.edge import REDEPLOY, VERIFY, VERSION, details, pair
from tests.lab.farm import Farm, build_farm
from tests.lab.gap import Gap
from tests.lab.host import LabHost
from tests.lab.keepalived import VirtualAddress
from tests.lab.topology import Lab
from tests.lab.waiting import wait_for
from tests.needs import needs_nspawn

pytestmark = pytest.mark.lab

# What the fleet file calls them, and what they call themselves.
NAMES = {"lb1": "north-a.example", "lb2": "north-b.example", "lb3": "s1", "lb4": "s2"}
FRONT = "front0"
DROP_VRRP = b"""
add table inet lab_vrrp
add chain inet lab_vrrp input { type filter hook input priority -300; }
add rule inet lab_vrrp input meta l4proto 112 drop
"""
SYNC = "vrrp_sync_group TOGETHER {\ngroup {\nVI_60\nVI_61\n}\n}\n"


class Site:
    """Two pairs: three addresses on an interface of their own, and a sync group of two."""

    def __init__(self, farm: Farm) -> None:
        self.farm = farm
        self.north, self.south = farm.balancers[:2], farm.balancers[2:]
        allocate = farm.lab.network.allocate
        for member in self.north:
            member.sh(
                f"ip link add {FRONT} link host0 type macvlan mode bridge;"
                f"ip address add {allocate()}/24 dev {FRONT}; ip link set {FRONT} up"
            )
        self.three = [
            VirtualAddress(allocate(), 50, "lb1", FRONT),
            VirtualAddress(allocate(), 51, "lb2", FRONT),
            VirtualAddress(allocate(), 52, "lb1", FRONT),
        ]
        self.two = [VirtualAddress(allocate(), 60, "lb3"), VirtualAddress(allocate(), 61, "lb3")]

    def install(self) -> None:
        for member in self.farm.balancers:
            member.heal()
            member.sh("nft delete table inet lab_vrrp 2> /dev/null; systemctl start haproxy")
        for members, addresses, extra in (
            (self.north, self.three, ""),
            (self.south, self.two, SYNC),
        ):
            for member in members:
                text = keepalived.configuration(
                    member,
                    members,
                    addresses,
                    advert_interval=0.2,
                    unicast=extra != "",
                    # Weights do not count in a sync group, and `keepalived -t` says so.
                    track_file=None if extra else keepalived.TRACK_FILE,
                )
                member.write_file(keepalived.CONFIG, text + extra)
                member.sh(f"echo 1.25 > {VERSION}; rm -f {keepalived.TRACK_FILE}")
                member.sh("keepalived -t && systemctl restart keepalived")
        wait_for(self.at_home, "every address is at home and only there", timeout=20)

    def at_home(self) -> bool:
        return all(self.holders(a.ip) == [a.home] for a in self.three + self.two)

    def holders(self, ip: str) -> list[str]:
        return [m.name for m in self.farm.balancers if f" {ip}/" in m.sh("ip -4 -o address show")]

    def fleet(self) -> Path:
        hosts = {NAMES[m.name]: {"address": m.address} for m in self.farm.balancers}
        sections = {
            "vars": {"version": "1.26"},
            "hosts": hosts,
            "balancers": {
                NAMES[m.name]: {
                    "sockets": [haproxy.ADMIN_SOCKET],
                    "master_socket": haproxy.MASTER_SOCKET,
                    "config": [haproxy.CONFIG],
                }
                for m in self.farm.balancers
            },
            "pairs": {
                "north": self._pair(self.north, self.three),
                "south": self._pair(self.south, self.two),
            },
        }
        return fleets.fleet(self.farm.lab, sections, path=self.farm.lab.directory / "site.yaml")

    def _pair(self, members: list[LabHost], addresses: list[VirtualAddress]) -> dict[str, Any]:
        return {
            "members": [NAMES[member.name] for member in members],
            "addresses": [
                {
                    "ip": each.ip,
                    "interface": each.interface,
                    "router_id": each.router_id,
                    "home": NAMES[each.home],
                }
                for each in addresses
            ],
            "advert_interval": "200ms",
            "redeploy": REDEPLOY,
            "verify": VERIFY,
        }

    def configuration(self) -> list[str]:
        return [
            m.sh('cd /etc/keepalived && for f in *; do echo "== $f"; cat $f; done')
            for m in self.farm.balancers
        ]


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    needs_nspawn()
    with Lab() as lab:
        yield Site(build_farm(lab, balancers=4, servers=1))


def test_two_pairs_are_upgraded_at_once_and_no_client_of_any_address_notices(
    site: Site, edge_stack: Stack
) -> None:
    site.install()
    fleet = str(site.fleet())
    before = site.configuration()
    with ExitStack() as open_clients:
        clients = [open_clients.enter_context(Gap(a.ip)) for a in site.three + site.two]
        done, document = pair(edge_stack, "upgrade", "north", "south", "--fleet", fleet)
    assert done.returncode == 0, f"{done.stderr}{details(document)}"
    assert [h["name"] for h in document["hosts"]] == [
        "north-b.example", "s2", "north-a.example", "s1",
    ]  # fmt: skip
    times = [
        (host["steps"][0]["started_at"], host["steps"][-1]["ended_at"])
        for host in document["hosts"]
    ]
    for one, other in (times[:2], times[2:]):
        assert max(one[0], other[0]) < min(one[1], other[1]), "both pairs are under way at once"
    for client in clients:
        print(f"{client.seen.lost} lost, {client.seen.late} late, {client.seen.longest:.3f} s")
        assert client.unnoticed, client.seen
    assert [m.read_file(VERSION).strip() for m in site.farm.balancers] == ["1.26"] * 4
    assert site.at_home()
    assert site.configuration() == before


def test_the_addresses_of_a_sync_group_move_together_and_come_home_together(
    site: Site, edge_stack: Stack
) -> None:
    site.install()
    fleet = str(site.fleet())
    before = site.configuration()
    with Gap(site.two[0].ip) as one, Gap(site.two[1].ip) as other:
        done, document = pair(edge_stack, "failover", "south", "--fleet", fleet)
        assert done.returncode == 0, f"{done.stderr}{details(document)}"
        assert [site.holders(a.ip) for a in site.two] == [["lb4"], ["lb4"]]
        assert "reload with priority 1" in details(document)
        back, document = pair(edge_stack, "failover", "south", "--back", "--fleet", fleet)
        assert back.returncode == 0, f"{back.stderr}{details(document)}"
    assert site.at_home()
    assert site.configuration() == before
    for client in (one, other):
        assert client.unnoticed, client.seen


def test_a_member_of_a_pair_of_three_addresses_gives_up_only_its_own(
    site: Site, edge_stack: Stack
) -> None:
    site.install()
    fleet = str(site.fleet())
    done, document = pair(edge_stack, "failover", "north", "north-a.example", "--fleet", fleet)
    assert done.returncode == 0, f"{done.stderr}{details(document)}"
    assert [site.holders(a.ip) for a in site.three] == [["lb2"]] * 3
    said = edge_stack.winch("pair", "status", "north", "--json", "--fleet", fleet)
    (north,) = json.loads(said.stdout)["pairs"]
    assert [a["holder"] for a in north["addresses"]] == ["north-b.example"] * 3
    undone = edge_stack.winch("rollback", str(document["id"]), "--yes")
    assert undone.returncode == 8, undone.stdout
    assert site.at_home()


def split_brain(site: Site) -> str:
    for member in site.north:
        member.run("nft", "-f", "-", stdin=DROP_VRRP)
    wait_for(lambda: len(site.holders(site.three[1].ip)) == 2, "split brain", timeout=20)
    return "split brain: north-a.example and north-b.example both hold"


def dead_haproxy_on_the_master(site: Site) -> str:
    site.north[0].sh("systemctl stop haproxy")
    return "mend the service on north-a.example first"


def cut_off(site: Site) -> str:
    site.south[1].partition()
    return "s2"


@pytest.mark.parametrize(
    ("spoil", "words", "code"),
    [
        (split_brain, ["pair", "upgrade", "north"], 3),
        (split_brain, ["pair", "failover", "north", "north-b.example"], 3),
        (split_brain, ["haproxy", "reload", "north-a.example"], 3),
        (dead_haproxy_on_the_master, ["pair", "upgrade", "north"], 3),
        (dead_haproxy_on_the_master, ["pair", "upgrade", "north", "south"], 3),
        (dead_haproxy_on_the_master, ["haproxy", "reload", "north-b.example"], 3),
        (cut_off, ["pair", "upgrade", "south"], 4),
        (cut_off, ["pair", "failover", "south", "s1"], 4),
        (cut_off, ["haproxy", "reload", "s1"], 4),
    ],
)
def test_what_is_not_well_is_refused_whatever_the_job_and_nothing_is_changed(
    site: Site, edge_stack: Stack, spoil: Callable[[Site], str], words: list[str], code: int
) -> None:
    site.install()
    fleet = str(site.fleet())
    said = spoil(site)
    before = site.configuration()
    pids = [m.main_pid("haproxy") for m in site.farm.balancers]
    done = edge_stack.winch(*words, "--yes", "--json", "--fleet", fleet)
    document = json.loads(done.stdout)
    assert done.returncode == code, f"{done.stderr}{details(document)}"
    assert said in document["detail"], document["detail"]
    acted = [c for c in edge_stack.commands(document["id"]) if c["changes"]]
    assert {c["command"] for c in acted} <= {":"}, "a lease's number may be told to the hosts"
    assert site.configuration() == before
    assert [m.main_pid("haproxy") for m in site.farm.balancers] == pids
    assert [m.read_file(VERSION).strip() for m in site.farm.balancers] == ["1.25"] * 4
    held = json.loads(edge_stack.winch("leases", "--json").stdout)
    assert held == [], "nothing was changed, so nothing is kept"
