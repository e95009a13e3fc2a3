"""Whole upgrades and rollbacks of a real nginx, under load, by the engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kit.stack import Stack, until
from tests.lab import nginx
from tests.lab.host import LabHost
from tests.lab.load import Ab, Download, KeepAlive
from tests.lab.nginx_upgrade import (
    NEW,
    OLD,
    HeldDownload,
    Upgrade,
    for_held_downloads,
    install,
    observe,
)
from tests.lab.nginx_ways import healthy, load_modules, use_modules
from tests.lab.topology import Lab
from tests.needs import needs_nspawn, needs_program
from worker import control


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One engine and one worker for all tests."""
    needs_nspawn()
    directory = Path(str(tmp_path_factory.mktemp("stack")))
    made = Stack(directory).start()
    made.worker()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def module_lab() -> Iterator[Lab]:
    needs_nspawn()
    needs_program("ab")
    with Lab() as made:
        yield made


def steps(document: dict[str, Any]) -> dict[str, str]:
    """What each step of the one host said."""
    (host,) = document["hosts"]
    return {step["name"]: step["detail"] for step in host["steps"]}


def slow(host: LabHost, count: int = 3) -> list[Download]:
    """Downloads that are under way."""
    started = [Download(host.address).start() for _ in range(count)]
    until(lambda: all(d.begun or d.broken for d in started), seconds=10, what="downloads begin")
    return started


def completed(downloads: list[Download]) -> None:
    for download in downloads:
        download.wait()
        assert download.complete, download


def test_a_rollback_before_quit_comes_by_hup_and_both_ways_spare_downloads(
    module_lab: Lab, stack: Stack
) -> None:
    host = module_lab.host("manual")
    install(module_lab, host)
    for_held_downloads(host)
    upgrade = Upgrade(module_lab, host, confirm="manual")
    (master,) = observe(host)[0].masters

    with Ab(f"http://{host.address}/") as load:
        before = [HeldDownload(host) for _ in range(2)]
        run = stack.run(upgrade.plan())
        until(lambda: _waits_for_approval(stack, run), seconds=30, what="waits for approval")
        _, now = observe(host)
        assert now.old is not None
        assert now.old.connections == len(before)
        meanwhile = [HeldDownload(host)]  # of the new version
        control.abort(stack.engine, run, "test")
        stack.ended(run)
        run = stack.run(upgrade.rollback())
        until(
            lambda: "sessions" in (stack.step(run, "manual", "nginx.unstage")["detail"] or ""),
            seconds=30,
            what="only the new version's downloads are waited for",
        )
        assert str(observe(host)[1]) == "rolled back, the new one leaving"
        for download in before + meanwhile:
            download.finish()
        ended = stack.ended(run, seconds=60)

    assert ended["status"] == "succeeded", ended
    assert load.result.lost == 0
    assert observe(host)[1].new.pid == master.pid  # type: ignore[union-attr]  # the very same
    assert "restored" in steps(ended)["nginx.quit_new"]
    healthy(host, OLD)


def _waits_for_approval(stack: Stack, run: int) -> bool:
    return "approval" in (stack.step(run, "manual", "nginx.soak")["detail"] or "")


def test_an_approval_lets_the_old_master_quit_and_says_whose_it_was(
    module_lab: Lab, stack: Stack
) -> None:
    host = module_lab.host("approved")
    install(module_lab, host)
    run = stack.run(Upgrade(module_lab, host, confirm="manual", soak=0).plan())
    until(
        lambda: "approval" in (stack.step(run, "approved", "nginx.soak")["detail"] or ""),
        seconds=30,
        what="waits for approval",
    )
    quiet = host.sh("wc -l </var/log/nginx/error.log")

    assert str(observe(host)[1]) in {"old master idle", "old workers leaving"}
    assert host.sh("wc -l </var/log/nginx/error.log") == quiet
    control.approve(stack.engine, run, "cli:boss")
    ended = stack.ended(run, seconds=60)

    assert ended["status"] == "succeeded", ended
    assert "approved by cli:boss" in steps(ended)["nginx.soak"]
    healthy(host, NEW)


def test_a_rollback_needs_the_modules_of_the_old_version_again(
    module_lab: Lab, stack: Stack
) -> None:
    host = module_lab.host("modules")
    install(module_lab, host)
    load_modules(host)
    upgrade = Upgrade(module_lab, host)
    use_modules(host, NEW)
    ended = stack.ended(stack.run(upgrade.plan()), seconds=60)
    assert ended["status"] == "succeeded", ended

    refused = stack.ended(stack.run(upgrade.rollback()), seconds=60)  # modules are still the new
    assert "version 1026003 instead of 1022001" in refused["hosts"][0]["detail"]
    healthy(host, NEW)

    use_modules(host, OLD)
    ended = stack.ended(stack.run(upgrade.rollback()), seconds=60)
    assert ended["status"] == "succeeded", ended
    healthy(host, OLD)


def test_keep_alive_clients_lose_no_more_than_one_request_each(
    module_lab: Lab, stack: Stack
) -> None:
    host = module_lab.host("keepalive")
    install(module_lab, host)
    clients = [KeepAlive(host.address, pause=0.0) for _ in range(5)]
    for client in clients:
        client.start()
    ended = stack.ended(stack.run(Upgrade(module_lab, host).plan()), seconds=60)
    for client in clients:
        client.stop()

    assert ended["status"] == "succeeded", ended
    print([client.counts.lost for client in clients])
    assert all(client.counts.lost <= 1 for client in clients), [c.counts for c in clients]


def test_a_broken_version_goes_back_by_itself_and_says_how_quickly(
    module_lab: Lab, stack: Stack
) -> None:
    host = module_lab.host("answers500")
    install(module_lab, host)
    nginx_only_new = "map $nginx_version $broken { default 0; ~^1\\.26 1; }\n"
    host.write_file("/etc/nginx/conf.d/0.conf", nginx_only_new)
    host.sh("sed -i 's,ssi on;,if ($broken) { return 500; } ssi on;,' /etc/nginx/conf.d/app.conf")
    host.sh("systemctl reload nginx")
    assert nginx.version_of(host)
    upgrade = Upgrade(module_lab, host)
    downloads = slow(host)

    ended = stack.ended(stack.run(upgrade.plan()), seconds=60)

    assert ended["status"] == "rolled_back", ended
    assert "status 500" in ended["hosts"][0]["detail"]
    assert "restored" in steps(ended)["nginx.quit_new"]
    completed(downloads)
    healthy(host, OLD)


def test_a_killed_worker_goes_on_where_it_was(module_lab: Lab, tmp_path: Path) -> None:
    host = module_lab.host("killed")
    install(module_lab, host)
    stack = Stack(tmp_path).start()
    try:
        worker = stack.worker()
        run = stack.run(Upgrade(module_lab, host, soak=1).plan())
        with Ab(f"http://{host.address}/") as load:
            for name in ("nginx.upgrade_executable", "nginx.soak"):
                until(
                    lambda name=name: (
                        stack.step(run, "killed", name)["status"] in {"running", "waiting"}
                    ),
                    seconds=40,
                    what=f"{name} has begun",
                )
                worker.kill()
                worker = stack.worker()
            ended = stack.ended(run, seconds=60)
        assert ended["status"] == "succeeded", ended
        assert load.result.lost == 0
        signals = [
            c for c in stack.commands(run) if "kill -s" in c["command"] and c["exit_code"] == 0
        ]
        assert len(signals) == 3, [c["step"] for c in signals]  # USR2, WINCH, QUIT: each once
        healthy(host, NEW)
    finally:
        stack.stop()
