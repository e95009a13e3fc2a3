"""A HAProxy with three servers, of which each test gets its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tasks.haproxy.params import Drain, Enable, Target
from tests.integration.haproxy.rig import PORT, App, Haproxy, LocalContext, stopping

WEB1 = [Target(backend="web_servers", server="web1")]


@dataclass
class Site:
    """One balancer, `lb1`, and its servers."""

    haproxy: Haproxy
    apps: list[App]

    def drain(self, **more: object) -> Drain:
        balancer = self.haproxy.balancer("lb1")
        return Drain.model_validate({"balancers": [balancer], "targets": WEB1} | more)

    def enable(self, **more: object) -> Enable:
        balancer = self.haproxy.balancer("lb1")
        short = {"stable": 0.3, "timeout": 2.0}
        return Enable.model_validate({"balancers": [balancer], "targets": WEB1} | short | more)


def backend(
    apps: list[App], *, name: str = "web_servers", check: str = "check rise 2 fall 3"
) -> str:
    """A backend with one line a server."""
    lines = [f"backend {name}", "  balance roundrobin"]
    lines += [
        f"  server web{number} {app.address}:{PORT} {check} weight 100"
        for number, app in enumerate(apps, 1)
    ]
    return "\n".join(lines)


@pytest.fixture
def apps() -> Iterator[list[App]]:
    some = [App() for _ in range(3)]
    with stopping(*some):
        yield some


@pytest.fixture
def site(apps: list[App]) -> Iterator[Site]:
    haproxy = Haproxy(backend(apps))
    with stopping(haproxy):
        for number in range(1, len(apps) + 1):
            haproxy.wait_for(f"web{number}", "UP")
        yield Site(haproxy, apps)


@pytest.fixture
def context() -> Iterator[LocalContext]:
    made = LocalContext("lb1", "lb2")
    yield made
    made.connections.close()
