"""Members of a pair for tables: lb1 is home of 10.0.0.100, priorities are 150 and 100."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from tasks.keepalived.config import parse_config
from tasks.keepalived.facts import Instance, Member, State, parse_member
from tasks.keepalived.params import Address, Pair

IP = "10.0.0.100"
CONF = "/etc/keepalived/keepalived.conf"
MAINT = "/etc/keepalived/maint"
PAIR = Pair(
    name="edge",
    members=("lb1", "lb2"),
    addresses=[Address(ip=IP, interface="eth0", router_id=50, home="lb1")],
    track_file=MAINT,
)
TRACKED = f"""\
track_file maint {{
    file "{MAINT}"
    weight 1
    init_file 0
}}
vrrp_instance VI_50 {{
    priority 150
    track_file {{
        maint
    }}
}}
"""
PLAIN = "vrrp_instance VI_50 {\n    priority 150\n}\n"
_DATA = Path(__file__).parent / "data"


def instance(state: State, **values: Any) -> Instance:
    """One instance with router id 50."""
    plain = Instance(
        name="VI_50",
        router_id=50,
        interface="eth0",
        state=state,
        priority=150,
        effective=150,
        nopreempt=False,
        preempt_delay=0.0,
        advert=1.0,
        since=0.0,
        ips=frozenset({IP}),
    )
    return replace(plain, **values)


def member(
    name: str,
    state: State | None,
    *,
    holds: bool | None = None,
    text: str = TRACKED,
    value: str | None = "0",
    **values: Any,
) -> Member:
    """One member; `state` None: its keepalived is dead."""
    has = state == State.MASTER if holds is None else holds
    base = {"lb1": 150, "lb2": 100}[name]
    known = (
        None
        if state is None
        else (instance(state, **{"priority": base, "effective": base, **values}),)
    )
    return Member(
        name,
        pid=0 if state is None else 7,
        unit="active",
        addresses=frozenset({IP} if has else ()),
        instances=known,
        conf=CONF,
        config=parse_config([(CONF, text)]),
        values={} if value is None else {MAINT: value},
    )


def captured(file: str) -> Member:
    """What `facts.sh` printed on a real host."""
    return parse_member(file.split("-")[1], (_DATA / f"{file}.txt").read_text())


REAL = Pair(
    name="edge",
    members=("lb1", "lb2"),
    addresses=[
        Address(ip="10.140.94.100", interface="host0", router_id=50, home="lb1"),
        Address(ip="10.140.94.101", interface="host0", router_id=55, home="lb2"),
    ],
    advert_interval=0.1,
    track_file=MAINT,
)
