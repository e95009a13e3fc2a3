"""The topology of most tests: balancers with HAProxy in front of servers with nginx."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab import fleet as fleets
from tests.lab import haproxy, nginx
from tests.lab.haproxy import Backend, ServerState
from tests.lab.host import LabHost
from tests.lab.topology import BOOTED_AT_ONCE, Lab


@dataclass(frozen=True)
class Farm:
    """Balancers lb1, lb2, … and servers web1, web2, …, all running."""

    lab: Lab
    balancers: list[LabHost]
    servers: list[LabHost]
    haproxy_config: str  # of every balancer, as built

    @property
    def urls(self) -> list[str]:
        """The application through each balancer."""
        return [f"http://{balancer.address}/" for balancer in self.balancers]

    def fleet(
        self, *, pool: Mapping[str, Any] | None = None, name: str = "fleet.yaml", **sections: Any
    ) -> Path:
        """Write a fleet file with the pool `web`; `pool` are settings of it that win."""
        web = fleets.pool_section(self.balancers, self.servers) | dict(pool or {})
        whole = {
            "vars": {"version": "1.26"},
            "balancers": fleets.balancers_section(self.balancers),
            "pools": {"web": web},
            **sections,
        }
        return fleets.fleet(self.lab, whole, path=self.lab.directory / name)

    def states(self) -> dict[str, ServerState]:
        """What the balancers hold of every server, by `lb1 web_servers/web1`."""
        return {
            f"{balancer.name} {name}": state
            for balancer in self.balancers
            for name, state in haproxy.servers_state(balancer).items()
        }

    def settings(self) -> dict[str, tuple[int, int]]:
        """Admin state and weight of every server: the same before and after a job."""
        return {name: state.settings for name, state in self.states().items()}

    def versions(self) -> dict[str, str]:
        """The version that is current on each server."""
        return {server.name: nginx.version_of(server) for server in self.servers}

    def reset(self, version: str = "1.25") -> None:
        """Bring every server to this version, ready and at its weight, past Winch.

        The lease numbers that Winch left on the hosts go too: a test has a new database, whose
        numbers begin again.
        """

        def restore(host: LabHost) -> None:
            if not host.running:
                host.start()
            host.heal()
            host.sh("rm -rf /run/winch")

        def restore_server(server: LabHost) -> None:
            nginx.mend(server)
            nginx.deploy(server, version)

        def restore_balancer(balancer: LabHost) -> None:
            haproxy.install_haproxy(balancer, [], config=self.haproxy_config)

        _each([*self.servers, *self.balancers], restore)
        _each(self.servers, restore_server)
        _each(self.balancers, restore_balancer)


def build_farm(
    lab: Lab,
    *,
    balancers: int = 2,
    servers: int = 4,
    version: str = "1.25",
    backend: Mapping[str, Any] | None = None,
    big_mb: int = 8,
    limit_rate: str = "1m",
) -> Farm:
    """Boot and configure a farm; `backend` are fields of `haproxy.Backend` that win."""
    names = [f"web{number}" for number in range(1, servers + 1)]
    names += [f"lb{number}" for number in range(1, balancers + 1)]
    hosts = lab.hosts(*names)
    webs, front = hosts[:servers], hosts[servers:]
    _each(webs, lambda web: nginx.install_nginx(web, version, big_mb=big_mb, limit_rate=limit_rate))
    settings: dict[str, Any] = {"servers": haproxy.servers_of(webs)} | dict(backend or {})
    config = haproxy.configuration([Backend("web_servers", **settings)])
    _each(front, lambda balancer: haproxy.install_haproxy(balancer, [], config=config))
    return Farm(lab, front, webs, config)


def _each(hosts: Sequence[LabHost], work: Callable[[LabHost], None]) -> None:
    with ThreadPoolExecutor(BOOTED_AT_ONCE) as pool:
        list(pool.map(work, hosts))
