"""An nginx on a host of each test's own, to be upgraded step by step."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from tests.lab.host import LabHost
from tests.lab.load import fetch
from tests.lab.nginx_upgrade import Upgrade, install, observe, run_steps
from tests.lab.topology import Lab
from tests.needs import needs_nspawn

_NUMBERS = count(1)


@pytest.fixture(scope="module")
def module_lab() -> Iterator[Lab]:
    needs_nspawn()
    with Lab() as made:
        yield made


@pytest.fixture
def upgrade(module_lab: Lab) -> Iterator[Upgrade]:
    """An upgrade of a host of this test's own."""
    host = module_lab.host(f"web{next(_NUMBERS)}")
    install(module_lab, host)
    yield Upgrade(module_lab, host, timeout=6)
    host.kill()


def serving(host: LabHost, version: str) -> None:
    """That version alone serves and is on the disk; systemd follows it and can reload it."""
    facts, now = observe(host)
    assert str(now) == "steady"
    assert now.new is not None
    assert (now.new.version, facts.disk and facts.disk.version) == (version, version)
    assert host.main_pid("nginx") == now.new.pid
    host.sh("systemctl reload nginx")
    assert fetch(f"http://{host.address}/").startswith("v1.25")


def begin(upgrade: Upgrade, last: str) -> None:
    """Run an upgrade up to a step."""
    run_steps(upgrade.host, upgrade.forward(), stop_after=f"nginx.{last}")
