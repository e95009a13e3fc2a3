"""Who comes first, who was told to stay away, and who has come back although it was."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tasks.keepalived.facts import Member, State
from tasks.keepalived.giving import comes_back, settled
from tasks.keepalived.means import Means
from tasks.keepalived.observe import Seen
from tasks.keepalived.params import Address
from tasks.keepalived.preflight import backup_first, see_holding, see_willing
from tasks.keepalived.rejoin import Undo, undoing
from tests.unit.tasks.keepalived.members import CONF, MAINT, PAIR, PLAIN, member
from worker.errors import Refused

M, B = State.MASTER, State.BACKUP
BOTH = ["lb1", "lb2"]
BY_FILE = Means("track_file", path=MAINT, value=-253, fault=-254)
BY_RELOAD = Means("reload", names=("VI_50",), files=(CONF,))
STOP = Means("stop")
LOWERED = replace(member("lb1", B, text=PLAIN, priority=1, effective=1), kept=(CONF,))


def seen(lb1: Member, lb2: Member) -> Seen:
    return {"lb1": lb1, "lb2": lb2}


@pytest.mark.parametrize(
    ("found", "members", "order"),
    [
        (seen(member("lb1", M), member("lb2", B)), BOTH, ("lb2", "lb1")),
        (seen(member("lb1", B), member("lb2", M)), BOTH, ("lb1", "lb2")),
        (seen(member("lb1", M), member("lb2", B)), ["lb1"], ()),
        (seen(member("lb1", B), member("lb2", B)), BOTH, ()),
        (seen(member("lb1", M), member("lb2", M)), BOTH, ()),
    ],
)
def test_the_one_that_holds_nothing_comes_first(
    found: Seen, members: list[str], order: tuple[str, ...]
) -> None:
    assert backup_first(PAIR, found, members) == order


def test_of_a_double_master_pair_with_everything_on_one_member_the_other_comes_first() -> None:
    second = Address(ip="10.0.0.101", interface="eth0", router_id=51, home="lb2")
    pair = PAIR.model_copy(update={"addresses": [*PAIR.addresses, second]})
    lb1 = replace(member("lb1", M), addresses=frozenset({"10.0.0.100", "10.0.0.101"}))
    assert backup_first(pair, seen(lb1, member("lb2", B)), BOTH) == ("lb2", "lb1")
    lb1 = member("lb1", M)
    lb2 = replace(member("lb2", B), addresses=frozenset({"10.0.0.101"}))
    assert backup_first(pair, seen(lb1, lb2), BOTH) == ()


def test_a_failover_of_a_home_that_holds_nothing_names_the_one_that_does() -> None:
    see_holding(PAIR, seen(member("lb1", M), member("lb2", B)), ["lb1"])
    with pytest.raises(Refused, match=r"lb2 holds everything now: .* `pair failover edge lb2`"):
        see_holding(PAIR, seen(member("lb1", B), member("lb2", M)), ["lb1"])


@pytest.mark.parametrize(
    ("lb1", "said"),
    [
        (LOWERED, r"its priority is 1 until it rejoins\): `winch pair failover edge lb1 --back`"),
        (member("lb1", B, value="-253"), "holds -253"),
    ],
)
def test_a_peer_that_was_told_to_stay_away_gets_nothing(lb1: Member, said: str) -> None:
    with pytest.raises(Refused, match=said):
        see_willing(PAIR, seen(lb1, member("lb2", M)), "lb2")
    see_willing(PAIR, seen(lb1, member("lb2", M)), "lb1")  # the other way round it may


@pytest.mark.parametrize(
    ("me", "peer", "means", "back"),
    [
        (member("lb1", B, value="-253", effective=1), member("lb2", M), BY_FILE, False),
        (member("lb1", M), member("lb2", B), BY_FILE, True),
        (member("lb1", M, holds=False), member("lb2", M), BY_FILE, True),
        (LOWERED, member("lb2", M), BY_RELOAD, False),
        (member("lb1", None), member("lb2", M), STOP, False),
        (member("lb1", B), member("lb2", M), STOP, True),  # it runs, and is about to
        (member("lb1", B, nopreempt=True), member("lb2", M), STOP, False),
        (member("lb1", B), member("lb2", M), BY_FILE, False),  # its file is written again
    ],
)
def test_a_member_that_keepalived_was_restarted_on_has_come_back_or_is_about_to(
    me: Member, peer: Member, means: Means, back: bool
) -> None:
    assert comes_back(PAIR, me, peer, means) == back


@pytest.mark.parametrize(
    ("me", "known"),
    [
        (member("lb1", B), True),
        (member("lb1", State.FAULT), True),
        (member("lb1", None), True),
        (member("lb1", State.INIT), False),
        (replace(member("lb1", B), instances=None), False),
    ],
)
def test_what_a_keepalived_that_is_starting_says_is_not_believed(me: Member, known: bool) -> None:
    assert settled(me, PAIR) == known


@pytest.mark.parametrize(
    ("means", "priority", "undos"),
    [
        (BY_RELOAD, 150, [Undo("put back", CONF), Undo("reload")]),
        (BY_RELOAD, 1, []),  # it was away before, by somebody else's word
        (STOP, 150, [Undo("put back", CONF), Undo("reload")]),  # lowered after a restart
    ],
)
def test_what_was_lowered_is_let_up_by_whoever_has_lowered_it(
    means: Means, priority: int, undos: list[Undo]
) -> None:
    plan: dict[str, Any] = {"means": means.dump(), "before": 0, "priorities": {"VI_50": priority}}
    assert undoing(LOWERED, PAIR, {"plan": plan}, anyway=False) == undos
