"""Upgrades of VRRP pairs on whole hosts, under load, by the real command line and worker."""

from __future__ import annotations

from typing import Any

import pytest

from tests.kit.api import serving
from tests.kit.stack import Stack
from tests.lab.edge import Edge, details, pair, run
from tests.lab.gap import Gap
from tests.lab.load import Download
from tests.lab.waiting import wait_for

pytestmark = pytest.mark.lab

STEPS = [
    "vrrp.preflight",
    "vrrp.yield",
    "haproxy.save_state",
    "deploy.redeploy",
    "vrrp.yield",
    "haproxy.restore_state",
    "probe.verify",
    "vrrp.rejoin",
]


@pytest.mark.parametrize(
    ("settings", "order", "ends"),
    [
        pytest.param({}, ["lb2", "lb1"], [["lb1"]], id="unicast, preempt"),
        pytest.param(
            {"unicast": False, "lines": ["nopreempt"]},
            ["lb2", "lb1"],
            [["lb2"]],
            id="multicast, nopreempt",
        ),
        pytest.param(
            {"homes": ["lb1", "lb2"], "lines": ["preempt_delay 1"]},
            ["lb1", "lb2"],
            [["lb1"], ["lb2"]],
            id="double-master, preempt_delay",
        ),
        pytest.param(
            {"unicast": False, "advert_interval": 1.0, "homes": ["lb1", "lb2"]},
            ["lb1", "lb2"],
            [["lb1"], ["lb2"]],
            id="multicast, double-master, a second",
        ),
    ],
)
def test_an_upgrade_takes_one_member_after_the_other_and_no_client_notices(
    edge: Edge, edge_stack: Stack, settings: dict[str, Any], order: list[str], ends: list[list[str]]
) -> None:
    edge.install(**settings)
    fleet = str(edge.fleet())
    before = edge.configuration()
    clients = [Gap(address.ip) for address in edge.addresses]
    for client in clients:
        client.__enter__()
    done, document = pair(edge_stack, "upgrade", "edge", "--fleet", fleet)
    for client in clients:
        client.__exit__()
    assert done.returncode == 0, f"{done.stderr}{details(document)}"
    assert [host["name"] for host in document["hosts"]] == order
    for host in document["hosts"]:
        assert [step["name"] for step in host["steps"]] == STEPS
    assert edge.versions() == ["1.26", "1.26"]
    assert edge.holders() == ends
    assert edge.configuration() == before
    # A peer with nopreempt takes over only when the MASTER resigns: 0.61 intervals.
    resigns = "nopreempt" in settings.get("lines", ())
    for client in clients:
        print(
            f"{client.seen.answers} answers, {client.seen.lost} lost, {client.seen.longest:.3f} s"
        )
        assert client.seen.answers > 100
        assert client.unnoticed or (resigns and client.seen.lost <= 3), client.seen


def test_a_member_that_does_not_verify_is_put_back_and_the_other_is_not_touched(
    edge: Edge, edge_stack: Stack
) -> None:
    edge.install()
    fleet = str(edge.fleet())
    before = edge.configuration()
    lb1, lb2 = edge.members
    lb2.sh("touch /srv/sabotage-1.26")
    pid = lb1.main_pid("haproxy")
    with Gap(edge.addresses[0].ip) as client:
        done, document = pair(edge_stack, "upgrade", "edge", "--fleet", fleet)
    assert done.returncode == 8, f"{done.stderr}{details(document)}"
    assert [(h["name"], h["status"]) for h in document["hosts"]] == [
        ("lb2", "rolled_back"),
        ("lb1", "cancelled"),
    ]
    assert edge.versions() == ["1.25", "1.25"]
    assert lb1.main_pid("haproxy") == pid
    assert edge.holders() == [["lb1"]]
    assert edge.configuration() == before
    assert client.unnoticed, client.seen

    lb2.sh("rm /srv/sabotage-1.26")
    again = edge_stack.winch("retry", str(document["id"]), "--yes", "--json")
    assert again.returncode == 0, again.stdout
    assert edge.versions() == ["1.26", "1.26"]
    assert edge.holders() == [["lb1"]]


def test_a_download_through_the_member_that_is_not_touched_goes_on(
    edge: Edge, edge_stack: Stack
) -> None:
    edge.install()
    download = Download(edge.addresses[0].ip).start()
    wait_for(lambda: download.begun, "the download has begun")
    done, document = pair(
        edge_stack, "upgrade", "edge", "--limit", "lb2", "--fleet", str(edge.fleet())
    )
    assert done.returncode == 0, f"{done.stderr}{details(document)}"
    download.wait()
    assert download.complete, download
    assert edge.versions() == ["1.25", "1.26"]


def test_the_member_that_is_backup_now_comes_first_wherever_home_is(
    edge: Edge, edge_stack: Stack
) -> None:
    edge.install(lines=["nopreempt"])
    fleet = str(edge.fleet())
    run(edge, edge_stack, "pair.failover")
    run(edge, edge_stack, "pair.failback")
    assert edge.holders() == [["lb2"]], "nopreempt: it stays"
    done, document = pair(edge_stack, "upgrade", "edge", "--fleet", fleet)
    assert done.returncode == 0, f"{done.stderr}{details(document)}"
    assert [host["name"] for host in document["hosts"]] == ["lb1", "lb2"]
    assert edge.holders() == [["lb1"]]


def test_asked_over_http_it_begins_with_the_backup_too(edge: Edge, edge_stack: Stack) -> None:
    """Nobody looks while it is planned; the gate does, when it is begun."""
    edge.install(lines=["nopreempt"])
    edge.fleet()
    run(edge, edge_stack, "pair.failover")
    run(edge, edge_stack, "pair.failback")
    assert edge.holders() == [["lb2"]], "nopreempt: it stays"
    with serving(edge_stack) as api:
        fleet = edge_stack.directory / "fleet.yaml"
        fleet.write_text(edge.fleet_file.read_text())
        client = api.as_("ops", "operator")
        asked = client.post("/runs", json={"job": "pair.upgrade", "target": "edge"})
        assert asked.status_code < 300, asked.text
        document = edge_stack.ended(asked.json()["id"], seconds=90)
        assert document["status"] == "succeeded", details(document)
        assert [host["name"] for host in document["hosts"]] == ["lb1", "lb2"]
        assert edge.holders() == [["lb1"]]

        refused = client.post("/runs", json={"job": "pair.failover", "target": "edge"})
        assert edge_stack.ended(refused.json()["id"])["status"] == "succeeded", "it is at home"
        refused = client.post("/runs", json={"job": "pair.failover", "target": "edge"})
        document = edge_stack.ended(refused.json()["id"])
    assert document["exit_code"] == 3
    assert "lb1 is home, and lb2 holds everything now" in document["detail"]
    assert edge.holders() == [["lb2"]]
