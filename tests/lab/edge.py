"""A pair of balancers, lb1 and lb2, in front of one server: what the tests of pairs share."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.kit.stack import Stack
from tests.lab import fleet as fleets
from tests.lab import keepalived
from tests.lab.farm import Farm
from tests.lab.host import LabHost
from tests.lab.keepalived import VirtualAddress
from workflows.fleet import load_fleet
from workflows.jobs import plan_job
from workflows.options import Options

VERSION = "/etc/lb-version"
# A redeploy that restarts HAProxy, and a version that can be sabotaged on one host.
REDEPLOY = {
    "command": {
        "run": f"systemctl restart haproxy && echo {{version}} > {VERSION}",
        "undo": f'systemctl restart haproxy && echo "$WINCH_BEFORE" > {VERSION}',
        "facts": f"cat {VERSION}",
    }
}
_QUICK = {"attempts": 5, "interval": "200ms"}
VERIFY = [
    {"tcp": {"port": 80, **_QUICK}},
    {"http": {"url": "http://{address}/", "status": 200, **_QUICK}},
    {"command": {"run": "test ! -e /srv/sabotage-{version}", "attempts": 2, "interval": "100ms"}},
]


@dataclass
class Edge:
    """The pair as it is installed now."""

    farm: Farm
    spare: list[str]  # addresses of the lab's network that the pair may hold
    addresses: list[VirtualAddress] = field(default_factory=list)
    advert_interval: float = 0.1

    @property
    def fleet_file(self) -> Path:
        """Where `fleet()` writes."""
        return self.farm.lab.directory / "fleet.yaml"

    @property
    def members(self) -> list[LabHost]:
        """lb1 and lb2."""
        return self.farm.balancers

    def install(
        self,
        *,
        homes: Sequence[str] = ("lb1",),
        advert_interval: float = 0.1,
        unicast: bool = True,
        track_file: str | None = keepalived.TRACK_FILE,
        lines: Sequence[str] = (),
    ) -> Edge:
        """Configure both members anew; every address is at home then."""
        for member in self.members:
            if not member.running:
                member.start()
            member.heal()
            member.sh(
                "nft delete table inet lab_vrrp 2> /dev/null; systemctl stop keepalived;"
                f"rm -f /etc/keepalived/* /srv/sabotage-*; echo 1.25 > {VERSION};"
                "systemctl start haproxy"
            )
        self.advert_interval = advert_interval
        self.addresses = [
            VirtualAddress(ip, 50 + number, home)
            for number, (home, ip) in enumerate(zip(homes, self.spare, strict=False))
        ]
        keepalived.install_pair(
            self.members,
            self.addresses,
            advert_interval=advert_interval,
            unicast=unicast,
            track_file=track_file,
            instance_lines=lines,
        )
        return self

    def fleet(self, **settings: Any) -> Path:
        """Write a fleet file with the pair `edge`; `settings` are of the pair, and win."""
        section = keepalived.pair_section(
            self.members,
            self.addresses,
            advert_interval=self.advert_interval,
            **{"redeploy": REDEPLOY, "verify": VERIFY, **settings},
        )
        if section["track_file"] is None:
            del section["track_file"]
        sections = {
            "vars": {"version": "1.26"},
            "balancers": fleets.balancers_section(self.farm.balancers),
            "pairs": {"edge": section},
        }
        return fleets.fleet(self.farm.lab, sections, path=self.fleet_file)

    def holders(self) -> list[list[str]]:
        """Who really holds each address."""
        return [keepalived.holders(self.members, address.ip) for address in self.addresses]

    def versions(self) -> list[str]:
        """The version of each member."""
        return [member.read_file(VERSION).strip() for member in self.members]

    def configuration(self) -> list[str]:
        """Everything under /etc/keepalived of each member, to be compared."""
        return [
            member.sh('cd /etc/keepalived && for f in *; do echo "== $f"; cat $f; done')
            for member in self.members
        ]

    def drop_vrrp(self) -> None:
        """Let the members hear nothing of each other's VRRP; everything else goes through."""
        for member in self.members:
            member.run(
                "nft",
                "-f",
                "-",
                stdin=(
                    b"add table inet lab_vrrp\n"
                    b"add chain inet lab_vrrp input { type filter hook input priority -300; }\n"
                    b"add rule inet lab_vrrp input meta l4proto 112 drop\n"
                ),
            )


def pair(stack: Stack, *words: str) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    """Run `winch pair …`; return what it said, also as a document."""
    done = stack.winch("pair", *words, "--yes", "--json")
    try:
        return done, json.loads(done.stdout)
    except ValueError:
        return done, {}


def run(edge: Edge, stack: Stack, job: str, **options: Any) -> dict[str, Any]:
    """Run a job on the pair past the command line, to its good end; return its document."""
    plan = plan_job(load_fleet(edge.fleet_file), job, "edge", [], Options(**options))
    document = stack.ended(stack.run(plan), seconds=60)
    if document["status"] != "succeeded":
        raise AssertionError(f"{job}: {details(document)}")
    return document


def details(document: dict[str, Any]) -> str:
    """What the steps of a run said."""
    lines = [
        f"{host['name']} {step['name']} {step['status']}: {step['detail']}"
        for host in document.get("hosts", ())
        for step in host["steps"]
    ]
    return "\n".join([str(document.get("detail")), *lines])
