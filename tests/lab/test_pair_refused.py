"""What must be refused on a VRRP pair: nothing is changed, and the exit code says why."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.kit.stack import Stack
from tests.lab import keepalived
from tests.lab.edge import Edge, details, pair
from tests.lab.waiting import wait_for

pytestmark = pytest.mark.lab


def split_brain(edge: Edge) -> str:
    """Both hold the address, and each can be reached: only VRRP does not come through."""
    edge.drop_vrrp()
    wait_for(lambda: sorted(edge.holders()[0]) == ["lb1", "lb2"], "split brain", timeout=15)
    return "split brain"


def dead_haproxy_on_the_backup(edge: Edge) -> str:
    edge.members[1].sh("systemctl stop haproxy")
    return "lb2"


def fault(edge: Edge) -> str:
    edge.members[1].write_file(keepalived.TRACK_FILE, "-254\n")
    wait_for(lambda: keepalived.states(edge.members[1])[50] == "FAULT", "FAULT")
    return "FAULT"


def killed_keepalived(edge: Edge) -> str:
    # Stopped first: a parent that sees its child die starts another, which clears the address.
    edge.members[0].sh("p=$(pgrep -x keepalived); kill -STOP $p; kill -KILL $p")
    wait_for(lambda: sorted(edge.holders()[0]) == ["lb1", "lb2"], "both hold it", timeout=15)
    return "no keepalived runs there"


@pytest.mark.parametrize(
    "spoil",
    [
        split_brain,
        dead_haproxy_on_the_backup,
        fault,
        killed_keepalived,
    ],
)
def test_an_upgrade_of_a_pair_that_is_not_well_is_refused_and_nothing_is_changed(
    edge: Edge, edge_stack: Stack, spoil: Callable[[Edge], str]
) -> None:
    edge.install()
    fleet = str(edge.fleet())
    said = spoil(edge)
    before = edge.configuration(), edge.versions(), edge.holders()
    done, document = pair(edge_stack, "upgrade", "edge", "--fleet", fleet)
    assert done.returncode == 3, f"{done.stderr}{details(document)}"
    assert said in document["detail"], document["detail"]
    assert (edge.configuration(), edge.versions(), edge.holders()) == before
    acted = [c for c in edge_stack.commands(document["id"]) if c["changes"]]
    assert acted == []


def test_an_upgrade_with_an_unreachable_member_changes_nothing_and_exits_with_4(
    edge: Edge, edge_stack: Stack
) -> None:
    edge.install()
    fleet = str(edge.fleet())
    before = edge.configuration()[0], edge.versions()
    edge.members[1].kill()
    done, document = pair(edge_stack, "upgrade", "edge", "--fleet", fleet)
    assert done.returncode == 4, f"{done.stderr}{details(document)}"
    assert [host["status"] for host in document["hosts"]] == ["cancelled", "cancelled"]
    status = edge_stack.winch("pair", "status", "edge", "--fleet", fleet)
    assert status.returncode == 4
    edge.members[1].start()
    assert (edge.configuration()[0], edge.versions()) == before


def test_the_status_names_split_brain_and_says_who_holds_what(
    edge: Edge, edge_stack: Stack
) -> None:
    edge.install(homes=["lb1", "lb2"])
    fleet = str(edge.fleet())
    done = edge_stack.winch("pair", "status", "edge", "--fleet", fleet, "--json")
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)["pairs"]
    assert [(a["home"], a["holder"], a["verdict"]) for a in found["addresses"]] == [
        ("lb1", "lb1", "healthy"),
        ("lb2", "lb2", "healthy"),
    ]
    assert found["addresses"][0]["states"]["lb1"]["effective_priority"] == 150
    assert any("track_file" in text and "no gap" in text for text in found["prospects"])
    shown = edge_stack.winch("pair", "status", "edge", "--fleet", fleet)
    print(shown.stdout)
    plan = edge_stack.winch("plan", "pair.upgrade", "edge", "--fleet", fleet)
    assert plan.returncode == 0, plan.stderr + plan.stdout
    assert "track_file /etc/keepalived/maint = -253" in plan.stdout

    split_brain(edge)
    done = edge_stack.winch("pair", "status", "edge", "--fleet", fleet)
    assert done.returncode == 3
    assert "split brain: lb1 and lb2 both hold" in done.stdout
