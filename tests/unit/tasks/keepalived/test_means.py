"""By which means a member gives up what it holds; what is undone; who holds it then."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tasks.keepalived.facts import Member, State
from tasks.keepalived.means import Means, choose, number, skew
from tasks.keepalived.prepare import blind
from tasks.keepalived.prospects import prospects
from tasks.keepalived.rejoin import Undo, undoing
from tasks.keepalived.verdict import implied_holder
from tests.unit.tasks.keepalived.members import CONF, MAINT, PAIR, PLAIN, TRACKED, instance, member

M, B = State.MASTER, State.BACKUP
ADDRESS = PAIR.addresses[0]
GROUP = "vrrp_sync_group G {\n group {\n  VI_50\n  VI_60\n }\n}\nvrrp_instance VI_60 {\n}\n"


@pytest.mark.parametrize(
    ("lb1", "lb2", "wanted"),
    [
        (member("lb1", M), member("lb2", B), "track_file /etc/keepalived/maint = -253, no gap"),
        (member("lb1", B), member("lb2", M), "track_file /etc/keepalived/maint = -253, no gap"),
        (
            member("lb1", M, text=TRACKED.replace("weight 1", "weight 50 reverse")),
            member("lb2", B),
            "track_file /etc/keepalived/maint = 5, no gap",
        ),
        (
            member("lb1", M),
            member("lb2", B, nopreempt=True),
            "track_file /etc/keepalived/maint = -254 (FAULT), then -253, a gap of about 0.61 s",
        ),
        (
            member("lb1", M, text=PLAIN),
            member("lb2", B),
            "reload with priority 1, no gap (its instances do not watch /etc/keepalived/maint: see "
            "`winch pair prepare edge`)",
        ),
        (
            member("lb1", M, value="soon"),
            member("lb2", B),
            "reload with priority 1, no gap (/etc/keepalived/maint has no one weight other than 0, "
            "or holds no number)",
        ),
        (
            member("lb1", M, priority=255, effective=255),
            member("lb2", B),
            "reload with priority 1, no gap (/etc/keepalived/maint cannot lower VI_50 below lb2's "
            "100)",
        ),
        (
            member("lb1", M, text=TRACKED + GROUP),
            member("lb2", B),
            "reload with priority 1, no gap (its instances are in a sync group)",
        ),
        (
            member("lb1", M, text=PLAIN),
            member("lb2", B, nopreempt=True),
            "systemctl stop keepalived, a gap of about 0.61 s (its instances do not watch "
            "/etc/keepalived/maint: see `winch pair prepare edge`; lb2 has nopreempt and takes "
            "over only when this one stops)",
        ),
        (
            member("lb1", M, text=""),
            member("lb2", B),
            "systemctl stop keepalived, a gap of about 0.61 s (its instances do not watch "
            "/etc/keepalived/maint: see `winch pair prepare edge`; VI_50 cannot be found in "
            f"{CONF})",
        ),
    ],
)
def test_the_best_means_is_chosen_and_says_what_it_costs(
    lb1: Member, lb2: Member, wanted: str
) -> None:
    means = choose(PAIR, lb1, lb2)
    assert str(means) == wanted
    assert Means.load(means.dump()) == means


def test_a_file_that_the_fleet_file_does_not_name_is_used_when_it_is_the_only_one() -> None:
    pair = PAIR.model_copy(update={"track_file": None})
    assert choose(pair, member("lb1", M), member("lb2", B)).path == MAINT


def test_a_sync_group_is_lowered_as_a_whole() -> None:
    means = choose(PAIR, member("lb1", M, text=PLAIN + GROUP), member("lb2", B))
    assert means.names == ("VI_50", "VI_60")


def test_a_backup_resigns_from_a_silent_master_after_skew_time() -> None:
    assert skew(instance(B, effective=100)) == pytest.approx(0.609, abs=0.001)
    assert skew(instance(B, effective=254, advert=0.1)) < 0.001


@pytest.mark.parametrize(
    ("text", "value"),
    [("0", 0), ("-100\n", -100), ("+5", 5), ("", 0), ("x", None), ("1 2", None), (None, None)],
)
def test_a_track_file_holds_a_number_or_none(text: str | None, value: int | None) -> None:
    assert number(text) == value


def yielded(means: Means, before: int = 0) -> dict[str, Any]:
    plan = {"means": means.dump(), "held": [], "before": before, "priorities": {"VI_50": 150}}
    return {"plan": plan}


BY_FILE = Means("track_file", path=MAINT, value=-253, fault=-254)
BY_RELOAD = Means("reload", names=("VI_50",), files=(CONF,))
LOWERED = member("lb1", B, priority=1, effective=1)


@pytest.mark.parametrize(
    ("me", "memory", "anyway", "undos"),
    [
        (member("lb1", B, value="-253"), yielded(BY_FILE), False, [Undo("write", MAINT, 0)]),
        (member("lb1", B, value="-253"), yielded(BY_FILE, -253), False, []),
        (member("lb1", B), yielded(BY_FILE), False, []),
        (member("lb1", B, value="-253"), {}, False, []),
        (member("lb1", B, value="-253"), {}, True, [Undo("write", MAINT, 0)]),
        (member("lb1", None), yielded(Means("stop")), False, [Undo("start")]),
        (member("lb1", None), yielded(BY_FILE), False, []),
        (member("lb1", None), {}, True, [Undo("start")]),
        (LOWERED, yielded(BY_RELOAD), False, [Undo("reload")]),
        (LOWERED, {}, True, [Undo("reload")]),
        (LOWERED, {}, False, []),
        (member("lb1", B), yielded(BY_RELOAD), False, []),
        (
            replace(LOWERED, kept=(CONF,)),
            yielded(BY_RELOAD),
            False,
            [Undo("put back", CONF), Undo("reload")],
        ),
    ],
)
def test_what_is_still_to_be_undone(
    me: Member, memory: dict[str, Any], anyway: bool, undos: list[Undo]
) -> None:
    assert undoing(me, PAIR, memory, anyway) == undos


@pytest.mark.parametrize(
    ("me", "peer", "holder"),
    [
        (member("lb1", B), member("lb2", M), "lb1"),
        (member("lb1", B, nopreempt=True), member("lb2", M), "lb2"),
        (member("lb1", B, effective=1), member("lb2", M), "lb2"),
        (member("lb1", M), member("lb2", B), "lb1"),
        (member("lb1", M, effective=90), member("lb2", B), "lb2"),
        (member("lb1", M, effective=90), member("lb2", B, nopreempt=True), "lb1"),
        (member("lb1", B), member("lb2", B), None),
        (member("lb1", None), member("lb2", M), None),
    ],
)
def test_the_preemption_mode_implies_who_holds_the_address(
    me: Member, peer: Member, holder: str | None
) -> None:
    assert implied_holder(ADDRESS, me, peer) == holder


def test_instances_that_watch_nothing_yet_are_what_prepare_is_for() -> None:
    assert blind(member("lb1", M), PAIR) == []
    assert blind(member("lb1", M, text=PLAIN), PAIR) == ["VI_50"]


def test_prospects_say_what_would_happen() -> None:
    assert prospects(PAIR, {"lb1": member("lb1", M), "lb2": member("lb2", B)}) == [
        "`winch pair failover edge lb1`: lb2 takes 10.0.0.100: track_file /etc/keepalived/maint = "
        "-253, no gap",
        "keepalived stops on lb1: lb2 takes 10.0.0.100 after 0.61 s",
        "lb1 dies: lb2 takes 10.0.0.100 after 3.6 s",
    ]
    stays = prospects(PAIR, {"lb1": member("lb1", B, nopreempt=True), "lb2": member("lb2", M)})
    assert stays[-1] == "10.0.0.100 stays on lb2: lb1 has nopreempt"
    goes = prospects(PAIR, {"lb1": member("lb1", B, preempt_delay=5.0), "lb2": member("lb2", M)})
    assert goes[-1] == "10.0.0.100 goes home to lb1 after its preempt_delay of 5 s"
    assert prospects(PAIR, {"lb1": member("lb1", M), "lb2": Member("lb2", error="no answer")}) == []
