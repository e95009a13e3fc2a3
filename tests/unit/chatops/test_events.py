"""Plain lines for logs and pipes."""

from __future__ import annotations

from chatops.render.events import Teller
from tests.unit.chatops.documents import END, START, a_host, a_run, a_step

AT = "2026-11-21T10:01:00Z"


def test_each_change_of_a_step_is_one_line_with_time_host_step_status_and_detail() -> None:
    teller = Teller()
    first = a_run("running", a_host("web1", "pending"))
    assert [str(e) for e in teller.tell(first, at=AT, clock=0)] == [f"{START}  -  running"]
    draining = a_host("web1", "running", a_step("haproxy.drain", "running", "8 sessions left"))
    then = a_run("running", draining)
    lines = [str(event) for event in teller.tell(then, at=AT, clock=1)]
    assert lines == [f"{START}  web1  haproxy.drain  running  8 sessions left"]
    assert teller.tell(then, at=AT, clock=2) == []


def test_a_text_that_changes_all_the_time_is_told_now_and_then() -> None:
    teller = Teller()
    told = []
    for second in range(20):
        step = a_step("haproxy.drain", "running", f"{20 - second} sessions left")
        document = a_run("running", a_host("web1", "running", step))
        told += [e.detail for e in teller.tell(document, at=AT, clock=second) if e.step]
    assert told == [f"{n} sessions left" for n in (20, 15, 10, 5)]


def test_a_status_that_changes_is_told_at_once_and_with_its_own_time() -> None:
    teller = Teller()
    running = a_step("haproxy.drain", "running", "1 session left")
    teller.tell(a_run("running", a_host("web1", "running", running)), at=AT, clock=0)
    done = a_step("haproxy.drain", "succeeded", "0 sessions")
    events = teller.tell(a_run("running", a_host("web1", "running", done)), at=AT, clock=0.25)
    assert [(e.at, e.status) for e in events] == [(END, "succeeded")]


def test_a_run_that_ended_before_anybody_looked_is_told_in_the_order_of_time() -> None:
    early = a_step("haproxy.drain", "succeeded", ended_at="2026-11-21T10:00:05Z")
    late = a_step("deploy.redeploy", "failed", "no", ended_at="2026-11-21T10:00:09Z")
    host = a_host("web1", "failed", early, late, detail="deploy.redeploy: no")
    events = Teller().tell(a_run("failed", host), at=AT, clock=0)
    assert [(e.host, e.step, e.status) for e in events] == [
        ("web1", "haproxy.drain", "succeeded"),
        ("web1", "deploy.redeploy", "failed"),
        ("web1", "", "failed"),
        ("-", "", "failed"),
    ]


def test_hosts_that_never_began_make_no_lines() -> None:
    teller = Teller()
    teller.tell(a_run("running", a_host("web1", "pending")), at=AT, clock=0)
    events = teller.tell(a_run("failed", a_host("web1", "cancelled")), at=AT, clock=1)
    assert [event.host for event in events] == ["-"]


def test_a_line_stays_one_line() -> None:
    step = a_step("haproxy.drain", "failed", "first\nsecond\x1b[31m")
    events = Teller().tell(a_run("running", a_host("web1", "running", step)), at=AT, clock=0)
    assert str(events[-1]).endswith("first second\\x1b[31m")
