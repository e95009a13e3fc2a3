"""What real keepaliveds said (2.2.7 of bookworm, 2.3.3 of trixie), read by the parser."""

from __future__ import annotations

import json

import pytest

from tasks.keepalived.facts import State, parse_addresses, parse_json, parse_member
from tests.unit.tasks.keepalived.members import MAINT, REAL, captured

FIRST, SECOND = REAL.addresses


@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
def test_a_healthy_double_master_pair(suite: str) -> None:
    lb1, lb2 = captured(f"{suite}-lb1"), captured(f"{suite}-lb2")

    assert lb1.running
    assert lb1.unit == "active"
    assert [lb1.holds(a) for a in REAL.addresses] == [True, False]
    assert [lb2.holds(a) for a in REAL.addresses] == [False, True]
    assert [lb1.state(a) for a in REAL.addresses] == [State.MASTER, State.BACKUP]
    assert [lb2.state(a) for a in REAL.addresses] == [State.BACKUP, State.MASTER]
    found = lb1.instance(FIRST)
    assert found is not None
    assert (found.priority, found.effective, found.nopreempt) == (150, 150, False)
    assert found.advert == pytest.approx(0.1)
    assert 0 < lb1.now - found.since < 600
    assert lb1.values == {MAINT: "0"}
    assert lb1.config.watched("VI_50") == {MAINT: 1}


def test_a_member_in_fault_says_so() -> None:
    assert captured("bookworm-lb1-fault").state(FIRST) == State.FAULT
    assert captured("bookworm-lb1-fault").values == {MAINT: "-254"}


def test_a_stopped_keepalived_holds_nothing_and_says_nothing() -> None:
    stopped = captured("stopped-lb1")
    assert not stopped.running
    assert stopped.instances is None
    assert not stopped.holds(FIRST)
    assert stopped.config.instances.keys() == {"VI_50", "VI_55"}


def test_a_killed_keepalived_leaves_its_address_behind() -> None:
    killed = captured("killed-lb1")
    assert not killed.running
    assert killed.holds(FIRST)


def test_json_that_is_cut_off_is_noticed() -> None:
    with pytest.raises(ValueError, match=r"Expecting|Unterminated|Invalid"):
        parse_member("lb1", '@json\n [{"data":{"iname":"VI\n@addr\n []')


def test_version_2_of_the_json_has_an_object_around_the_list() -> None:
    data = {
        "iname": "VI_1", "vrid": 1, "state": 9, "base_priority": 1, "effective_priority": 1,
        "nopreempt": True, "preempt_delay": 0, "adver_int": 1, "last_transition": 0,
        "vips": ["2001:DB8::1/64 dev eth0 scope global"],
    }  # fmt: skip
    (found,) = parse_json(json.dumps({"vrrp": [{"data": data}]}))
    assert found.ips == {"2001:db8::1"}
    assert found.state == State.INIT
    assert found.nopreempt


def test_addresses_of_all_interfaces_are_read() -> None:
    text = '[{"addr_info":[{"local":"10.0.0.1"},{}]},{},{"addr_info":[{"local":"FE80::1"}]}]'
    assert parse_addresses(text) == {"10.0.0.1", "fe80::1"}
    assert parse_addresses("") == frozenset()


def test_a_line_of_a_file_cannot_look_like_a_section() -> None:
    found = parse_member("lb1", "@pid 3\n@file /a\n @pid 9\n vrrp_instance X { }\n@addr\n []")
    assert found.pid == 3
    assert found.config.instances.keys() == {"X"}
