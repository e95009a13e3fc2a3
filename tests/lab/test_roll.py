"""Rolls of a pool on whole hosts, asked for by the real command line, done by real workers."""

from __future__ import annotations

import json
import subprocess
from contextlib import ExitStack

import pytest

from tests.kit.stack import Stack
from tests.lab import nginx
from tests.lab.farm import Farm
from tests.lab.load import Ab, Download, KeepAlive
from tests.lab.waiting import wait_for

pytestmark = pytest.mark.lab

STEPS = ["haproxy.drain", "deploy.redeploy", "probe.verify", "haproxy.enable"]


def said(done: subprocess.CompletedProcess[str]) -> str:
    """What a failed command line said, in short."""
    try:
        document = json.loads(done.stdout)
    except ValueError:
        return done.stderr + done.stdout
    steps = [
        f"{host['name']} {step['name']} {step['status']}: {step['detail']}"
        for host in document["hosts"]
        for step in host["steps"]
        if step["detail"]
    ]
    return "\n".join([done.stderr, str(document["detail"]), *steps])


def test_a_roll_of_all_loses_no_request_breaks_no_download_and_leaves_the_balancers_as_they_were(
    farm: Farm, stack: Stack
) -> None:
    fleet = farm.fleet()
    before = farm.settings()
    stack.worker()
    with ExitStack() as running:
        # Round robin: each server gets one through each balancer.
        downloads = [
            Download(balancer.address).start() for balancer in farm.balancers for _ in farm.servers
        ]
        wait_for(lambda: all(d.begun for d in downloads), "all downloads have begun")
        loads = [running.enter_context(Ab(farm.urls[0]))]
        client = running.enter_context(KeepAlive(farm.balancers[1].address))
        done = stack.winch(
            "roll", "web", "--fleet", str(fleet), "--set", "version=1.26", "--yes", "--json"
        )
        assert done.returncode == 0, said(done)
        for download in downloads:
            download.wait()
            assert download.complete, download
    document = json.loads(done.stdout)
    assert document["status"] == "succeeded"
    assert document["progress"] == {"done": 16, "total": 16}
    for host in document["hosts"]:
        assert [step["name"] for step in host["steps"]] == STEPS
        assert {step["status"] for step in host["steps"]} == {"succeeded"}
    for load in loads:
        assert load.result.complete > 1000
        assert load.result.lost == 0, load.result
    assert client.counts.ok > 100
    assert client.counts.lost == 0, client.counts
    assert farm.settings() == before
    assert set(farm.versions().values()) == {"1.26"}


def test_a_broken_release_is_taken_back_and_nobody_else_is_touched(
    farm: Farm, stack: Stack
) -> None:
    nginx.sabotage(farm.servers[0], "1.26")
    fleet = farm.fleet()
    before = farm.settings()
    stack.worker()
    with Ab(farm.urls[0]) as load:
        done = stack.winch(
            "roll", "web", "--fleet", str(fleet), "--set", "version=1.26", "--yes", "--json"
        )
    assert done.returncode == 8, said(done)
    document = json.loads(done.stdout)
    assert document["status"] == "rolled_back"
    assert [h["status"] for h in document["hosts"]] == ["rolled_back", *["cancelled"] * 3]
    assert load.result.lost == 0, load.result
    assert set(farm.versions().values()) == {"1.25"}
    assert farm.settings() == before

    nginx.mend(farm.servers[0])
    again = stack.winch("retry", str(document["id"]), "--yes", "--json")
    assert again.returncode == 0, said(again)
    assert set(farm.versions().values()) == {"1.26"}
    assert farm.settings() == before


def test_with_on_failure_stop_the_server_stays_out_and_retry_begins_at_the_failed_step(
    farm: Farm, stack: Stack
) -> None:
    nginx.sabotage(farm.servers[0], "1.26")
    fleet = farm.fleet(pool={"policy": {"on_failure": "stop"}})
    before = farm.settings()
    stack.worker()
    done = stack.winch(
        "roll", "web", "--fleet", str(fleet), "--set", "version=1.26", "--yes", "--json"
    )
    assert done.returncode == 2, said(done)
    document = json.loads(done.stdout)
    assert document["status"] == "failed"
    versions = farm.versions()
    assert versions == {"web1": "1.26", "web2": "1.25", "web3": "1.25", "web4": "1.25"}
    assert farm.settings() != before  # web1 is out of rotation on both

    nginx.mend(farm.servers[0])
    again = stack.winch("retry", str(document["id"]), "--yes", "--json")
    assert again.returncode == 0, said(again)
    steps = json.loads(again.stdout)["hosts"][0]["steps"]
    assert [(step["name"], step["attempts"]) for step in steps] == list(
        zip(STEPS, [1, 1, 2, 1], strict=True)
    )
    assert farm.settings() == before
    assert set(farm.versions().values()) == {"1.26"}


def test_rollback_of_a_whole_roll_under_load_drains_first(farm: Farm, stack: Stack) -> None:
    fleet = farm.fleet()
    before = farm.settings()
    stack.worker()
    done = stack.winch(
        "roll", "web", "--fleet", str(fleet), "--set", "version=1.26", "--yes", "--json"
    )
    assert done.returncode == 0, said(done)
    with Ab(farm.urls[1]) as load:
        back = stack.winch("rollback", str(json.loads(done.stdout)["id"]), "--yes", "--json")
    assert back.returncode == 8, said(back)
    assert load.result.lost == 0, load.result
    assert set(farm.versions().values()) == {"1.25"}
    assert farm.settings() == before


def test_drain_and_enable_alone(farm: Farm, stack: Stack) -> None:
    fleet = str(farm.fleet())
    before = farm.settings()
    stack.worker()
    out = stack.winch("drain", "web", "web2", "--fleet", fleet, "--yes", "--json")
    assert out.returncode == 0, said(out)
    changed = {name for name, value in farm.settings().items() if value != before[name]}
    assert changed == {"lb1 web_servers/web2", "lb2 web_servers/web2"}
    refused = stack.winch("roll", "web", "--fleet", fleet, "--set", "version=1.26", "--yes")
    assert refused.returncode == 3, said(refused)
    assert "web2" in refused.stdout + refused.stderr
    assert set(farm.versions().values()) == {"1.25"}
    back = stack.winch("enable", "web", "web2", "--fleet", fleet, "--yes", "--json")
    assert back.returncode == 0, said(back)
    assert farm.settings() == before
