"""Failover of VRRP pairs by every means, the way back, and what makes the best means possible."""

from __future__ import annotations

from typing import Any

import pytest

from tests.kit.stack import Stack
from tests.lab import keepalived
from tests.lab.edge import Edge, details, pair, run
from tests.lab.gap import Gap
from tests.lab.waiting import wait_for

pytestmark = pytest.mark.lab

TRACK = keepalived.TRACK_FILE


@pytest.mark.parametrize(
    ("settings", "means", "back"),
    [
        pytest.param({}, "track_file", [["lb1"]], id="track_file"),
        pytest.param({"track_file": None}, "reload with priority 1", [["lb1"]], id="reload"),
        pytest.param({"lines": ["nopreempt"]}, "FAULT", [["lb2"]], id="track_file, nopreempt"),
        pytest.param(
            {"track_file": None, "lines": ["nopreempt"]},
            "systemctl stop keepalived, a gap of about 0.06 s",
            [["lb2"]],
            id="stop, nopreempt",
        ),
    ],
)
def test_a_failover_by_the_best_means_there_is_and_the_way_back(
    edge: Edge, edge_stack: Stack, settings: dict[str, Any], means: str, back: list[list[str]]
) -> None:
    edge.install(**settings)
    fleet = str(edge.fleet(track_file=settings.get("track_file", TRACK)))
    before = edge.configuration()
    if "reload" in means:  # as if a worker had died between swapping the file and putting it back
        edge.members[0].sh(
            f"ln {keepalived.CONFIG} {keepalived.CONFIG}.winch-kept && sed 's/priority 150/priority"
            f" 7/' {keepalived.CONFIG}.winch-kept > /tmp/x && mv /tmp/x {keepalived.CONFIG}"
        )
    with Gap(edge.addresses[0].ip) as client:
        done, document = pair(edge_stack, "failover", "edge", "--fleet", fleet)
        assert done.returncode == 0, f"{done.stderr}{details(document)}"
        assert edge.holders() == [["lb2"]]
        assert means in document["hosts"][0]["steps"][1]["detail"]
        if "gap" in means:
            assert means in done.stderr, "it is said beforehand"
        undone = edge_stack.winch("rollback", str(document["id"]), "--yes", "--json")
        assert undone.returncode == 8, undone.stdout
    print(f"{client.seen.lost} lost, {client.seen.longest:.3f} s")
    assert edge.holders() == back
    assert edge.configuration() == before
    assert keepalived.states(edge.members[0]) == {50: "MASTER" if back == [["lb1"]] else "BACKUP"}
    resigns = "nopreempt" in settings.get("lines", ())
    assert client.unnoticed or (resigns and client.seen.lost <= 3), client.seen


def test_a_failover_of_a_double_master_pair_moves_only_what_the_member_holds(
    edge: Edge, edge_stack: Stack
) -> None:
    edge.install(homes=["lb1", "lb2"])
    fleet = str(edge.fleet())
    asked, _ = pair(edge_stack, "failover", "edge", "--fleet", fleet)
    assert asked.returncode == 5
    assert "say which one" in asked.stderr

    run(edge, edge_stack, "pair.failover", limit=("lb2",))
    assert edge.holders() == [["lb1"], ["lb1"]]
    refused, document = pair(edge_stack, "failover", "edge", "lb1", "--fleet", fleet)
    assert refused.returncode == 3, "lb2 was told to stay away"
    assert "lb2 was told to stay away" in document["detail"]
    assert edge.holders() == [["lb1"], ["lb1"]]

    back, document = pair(edge_stack, "failover", "edge", "--back", "--fleet", fleet)
    assert back.returncode == 0, f"{back.stderr}{details(document)}"
    assert edge.holders() == [["lb1"], ["lb2"]]
    assert [m.read_file(TRACK).strip() for m in edge.members] == ["0", "0"]


def test_a_worker_that_dies_in_the_middle_is_followed_by_one_that_goes_on(
    edge: Edge, edge_stack: Stack
) -> None:
    edge.install(advert_interval=1.0)
    fleet = str(edge.fleet())
    lb1 = edge.members[0]
    _, document = pair(edge_stack, "failover", "edge", "--no-wait", "--fleet", fleet)
    number = int(document["id"])
    wait_for(lambda: lb1.read_file(TRACK).strip() == "-253", "it has begun", timeout=20)
    edge_stack.workers[-1].kill()
    assert edge.holders() == [["lb1"]]
    edge_stack.worker()
    document = edge_stack.ended(number, seconds=60)
    assert document["status"] == "succeeded", details(document)
    assert edge.holders() == [["lb2"]]
    undone = edge_stack.winch("rollback", str(number), "--yes", "--json")
    assert undone.returncode == 8, undone.stdout
    assert edge.holders() == [["lb1"]]
    assert lb1.read_file(TRACK).strip() == "0", "what stood before, not what the second try saw"


def test_prepare_shows_the_lines_installs_them_and_takes_them_away_again(
    edge: Edge, edge_stack: Stack
) -> None:
    edge.install(homes=["lb1", "lb2"], track_file=None)
    fleet = str(edge.fleet(track_file=TRACK))
    before = [member.read_file(keepalived.CONFIG) for member in edge.members]
    shown = edge_stack.winch("pair", "prepare", "edge", "--fleet", fleet)
    assert shown.returncode == 0, shown.stderr
    assert f'file "{TRACK}"' in shown.stdout
    assert "vrrp_instance VI_50" in shown.stdout
    assert [member.read_file(keepalived.CONFIG) for member in edge.members] == before

    with Gap(edge.addresses[0].ip) as client:
        done, document = pair(edge_stack, "prepare", "edge", "--install", "--fleet", fleet)
        assert done.returncode == 0, f"{done.stderr}{details(document)}"
        again = run(edge, edge_stack, "pair.prepare")
        assert [h["steps"][0]["changed"] for h in again["hosts"]] == [False, False]
        moved = run(edge, edge_stack, "pair.failover", limit=("lb1",))
        assert "track_file" in moved["hosts"][0]["steps"][1]["detail"]
        run(edge, edge_stack, "pair.failback")
        undone, document = pair(edge_stack, "prepare", "edge", "--undo", "--fleet", fleet)
        assert undone.returncode == 0, f"{undone.stderr}{details(document)}"
    assert client.unnoticed, client.seen
    assert [member.read_file(keepalived.CONFIG) for member in edge.members] == before
    assert edge.holders() == [["lb1"], ["lb2"]]


def test_lines_that_keepalived_does_not_accept_are_not_installed(
    edge: Edge, edge_stack: Stack
) -> None:
    edge.install(track_file=None)
    fleet = str(edge.fleet(track_file=TRACK))
    for member in edge.members:  # on disk only: what runs is well
        member.sh(f"echo 'vrrp_instance BROKEN {{ nonsense }}' >> {keepalived.CONFIG}")
    before = edge.configuration()
    pid = edge.members[0].main_pid("keepalived")
    done, document = pair(edge_stack, "prepare", "edge", "--install", "--fleet", fleet)
    assert done.returncode in (2, 3), f"{done.stderr}{details(document)}"
    assert "keepalived -t" in details(document)
    assert edge.configuration() == before
    assert edge.members[0].main_pid("keepalived") == pid
    assert edge.holders() == [["lb1"]]
