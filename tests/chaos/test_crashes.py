"""Whatever dies, the run goes on by itself, and every step's effect is there once."""

from __future__ import annotations

import time

import pytest

from tests.kit.plans import Work
from tests.kit.stack import Stack, until
from worker.plan import Policy

pytestmark = pytest.mark.chaos

ALL = ["web1.one", "web1.two", "web1.three", "web2.one", "web2.two", "web2.three"]
WITHIN = 10.0  # seconds after the worker's return


@pytest.mark.parametrize("name", ["one", "two", "three"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_worker_killed_in_any_step_is_replaced_and_each_effect_happens_once(
    stack: Stack, work: Work, name: str, moment: str
) -> None:
    hold = work.flag("hold")
    hold.touch()
    first = stack.worker()
    run = stack.run(
        work.plan(["web1", "web2"], options={f"web1.{name}": {f"hold_{moment}": str(hold)}})
    )
    until(lambda: (stack.step(run, "web1", f"test.{name}")["detail"] or "").startswith("held"))
    first.kill()
    hold.unlink()
    returned = time.monotonic()
    stack.worker()
    document = stack.ended(run)
    assert document["status"] == "succeeded"
    assert time.monotonic() - returned < WITHIN
    assert sorted(work.lines()) == sorted(ALL)
    assert stack.step(run, "web1", f"test.{name}")["attempts"] == 2


def test_a_worker_killed_while_a_command_runs_does_not_make_it_happen_twice(
    stack: Stack, work: Work
) -> None:
    first = stack.worker()
    run = stack.run(work.plan(["web1"], options={"web1.two": {"seconds": 2.0}}))
    until(lambda: stack.step(run, "web1", "test.two")["status"] == "running")
    first.kill()
    stack.worker()
    assert stack.ended(run)["status"] == "succeeded"
    assert work.lines() == ["web1.one", "web1.two", "web1.three"]


def test_a_run_asked_for_while_no_worker_lives_begins_when_one_comes(
    stack: Stack, work: Work
) -> None:
    run = stack.run(work.plan(["web1", "web2"]))
    stack.redis.flush()
    stack.worker()
    assert stack.ended(run)["status"] == "succeeded"
    assert sorted(work.lines()) == sorted(ALL)


def test_redis_emptied_under_a_running_step_loses_nothing(stack: Stack, work: Work) -> None:
    hold = work.flag("hold")
    hold.touch()
    stack.worker()
    run = stack.run(
        work.plan(
            ["web1", "web2"],
            policy=Policy(max_unavailable=2),
            options={"web1.two": {"hold_before": str(hold)}},
        )
    )
    until(lambda: stack.step(run, "web1", "test.two")["status"] == "running")
    stack.redis.flush()
    hold.unlink()
    emptied = time.monotonic()
    assert stack.ended(run)["status"] == "succeeded"
    assert time.monotonic() - emptied < WITHIN
    assert sorted(work.lines()) == sorted(ALL)


def test_leases_are_in_redis_again_after_it_was_emptied(stack: Stack, work: Work) -> None:
    hold = work.flag("hold")
    hold.touch()
    stack.worker()
    run = stack.run(work.plan(["web1"], options={"web1.one": {"hold_before": str(hold)}}))
    until(lambda: stack.step(run, "web1", "test.one")["status"] == "running")
    client = stack.client
    stack.redis.flush()
    key = f"winch:lease:{work.lease('web1')}"
    until(lambda: client.get(key) == f"run:{run}", what="lease renewed")
    hold.unlink()
    stack.ended(run)
    until(lambda: client.get(key) is None, what="lease given back")


@pytest.mark.parametrize("kill", [True, False])
def test_redis_restarted_under_a_running_step_leaves_the_worker_alive(
    stack: Stack, work: Work, kill: bool
) -> None:
    hold = work.flag("hold")
    hold.touch()
    worker = stack.worker()
    run = stack.run(work.plan(["web1", "web2"], options={"web1.two": {"hold_before": str(hold)}}))
    until(lambda: stack.step(run, "web1", "test.two")["status"] == "running")
    stack.redis.stop(kill=kill)
    hold.unlink()  # the step ends while there is no Redis to publish the next one to
    time.sleep(1.5)  # an outage has a length; nothing could be waited for meanwhile
    stack.redis.start()
    back = time.monotonic()
    assert stack.ended(run)["status"] == "succeeded"
    assert time.monotonic() - back < WITHIN
    assert worker.process.poll() is None
    assert sorted(work.lines()) == sorted(ALL)


def test_a_paused_worker_that_wakes_up_is_refused_by_the_host(stack: Stack, work: Work) -> None:
    hold = work.flag("hold")
    hold.touch()
    first = stack.worker()
    run = stack.run(work.plan(["web1"], options={"web1.two": {"hold_before": str(hold)}}))
    until(lambda: (stack.step(run, "web1", "test.two")["detail"] or "").startswith("held"))
    first.pause()
    stack.worker()
    until(lambda: stack.step(run, "web1", "test.two")["attempts"] == 2, what="taken over")
    hold.unlink()
    assert stack.ended(run)["status"] == "succeeded"
    first.wake()
    until(
        lambda: any(c["exit_code"] == 113 for c in stack.commands(run)), what="the host's refusal"
    )
    assert work.lines() == ["web1.one", "web1.two", "web1.three"]


def test_a_stopped_worker_finishes_its_step_and_another_one_goes_on(
    stack: Stack, work: Work
) -> None:
    first = stack.worker()
    run = stack.run(work.plan(["web1"], options={"web1.two": {"seconds": 1.0}}))
    until(lambda: stack.step(run, "web1", "test.two")["status"] == "running")
    assert first.stop() == 0
    assert stack.step(run, "web1", "test.two")["status"] == "succeeded"
    stack.worker()
    assert stack.ended(run)["status"] == "succeeded"
    assert [s["attempts"] for s in stack.document(run)["hosts"][0]["steps"]] == [1, 1, 1]


def test_waiting_survives_a_crash_and_holds_no_worker(stack: Stack, work: Work) -> None:
    waits = work.flag("waits")
    waits.touch()
    first = stack.worker()
    run = stack.run(work.plan(["web1"], options={"web1.two": {"waits_while": str(waits)}}))
    until(lambda: stack.document(run)["status"] == "waiting")
    assert "waiting for sessions" in stack.step(run, "web1", "test.two")["detail"]
    first.kill()
    waits.unlink()
    stack.worker()
    assert stack.ended(run)["status"] == "succeeded"
    assert stack.step(run, "web1", "test.two")["attempts"] == 1


def test_two_workers_and_forty_hosts_never_have_more_than_the_window_out(
    stack: Stack, work: Work
) -> None:
    stack.worker()
    stack.worker()
    hosts = [f"h{n:02}" for n in range(40)]
    run = stack.run(work.plan(hosts, policy=Policy(max_unavailable=3, stages=[1, 10, 40])))
    worst = 0
    while not (document := stack.document(run))["ended_at"]:
        out = sum(h["status"] in ("running", "waiting", "failed") for h in document["hosts"])
        worst = max(worst, out)
    assert document["status"] == "succeeded"
    assert 2 <= worst <= 3
    lines = work.lines()
    assert len(lines) == len(set(lines)) == 120
    # What the hosts saw, not what the database said: how many had begun and not ended.
    out = 0
    for line in lines:
        out += {"one": 1, "two": 0, "three": -1}[line.partition(".")[2]]
        assert out <= 3
    assert {line.partition(".")[0] for line in lines[:3]} == {"h00"}
