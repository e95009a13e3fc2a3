"""Redeploys of a pair's members that restart keepalived, or the whole host."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.kit.stack import Stack
from tests.lab import keepalived
from tests.lab.edge import VERIFY, VERSION, Edge, details, pair
from tests.lab.gap import Gap
from tests.lab.host import LabHost
from tests.lab.waiting import wait_for

pytestmark = pytest.mark.lab


def redeploy(what: str, **more: Any) -> dict[str, Any]:
    """Bring the version and then do `what`."""
    return {
        "command": {
            "run": f"echo {{version}} > {VERSION}; {what}",
            "undo": f'echo "$WINCH_BEFORE" > {VERSION}; {what}',
            "facts": f"cat {VERSION}",
            **more,
        }
    }


def away(edge: Edge) -> list[dict[str, Any]]:
    """The pair's probes; they fail on a member that has the address while it is verified."""
    has_it = f"ip -4 address show dev host0 | grep -q {edge.addresses[0].ip}/"
    # Of the new version only: before, one of them must have it.
    return [*VERIFY, {"command": {"run": f"! {has_it} # {{version}}", "attempts": 1}}]


def peer_with_nopreempt(edge: Edge) -> None:
    """lb2 takes over only from a MASTER that resigns; lb1 takes back whenever it can."""
    lb2 = edge.members[1]
    lb2.sh(f"sed -i 's/state BACKUP/&\\nnopreempt/' {keepalived.CONFIG}")
    lb2.sh("keepalived -t && systemctl restart keepalived")
    wait_for(lambda: keepalived.states(lb2)[50] == "BACKUP", "lb2 is BACKUP again")


@pytest.mark.parametrize(
    ("means", "settings"),
    [
        pytest.param("track_file", {}, id="track_file"),
        pytest.param("reload with priority 1", {"track_file": None}, id="reload"),
        pytest.param("systemctl stop keepalived", {"track_file": None}, id="stop"),
    ],
)
def test_a_redeploy_that_restarts_keepalived_does_not_bring_a_member_back_unverified(
    edge: Edge, edge_stack: Stack, means: str, settings: dict[str, Any]
) -> None:
    edge.install(**settings)
    if "stop" in means:
        peer_with_nopreempt(edge)
    # What the package itself does when it is upgraded; the pause is long enough for keepalived to
    # take everything back.
    reconfigure = "DEBIAN_FRONTEND=noninteractive dpkg-reconfigure keepalived"
    restart = redeploy(f"{reconfigure} && sleep 1")
    pids = [member.main_pid("keepalived") for member in edge.members]
    fleet = str(
        edge.fleet(
            redeploy=restart,
            verify=away(edge),
            track_file=settings.get("track_file", keepalived.TRACK_FILE),
        )
    )
    before = edge.configuration()
    with Gap(edge.addresses[0].ip) as client:
        done, document = pair(edge_stack, "upgrade", "edge", "--fleet", fleet)
    assert done.returncode == 0, f"{done.stderr}{details(document)}"
    assert means in details(document)
    again = [
        [s["changed"] for s in h["steps"] if s["name"] == "vrrp.yield"][1]
        for h in document["hosts"]
    ]  # lb2, lb1
    now = [member.main_pid("keepalived") for member in edge.members]
    assert not set(pids) & set(now), "keepalived was restarted"
    assert again == [False, "stop" in means], "whoever had come back has given it up again"
    assert edge.versions() == ["1.26", "1.26"]
    assert edge.holders() == [["lb1"]]
    assert edge.configuration() == before
    print(f"{client.seen.lost} lost, {client.seen.late} late, {client.seen.longest:.3f} s")
    assert client.seen.lost == 0, client.seen
    assert client.unnoticed or "stop" in means, client.seen


def test_a_member_that_is_put_back_does_not_take_its_address_before_it_is_verified(
    edge: Edge, edge_stack: Stack
) -> None:
    edge.install(track_file=None)
    fleet = str(
        edge.fleet(
            redeploy=redeploy("systemctl restart keepalived; sleep 1"),
            verify=away(edge),
            track_file=None,
        )
    )
    before = edge.configuration()
    edge.members[0].sh("touch /srv/sabotage-1.26")
    done, document = pair(edge_stack, "upgrade", "edge", "--limit", "lb1", "--fleet", fleet)
    assert done.returncode == 8, f"{done.stderr}{details(document)}"
    assert edge.versions() == ["1.25", "1.25"]
    assert edge.holders() == [["lb1"]]
    assert edge.configuration() == before


@contextmanager
def powered(members: list[LabHost]) -> Iterator[list[str]]:
    """Boot members again when they have shut down; yields the names of those that have."""
    booted: list[str] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.2):
            for member in members:
                if not member.running:
                    member.poweroff()  # what is left of it
                    member.start()
                    booted.append(member.name)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield booted
    finally:
        over.set()
        thread.join(60)


@pytest.mark.parametrize("track_file", [keepalived.TRACK_FILE, None])
def test_an_upgrade_that_reboots_each_member_waits_for_it_and_no_client_notices(
    edge: Edge, edge_stack: Stack, track_file: str | None
) -> None:
    edge.install(track_file=track_file)
    reboot = redeploy("systemctl reboot", reboots="60s")
    fleet = str(edge.fleet(redeploy=reboot, verify=away(edge), track_file=track_file))
    before = edge.configuration()
    with Gap(edge.addresses[0].ip) as client, powered(edge.members) as booted:
        done, document = pair(edge_stack, "upgrade", "edge", "--fleet", fleet)
    assert done.returncode == 0, f"{done.stderr}{details(document)}"
    assert booted == ["lb2", "lb1"]
    assert edge.versions() == ["1.26", "1.26"]
    assert edge.holders() == [["lb1"]]
    assert edge.configuration() == before
    print(f"{client.seen.lost} lost, {client.seen.late} late, {client.seen.longest:.3f} s")
    assert client.unnoticed, client.seen


def test_a_member_that_does_not_come_back_from_its_reboot_fails_within_its_time(
    edge: Edge, edge_stack: Stack
) -> None:
    edge.install()
    fleet = str(edge.fleet(redeploy=redeploy("systemctl poweroff", reboots="4s")))
    done, document = pair(edge_stack, "upgrade", "edge", "--fleet", fleet)
    assert done.returncode in (2, 4), f"{done.stderr}{details(document)}"
    assert "expected it to have booted anew within 4 s" in details(document)
    assert edge.members[0].read_file(VERSION).strip() == "1.25", "lb1 was not touched"
    assert edge.holders() == [["lb1"]]
    edge.members[1].start()
    aborted = edge_stack.winch("abort", str(document["id"]), "--yes")
    assert aborted.returncode == 0, aborted.stderr
