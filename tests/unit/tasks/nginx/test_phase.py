"""The phase of an nginx, from what facts.sh printed on a real host in that state."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tasks.nginx.facts import Facts
from tasks.nginx.observe import parse
from tasks.nginx.params import Instance
from tasks.nginx.phase import Phase, situation
from tasks.nginx.status import status

CAPTURED = Path(__file__).parent / "captured"  # nginx 1.22.1 and 1.26.3 under systemd 252
INSTANCE = Instance(host="web1")


def captured(name: str) -> Facts:
    """Read one case."""
    return parse((CAPTURED / f"{name}.txt").read_text(encoding="utf-8"), INSTANCE)


@pytest.mark.parametrize(
    ("name", "phase", "old", "new"),
    [
        ("stopped", "not running", None, None),
        ("steady", "steady", None, "1.22.1"),
        ("staged", "steady", None, "1.22.1"),
        ("usr2_slow_bind", "USR2 under way", "1.22.1", None),
        ("usr2_failed", "steady", None, "1.22.1"),
        ("upgrading", "upgrading", "1.22.1", "1.26.3"),
        ("leaving", "old workers leaving", "1.22.1", "1.26.3"),
        ("idle", "old master idle", "1.22.1", "1.26.3"),
        ("hup_old", "upgrading", "1.22.1", "1.26.3"),
        ("rollback_pending", "rolled back, the new one leaving", "1.22.1", "1.26.3"),
        ("rolled_back", "steady", None, "1.22.1"),
        ("quit_pending", "quit pending", "1.22.1", "1.26.3"),
        ("committed", "steady", None, "1.26.3"),
        ("orphans_quit", "steady", None, "1.26.3"),
        ("restarted", "steady", None, "1.22.1"),
    ],
)
def test_a_captured_state_has_exactly_its_phase(
    name: str, phase: str, old: str | None, new: str | None
) -> None:
    now = situation(captured(name))

    assert str(now) == phase
    assert (now.old.version if now.old else None) == old
    assert (now.new.version if now.new else None) == new


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("new_master_killed", "have no master and still accept connections"),
        ("old_master_killed", "have no master and still accept connections"),
        ("pid_file_removed", "runs, but /run/nginx.pid is absent"),
    ],
)
def test_a_broken_state_says_how(name: str, how: str) -> None:
    now = situation(captured(name))

    assert now.phase is Phase.BROKEN
    assert how in now.how


def test_orphans_do_not_hide_what_the_masters_are_doing() -> None:
    assert situation(captured("new_master_killed")).core is Phase.STEADY
    assert len(situation(captured("old_master_killed")).orphans) == 2


def test_a_master_without_workers_is_broken_even_when_its_pid_file_is_right() -> None:
    facts = captured("steady")
    (master,) = facts.masters

    now = situation(replace(facts, masters=(replace(master, children=()),)))

    assert str(now) == f"broken ({master} has no workers that accept)"


def test_a_stale_oldbin_changes_nothing() -> None:
    facts = captured("steady")

    assert situation(replace(facts, oldbin=4_000_000)).phase is Phase.STEADY


def test_masters_that_the_pid_files_do_not_name_are_broken() -> None:
    facts = captured("upgrading")

    now = situation(replace(facts, oldbin=None))

    assert now.phase is Phase.BROKEN
    assert ".oldbin nothing" in now.how


def test_facts_tell_options_and_addresses_of_a_master() -> None:
    facts = captured("steady")
    (master,) = facts.masters

    assert master.argv0 == "/usr/sbin/nginx"
    assert master.options == ("-g", "daemon on; master_process on;")
    assert facts.listens(master) == {"tcp 0.0.0.0:80"}
    assert master.process.log == "/var/log/nginx/error.log"


def test_options_in_a_title_are_told_apart() -> None:
    facts = captured("steady")
    (master,) = facts.masters
    title = "nginx: master process ./nginx -c /etc/a.conf -p /srv/x -g worker_processes 2; -q"
    other = replace(master, process=replace(master.process, title=title))

    assert other.argv0 == "./nginx"
    assert other.options == ("-c", "/etc/a.conf", "-p", "/srv/x", "-g", "worker_processes 2;")


def test_status_counts_what_leaving_workers_hold_and_for_how_long() -> None:
    shown = status("web1", captured("leaving"))

    assert shown.versions == ["1.22.1", "1.26.3"]
    assert [master.role for master in shown.masters] == ["old", "new"]
    assert shown.held_connections == 3
    assert shown.held_for is not None
    assert shown.held_for < 2
    assert shown.document()["phase"] == "old workers leaving"


def test_status_notes_another_binary_on_the_disk() -> None:
    assert status("web1", captured("staged")).notes == ["/usr/sbin/nginx on the disk is 1.26.3"]
    assert status("web1", captured("steady")).notes == []
