"""There and back again and again, whatever way nginx was started, and nobody notices.

`WINCH_NGINX_CYCLES` says how often each goes there and back (2; 20 for a measurement).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.kit.stack import Stack
from tests.lab.load import Ab, KeepAlive
from tests.lab.nginx_upgrade import NEW, OLD, Upgrade, install, observe
from tests.lab.nginx_ways import Downloads, healthy, load_modules, start_by_hand, use_modules
from tests.lab.topology import Lab
from tests.needs import needs_nspawn, needs_program

CYCLES = int(os.environ.get("WINCH_NGINX_CYCLES", "2"))
KEEP_ALIVE = 2  # clients that ask without a pause and never repeat a request

pytestmark = pytest.mark.timeout(240 + 60 * CYCLES)


@pytest.fixture(scope="module")
def module_lab() -> Iterator[Lab]:
    needs_nspawn()
    needs_program("ab")
    with Lab() as made:
        yield made


def cycle(upgrade: Upgrade, stack: Stack, before: Callable[[str], object] = str) -> None:
    """Upgrade and roll back under load; `before` prepares the host for a version."""
    host, at = upgrade.host, upgrade.at
    seconds: dict[str, list[float]] = {NEW: [], OLD: []}
    with ExitStack() as running:
        load = running.enter_context(Ab(f"http://{host.address}/", concurrency=20))
        downloads = running.enter_context(Downloads(host))
        clients = [
            running.enter_context(KeepAlive(host.address, pause=0.0)) for _ in range(KEEP_ALIVE)
        ]
        for _ in range(CYCLES):
            for plan, version in ((upgrade.plan(), NEW), (upgrade.rollback(), OLD)):
                before(version)
                ended = stack.ended(stack.run(plan), seconds=120)
                assert ended["status"] == "succeeded", ended
                assert observe(host, at)[1].new.version == version  # type: ignore[union-attr]
                steps = ended["hosts"][0]["steps"]
                seconds[version].append(sum(step["seconds"] or 0 for step in steps))

    lost = [client.counts.lost for client in clients]
    print(
        f"{host.name}: {CYCLES} upgrades ({sum(seconds[NEW]) / CYCLES:.1f} s each) and as many "
        f"rollbacks ({sum(seconds[OLD]) / CYCLES:.1f} s); ab: {load.result.complete} requests, "
        f"{load.result.failed} failed, {load.result.non_2xx} non-2xx; downloads: "
        f"{downloads.complete} complete, {len(downloads.broken)} broken; keep-alive: "
        f"{sum(client.counts.ok for client in clients)} answers, {lost} lost of {2 * CYCLES} "
        "WINCHes each"
    )
    assert (load.result.failed, load.result.non_2xx) == (0, 0), load.result.output
    assert downloads.complete >= 2 * CYCLES
    assert downloads.broken == []
    # After QUIT the way back is an upgrade too: nginx closes each connection at both WINCHes.
    assert max(lost) <= 2 * CYCLES, [client.counts for client in clients]
    healthy(host, OLD, at)


def test_under_systemd(module_lab: Lab, edge_stack: Stack) -> None:
    host = module_lab.host("systemd")
    install(module_lab, host)

    cycle(Upgrade(module_lab, host), edge_stack)


def test_started_by_hand_with_options_and_paths_of_its_own(
    module_lab: Lab, edge_stack: Stack
) -> None:
    host = module_lab.host("byhand")
    install(module_lab, host)
    at = start_by_hand(host)
    arguments = observe(host, at)[1].new.options  # type: ignore[union-attr]

    cycle(Upgrade(module_lab, host, instance=at, user="deploy"), edge_stack)

    assert observe(host, at)[1].new.options == arguments  # type: ignore[union-attr]
    assert arguments[:2] == ("-c", "/opt/web/web.conf")


def test_with_dynamic_modules(module_lab: Lab, edge_stack: Stack) -> None:
    host = module_lab.host("modules")
    install(module_lab, host)
    load_modules(host)

    cycle(Upgrade(module_lab, host), edge_stack, lambda version: use_modules(host, version))

    assert host.sh(f"curl -s http://{host.address}:81/") == "echoed"
