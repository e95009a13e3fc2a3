"""Freezes and later starts in the engine: what may begin, when, and who is told."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlmodel import col, select

from tests.kit.plans import Work
from tests.kit.stack import Stack, until
from worker import control
from worker.engine import Approval
from worker.errors import Frozen
from worker.freezes import freeze, freeze_list, in_force, unfreeze
from worker.models import Audit, Lane, Leader, Run
from worker.plan import Plan, Policy
from worker.windows import Window

HOUR = 3600.0
SCOPE = "pool:web"


def ask(stack: Stack, plan: Plan, **more: Any) -> int:
    run = stack.engine.create_run(plan, requested_by="cli:ops", **{"scope": SCOPE, **more})
    stack.engine.advance(run)
    return run


def frozen(stack: Stack, scope: str = SCOPE, seconds: float = HOUR) -> int:
    store = stack.store
    return freeze(store, scope, store.now() + seconds, "the sale", "cli:alice")[0]


def audit(stack: Stack, run: int | None = None) -> list[tuple[str, str, str]]:
    query = select(Audit).order_by(col(Audit.id))
    with stack.store.read() as session:
        rows = session.exec(query if run is None else query.where(Audit.run_id == run))
        return [(row.actor, row.action, row.outcome) for row in rows]


@pytest.mark.parametrize(
    ("frozen_scope", "scope", "refused"),
    [
        ("*", "pool:web", True),
        ("*", "", True),
        ("pool:web", "pool:web", True),
        ("pool:*", "pool:web", True),
        ("pool:db", "pool:web", False),
        ("pair:*", "pool:web", False),
        ("pool:we", "pool:web", False),
        ("balancer:lb2", "balancer:lb1,lb2", True),
        ("balancer:lb3", "balancer:lb1,lb2", False),
        ("pool:web", "", False),
    ],
)
def test_no_job_is_written_in_what_is_frozen(
    stack: Stack, work: Work, frozen_scope: str, scope: str, refused: bool
) -> None:
    frozen(stack, frozen_scope)
    if not refused:
        assert ask(stack, work.plan(["web1"]), scope=scope) == 1
        return
    with pytest.raises(Frozen) as told:
        ask(stack, work.plan(["web1"]), scope=scope)
    about = "everything" if frozen_scope == "*" else frozen_scope
    assert str(told.value).startswith(f"test work: {about} is frozen by cli:alice until 20")
    assert "UTC (the sale); nothing was changed; wait" in str(told.value)
    assert told.value.exit_code == 3
    with stack.store.read() as session:
        assert session.exec(select(Run)).all() == []


def test_a_freeze_ends_by_itself_and_can_be_lifted(stack: Stack, work: Work) -> None:
    number = frozen(stack)
    assert [one["scope"] for one in freeze_list(stack.store)] == [SCOPE]
    stack.store._offset = HOUR + 1  # its clock
    assert freeze_list(stack.store) == []
    ask(stack, work.plan(["web1"]))
    stack.store._offset = 0.0
    assert [row.id for row in unfreeze(stack.store, SCOPE, "cli:bob", [number])] == [number]
    assert unfreeze(stack.store, SCOPE, "cli:bob", [number]) == []
    ask(stack, work.plan(["web2"]))
    assert audit(stack)[0] == ("cli:alice", "freeze", "granted")
    assert ("cli:bob", "unfreeze", "granted") in audit(stack)


def test_an_override_is_in_the_audit_and_says_what_it_overrode(stack: Stack, work: Work) -> None:
    frozen(stack)
    stack.worker()
    run = ask(stack, work.plan(["web1"]), override_freeze=True, reason="INC-7")
    assert stack.ended(run)["status"] == "succeeded"
    with stack.store.read() as session:
        line = session.exec(select(Audit).where(Audit.action == "override freeze")).one()
    assert (line.actor, line.target, line.outcome) == ("cli:ops", SCOPE, "granted")
    assert line.detail is not None
    assert line.detail.startswith("INC-7 (pool:web is frozen by cli:alice until")


def test_a_run_under_way_is_not_touched(stack: Stack, work: Work) -> None:
    hold = work.flag("hold")
    hold.touch()
    stack.worker()
    run = ask(stack, work.plan(["web1", "web2"], options={"web1.one": {"hold_before": str(hold)}}))
    until(lambda: stack.step(run, "web1", "test.one")["status"] == "running")
    frozen(stack)
    hold.unlink()
    assert stack.ended(run)["status"] == "succeeded"


def test_what_lets_hosts_start_is_refused_and_the_way_back_is_not(stack: Stack, work: Work) -> None:
    broken = work.flag("broken")
    broken.touch()
    stack.worker()
    options = {"web2.two": {"fails_while": str(broken)}}
    plan = work.plan(["web1", "web2", "web3"], options=options, policy=Policy(on_failure="stop"))
    run = ask(stack, plan)
    assert stack.ended(run)["status"] == "failed"
    broken.unlink()
    frozen(stack)
    with pytest.raises(Frozen, match=rf"retry run {run}: pool:web is frozen by cli:alice"):
        control.retry(stack.engine, run, [], "cli:ops")
    with pytest.raises(Frozen, match="skip run"):  # web3 would start
        control.skip(stack.engine, run, "web2", "cli:ops")
    assert stack.document(run)["status"] == "failed"
    assert control.rollback(stack.engine, run, "cli:ops") == ["web1", "web2"]
    assert stack.ended(run)["status"] == "rolled_back"
    assert control.retry(stack.engine, run, [], "cli:root", override="INC-7") != []
    assert stack.ended(run)["status"] == "succeeded"
    assert ("cli:root", "override freeze", "granted") in audit(stack, run)


def test_an_override_of_yesterday_is_none_of_today(stack: Stack, work: Work) -> None:
    broken = work.flag("broken")
    broken.touch()
    frozen(stack)
    stack.worker()
    options = {"web1.two": {"fails_while": str(broken)}}
    run = ask(stack, work.plan(["web1"], options=options), override_freeze=True, reason="INC-7")
    stack.ended(run)
    with pytest.raises(Frozen):
        control.retry(stack.engine, run, [], "cli:ops")


def test_a_paused_run_is_not_resumed_and_can_be_aborted(stack: Stack, work: Work) -> None:
    hold = work.flag("hold")
    hold.touch()
    stack.worker()
    run = ask(stack, work.plan(["web1", "web2"], options={"web1.one": {"hold_before": str(hold)}}))
    until(lambda: stack.step(run, "web1", "test.one")["status"] == "running")
    control.pause(stack.engine, run, "cli:ops")
    frozen(stack)
    with pytest.raises(Frozen, match="resume run"):
        control.resume(stack.engine, run, "cli:ops")
    assert stack.document(run)["status"] == "paused"
    hold.unlink()
    control.abort(stack.engine, run, "cli:ops")
    assert stack.ended(run)["status"] == "aborted"


def test_a_run_is_not_approved_into_a_freeze(stack: Stack, work: Work) -> None:
    run = ask(stack, work.plan(["web1"]), approval=Approval("the shop", "operator"))
    number = frozen(stack)
    with pytest.raises(Frozen, match="approve run"):
        control.approve(stack.engine, run, "cli:bob")
    assert stack.document(run)["approval"]["needed"] is True
    unfreeze(stack.store, SCOPE, "cli:alice", [number])
    stack.worker()
    control.approve(stack.engine, run, "cli:bob")
    assert stack.ended(run)["status"] == "succeeded"


def test_hosts_that_wait_for_an_approval_in_the_middle_go_on(stack: Stack, work: Work) -> None:
    run = ask(stack, work.plan(["web1"]))
    with stack.store.write() as session:  # as a soak that is to be confirmed leaves it
        lane = session.exec(select(Lane).where(Lane.run_id == run)).one()
        lane.status, lane.waiting_for, lane.wait_until = "waiting", "approval", None
        session.add(lane)
    frozen(stack)
    assert control.approve(stack.engine, run, "cli:bob") == ["web1"]
    stack.worker()
    assert stack.ended(run)["status"] == "succeeded"


def test_of_a_freeze_and_starts_at_the_same_instant_one_is_first_and_the_other_is_told(
    stack: Stack, work: Work
) -> None:
    """Whoever was told that nothing is frozen has a run; whoever was refused has none."""
    race(stack, work)


def race(stack: Stack, work: Work, rounds: int = 6, starters: int = 4) -> None:
    for _ in range(rounds):
        together = threading.Barrier(starters + 1)

        def start(_number: int, together: threading.Barrier = together) -> int | None:
            together.wait()
            try:
                return stack.engine.create_run(
                    work.plan(["web1"]), requested_by="cli:ops", scope=SCOPE
                )
            except Frozen:
                return None

        def stop(together: threading.Barrier = together) -> int:
            together.wait()
            return frozen(stack)

        with ThreadPoolExecutor(starters + 1) as threads:
            stopping = threads.submit(stop)
            runs = list(threads.map(start, range(starters)))
            number = stopping.result()
        written = [run for run in runs if run is not None]
        lines = [action for _, action, outcome in audit(stack) if outcome in ("granted", "asked")]
        # In the chain of the audit every run of this round stands before the freeze.
        assert lines[-1] == "freeze"
        assert lines[-1 - len(written) : -1] == ["test"] * len(written)
        for run in written:  # written before the freeze, but not begun: the start is refused
            stack.engine.advance(run)
            document = stack.document(run)
            assert (document["status"], document["exit_code"]) == ("failed", 3)
            assert "pool:web is frozen by cli:alice" in document["detail"]
        unfreeze(stack.store, SCOPE, "cli:alice", [number])


def test_a_run_that_is_asked_for_later_starts_then_after_a_restart_of_everything(
    stack: Stack, work: Work
) -> None:
    first = stack.worker()
    until(lambda: leads(stack), what="the first worker leads")
    at = stack.store.now() + 4.0
    run = ask(stack, work.plan(["web1"]), start_at=at)
    document = stack.document(run)
    assert document["status"] == "queued"
    assert document["start_at"] is not None
    assert document["detail"].startswith(f"starts at {document['start_at'][:10]} ")
    first.kill()
    stack.redis.stop(kill=True)
    stack.redis.start()
    stack.redis.flush()  # no message is in flight for it
    assert stack.document(run)["status"] == "queued"
    stack.worker()
    assert stack.ended(run)["status"] == "succeeded"
    with stack.store.read() as session:
        begun = session.get_one(Run, run).started_at
    assert begun is not None
    assert begun >= at
    assert ("engine", "test", "due") in audit(stack, run)


def test_a_run_that_is_to_start_later_can_be_aborted_before(stack: Stack, work: Work) -> None:
    run = ask(stack, work.plan(["web1"]), start_at=stack.store.now() + HOUR)
    frozen(stack)
    control.abort(stack.engine, run, "cli:ops")
    assert stack.document(run)["status"] == "aborted"
    assert stack.document(run)["start_at"] is None


def test_a_freeze_is_looked_at_for_the_time_of_the_start(stack: Stack, work: Work) -> None:
    frozen(stack)
    with pytest.raises(Frozen):
        ask(stack, work.plan(["web1"]), start_at=stack.store.now() + HOUR / 2)
    ask(stack, work.plan(["web1"]), start_at=stack.store.now() + 2 * HOUR)


def test_a_freeze_names_the_runs_that_it_will_refuse_and_the_start_is_refused(
    stack: Stack, work: Work
) -> None:
    run = ask(stack, work.plan(["web1", "web2"]), start_at=stack.store.now() + 60)
    later = ask(stack, work.plan(["web1"]), start_at=stack.store.now() + 2 * HOUR)
    _, caught = freeze(stack.store, "*", stack.store.now() + HOUR, "the sale", "cli:alice")
    assert [one.id for one in caught] == [run]
    stack.store._offset = 61
    stack.engine.advance(run)
    document = stack.document(run)
    assert (document["status"], document["exit_code"]) == ("failed", 3)
    assert document["detail"].startswith(f"run {run}: test work: everything is frozen by cli:alice")
    assert {host["status"] for host in document["hosts"]} == {"cancelled"}
    assert stack.document(later)["status"] == "queued"
    stack.store._offset = 0.0
    with stack.store.read() as session:
        (row,) = in_force(session, stack.store.now())
    unfreeze(stack.store, "*", "cli:alice", [row.id or 0])
    stack.worker()
    control.retry(stack.engine, run, [], "cli:ops")
    assert stack.ended(run)["status"] == "succeeded"


def leads(stack: Stack) -> bool:
    with stack.store.read() as session:
        return session.get(Leader, "steward") is not None


# --- windows --------------------------------------------------------------------------------------


def windows(stack: Stack, opens: float, hours: float = 1.0) -> list[Window]:
    """A window of every day, that opens so many seconds from now, in whole minutes."""
    begin = int((stack.store.now() + opens) % 86400) // 60
    return [
        Window(
            days=list(range(7)),
            begin=begin,
            end=begin + int(hours * 60),
            timezone="UTC",
            text="nightly",
        )
    ]


def lanes(stack: Stack, run: int) -> list[str]:
    with stack.store.read() as session:
        rows = session.exec(select(Lane).where(Lane.run_id == run).order_by(col(Lane.position)))
        return [lane.status for lane in rows]


def end_lanes(stack: Stack, run: int, status: str, *, changed: bool = False) -> None:
    """Let what is under way end, as a worker would."""
    with stack.store.write() as session:
        for lane in session.exec(select(Lane).where(Lane.run_id == run, Lane.status == "running")):
            lane.status, lane.changed = status, changed
            stack.engine.leases.release(session, lane)
            session.add(lane)
    stack.engine.advance(run)


def test_a_run_waits_for_its_window_and_its_further_hosts_for_the_next(
    stack: Stack, work: Work
) -> None:
    policy = Policy(windows=windows(stack, opens=2 * HOUR))
    run = ask(stack, work.plan(["web1", "web2"], policy=policy))
    assert stack.document(run)["status"] == "queued"
    assert lanes(stack, run) == ["pending", "pending"]
    stack.store._offset = 2 * HOUR
    stack.engine.advance(run)
    assert lanes(stack, run) == ["running", "pending"]
    stack.store._offset = 4 * HOUR  # it is closed again
    stack.engine.advance(run)
    assert lanes(stack, run) == ["running", "pending"]  # what has begun goes on
    end_lanes(stack, run, "succeeded")
    assert lanes(stack, run) == ["succeeded", "pending"]
    document = stack.document(run)
    assert document["status"] == "waiting"
    assert document["detail"].startswith("its window is closed; it goes on at 20")
    stack.store._offset = 26 * HOUR + 60
    stack.engine.advance(run)
    assert lanes(stack, run) == ["succeeded", "running"]
    end_lanes(stack, run, "succeeded")
    assert stack.document(run)["status"] == "succeeded"


def test_a_host_that_is_out_goes_on_outside_of_the_window(stack: Stack, work: Work) -> None:
    policy = Policy(windows=windows(stack, opens=-60), on_failure="stop")
    run = ask(stack, work.plan(["web1", "web2"], policy=policy))
    end_lanes(stack, run, "failed", changed=True)
    assert stack.document(run)["status"] == "failed"  # not: waits for a window
    stack.store._offset = 3 * HOUR
    control.retry(stack.engine, run, [], "cli:ops")
    assert lanes(stack, run) == ["running", "pending"]
    end_lanes(stack, run, "succeeded")
    assert lanes(stack, run) == ["succeeded", "pending"]
    assert stack.document(run)["status"] == "waiting"


def test_a_run_that_waits_for_its_window_holds_nobody_else_up(stack: Stack, work: Work) -> None:
    policy = Policy(windows=windows(stack, opens=2 * HOUR))
    ask(stack, work.plan(["web1"], policy=policy))
    other = ask(stack, work.plan(["web1"]))
    assert lanes(stack, other) == ["running"]
