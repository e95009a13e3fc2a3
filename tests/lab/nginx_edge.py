"""web1 and web2 with an nginx to upgrade, behind lb1, and the fleet file for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.kit.stack import until
from tests.lab import fleet as fleets
from tests.lab import haproxy, nginx, nginx_upgrade, rootfs
from tests.lab.host import LabHost
from tests.lab.nginx_upgrade import observe
from tests.lab.topology import Lab
from tests.needs import needs_nspawn, needs_program

CONTRACT = [
    "nginx.preflight",
    "nginx.stage",
    "nginx.upgrade_executable",
    "probe.verify",
    "nginx.shutdown_workers",
    "nginx.soak",
    "nginx.quit",
    "probe.verify",
]


class Edge:
    """web1 and web2 with bookworm's nginx, behind lb1; trixie's nginx is at hand."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        *self.webs, self.balancer = lab.hosts("web1", "web2", "lb1")
        for web in self.webs:
            nginx_upgrade.install(lab, web)
            web.sh("cp -p /usr/sbin/nginx /root/nginx.old")
        backends = [haproxy.Backend("web_servers", servers=haproxy.servers_of(self.webs))]
        haproxy.install_haproxy(self.balancer, backends)
        self.binary = rootfs.ensure("trixie") / "usr/sbin/nginx"

    def reset(self) -> None:
        """Let every host run the old nginx, past Winch, as if nothing had ever been."""
        for web in self.webs:
            if not web.running:
                web.start()
            web.sh("systemctl stop nginx; rm -rf /var/lib/winch /run/winch /usr/sbin/nginx.winch-*")
            web.sh(
                "cp -p /root/nginx.old /usr/sbin/nginx.n && mv /usr/sbin/nginx.n /usr/sbin/nginx"
            )
            nginx.mend(web)
            web.sh("systemctl start nginx")
        self.balancer.sh("rm -rf /run/winch")
        until(self._all_up, what="both servers are UP")

    def _all_up(self) -> bool:
        states = haproxy.servers_state(self.balancer).values()
        return all(state.status == "UP" for state in states)

    def fleet(self, **group: Any) -> str:
        """Write the fleet file; `group` are settings of the nginx group."""
        http = {"url": "http://{address}/", "status": 200, "attempts": 5, "interval": "200ms"}
        edge = {
            "hosts": [web.name for web in self.webs],
            "verify": [{"http": http}],
            "soak": "500ms",
            **group,
        }
        sections = {
            "balancers": fleets.balancers_section([self.balancer]),
            "pools": {"web": fleets.pool_section([self.balancer], self.webs)},
            "nginx": {"edge": edge},
        }
        return str(fleets.fleet(self.lab, sections))

    def versions(self) -> list[tuple[str, list[str]]]:
        """Phase and running versions of each host."""
        seen = []
        for web in self.webs:
            facts, now = observe(web)
            seen.append((str(now.phase), [master.version for master in facts.masters]))
        return seen


@pytest.fixture(scope="module")
def module_edge() -> Iterator[Edge]:
    needs_nspawn()
    needs_program("ab")
    with Lab() as lab:
        yield Edge(lab)


@pytest.fixture
def edge(module_edge: Edge) -> Edge:
    module_edge.reset()
    return module_edge


def steps_of(document: dict[str, Any], host: str) -> list[tuple[str, str]]:
    lane = next(one for one in document["hosts"] if one["name"] == host)
    return [(step["name"], step["status"]) for step in lane["steps"]]


def version_on_disk(host: LabHost) -> str:
    return host.sh("/usr/sbin/nginx -v 2>&1").rpartition("/")[2]
