"""What a step does next: tables of captured states and the binary that is wanted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tasks.nginx import moves
from tasks.nginx.binary import Kept, Record
from tasks.nginx.facts import Facts
from tasks.nginx.observe import parse
from tasks.nginx.params import Instance
from tasks.nginx.phase import Situation, situation

CAPTURED = Path(__file__).parent / "captured"


def captured(name: str) -> Facts:
    return parse((CAPTURED / f"{name}.txt").read_text(encoding="utf-8"), Instance(host="web1"))


BOTH = {master.version: master.sha256 for master in captured("upgrading").masters}
OLD = Kept("1.22.1", BOTH["1.22.1"], "/usr/sbin/nginx.winch-1.22.1")
NEW = Kept("1.26.3", BOTH["1.26.3"], "/var/lib/winch/nginx/x/nginx")
OTHER = Kept("1.28.0", "0" * 64, "/x")
RECORD = Record(OLD, NEW)


def at(name: str) -> Situation:
    return situation(captured(name))


@pytest.mark.parametrize(
    ("name", "wanted", "move"),
    [
        ("steady", NEW, "upgrade"),
        ("staged", NEW, "upgrade"),
        ("usr2_slow_bind", NEW, "wait"),
        ("upgrading", NEW, "done"),
        ("leaving", NEW, "done"),
        ("idle", NEW, "done"),
        ("quit_pending", NEW, "done"),
        ("committed", NEW, "done"),
        ("upgrading", OTHER, "other"),
        ("rollback_pending", NEW, "leave"),
        ("stopped", NEW, "fail"),
        ("pid_file_removed", NEW, "fail"),
    ],
)
def test_the_way_to_a_second_master(name: str, wanted: Kept, move: str) -> None:
    assert moves.forward(at(name), wanted.sha256, None) == move


def test_the_same_binary_again_needs_another_master_than_before() -> None:
    now = at("committed")
    assert now.new is not None

    assert moves.forward(now, NEW.sha256, now.new.process.identity) == "upgrade"


@pytest.mark.parametrize(
    ("name", "wanted", "move"),
    [
        ("steady", OLD, "nothing"),
        ("staged", OLD, "nothing"),
        ("usr2_slow_bind", OLD, "wait"),
        ("upgrading", OLD, "nothing"),
        ("leaving", OLD, "reload"),
        ("idle", OLD, "reload"),
        ("hup_old", OLD, "nothing"),
        ("rollback_pending", OLD, "nothing"),
        ("quit_pending", OLD, "leave"),
        ("committed", OLD, "upgrade"),
        ("old_master_killed", OLD, "nothing"),  # captured in an upgrade back to 1.22.1
        ("new_master_killed", OLD, "upgrade"),
        ("stopped", OLD, "start"),
        ("pid_file_removed", OLD, "fail"),
        # The way back after QUIT is an upgrade to the older version: the younger master is it.
        ("upgrading", NEW, "nothing"),
        ("rollback_pending", NEW, "leave"),
    ],
)
def test_the_way_back_to_serving(name: str, wanted: Kept, move: str) -> None:
    assert moves.back(at(name), wanted.sha256) == move


@pytest.mark.parametrize(
    ("name", "wanted", "move"),
    [
        ("steady", OLD, "done"),
        ("committed", OLD, "fail"),
        ("hup_old", OLD, "quit_new"),
        ("leaving", OLD, "not_serving"),
        ("idle", OLD, "not_serving"),
        ("rollback_pending", OLD, "done"),
        ("upgrading", NEW, "let_workers_go"),
        ("leaving", NEW, "quit_old"),
        ("idle", NEW, "quit_old"),
        ("quit_pending", NEW, "done"),
        ("usr2_slow_bind", OLD, "wait"),
        ("upgrading", OTHER, "fail"),
    ],
)
def test_the_other_version_leaves_only_when_the_wanted_one_serves(
    name: str, wanted: Kept, move: str
) -> None:
    assert moves.parting(at(name), wanted.sha256) == move


@pytest.mark.parametrize(
    ("name", "record", "version"),
    [
        ("steady", None, None),
        ("steady", RECORD, "1.22.1"),
        ("committed", RECORD, "1.22.1"),
        ("staged", None, "1.22.1"),  # only the disk has another
        ("committed", None, None),
        ("committed", Record(OTHER, OTHER), None),
        ("upgrading", None, "1.22.1"),  # begun by hand
        ("upgrading", Record(OTHER, OLD), "1.22.1"),  # begun by hand after one of ours
        ("upgrading", Record(NEW, OLD), "1.26.3"),  # our own way back after QUIT, from 1.22.1
        ("idle", RECORD, "1.22.1"),
        ("new_master_killed", None, "1.26.3"),
        ("old_master_killed", None, "1.26.3"),  # only its orphans still know that version
        ("stopped", RECORD, "1.22.1"),
    ],
)
def test_the_version_to_go_back_to(name: str, record: Record | None, version: str | None) -> None:
    facts = captured(name)

    target = moves.choose_target(facts, situation(facts), record)

    assert (target.version if target else None) == version


def test_the_content_of_a_binary_is_taken_from_whoever_runs_it() -> None:
    facts = captured("old_master_killed")
    (master,) = facts.masters

    assert moves.source_of(facts, master.sha256) == f"/proc/{master.pid}/exe"
    assert moves.source_of(facts, NEW.sha256) == f"/proc/{facts.orphans[0].pid}/exe"
    assert moves.source_of(facts, "0" * 64) is None


def test_a_master_whose_workers_are_gone_does_not_serve() -> None:
    facts = captured("upgrading")
    old, new = facts.masters

    now = situation(replace(facts, masters=(old, replace(new, children=()))))

    assert not moves.serves(now, NEW.sha256, None)
    assert moves.forward(now, NEW.sha256, None) == "wait"
