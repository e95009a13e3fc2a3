"""Runs from their beginning to their end, on a real worker."""

from __future__ import annotations

import pytest

from tests.kit.plans import Work
from tests.kit.stack import Stack, until
from worker import control
from worker.control import NotNow
from worker.errors import UsageError
from worker.plan import Policy
from worker.report import lease_list


def host(document: dict[str, object], name: str) -> dict[str, object]:
    return next(h for h in document["hosts"] if h["name"] == name)  # type: ignore[attr-defined]


def test_a_failed_step_rolls_its_host_back_and_nobody_else_is_touched(
    stack: Stack, work: Work
) -> None:
    stack.worker()
    broken = work.flag("broken")
    broken.touch()
    run = stack.run(work.plan(["web1", "web2"], options={"web1.two": {"fails_while": str(broken)}}))
    document = stack.ended(run)
    assert (document["status"], document["exit_code"]) == ("rolled_back", 8)
    assert work.lines() == []
    web1 = document["hosts"][0]
    assert web1["status"] == "rolled_back"
    assert [(s["name"], s["status"]) for s in web1["steps"]] == [
        ("test.one", "rolled_back"),
        ("test.two", "failed"),
        ("test.three", "cancelled"),
        ("test.remove", "succeeded"),
        ("test.remove", "succeeded"),
    ]
    assert document["hosts"][1]["status"] == "cancelled"
    assert lease_list(stack.store) == []

    broken.unlink()
    control.retry(stack.engine, run, [], "test")
    document = stack.ended(run)
    assert (document["status"], document["exit_code"]) == ("succeeded", 0)
    assert len(work.lines()) == 6
    assert [s["attempts"] for s in document["hosts"][0]["steps"]] == [2, 2, 1]


def test_with_on_failure_stop_the_host_stays_and_retry_goes_on_at_the_failed_step(
    stack: Stack, work: Work
) -> None:
    stack.worker()
    broken = work.flag("broken")
    broken.touch()
    run = stack.run(
        work.plan(
            ["web1", "web2"],
            policy=Policy(on_failure="stop"),
            options={"web1.two": {"fails_while": str(broken)}},
        )
    )
    document = stack.ended(run)
    assert (document["status"], document["exit_code"]) == ("failed", 2)
    assert "web1: test.two: failed by the test" in document["detail"]
    assert work.lines() == ["web1.one", "web1.two"]
    assert [lease["name"] for lease in lease_list(stack.store)] == [work.lease("web1")]
    broken.unlink()
    control.retry(stack.engine, run, [], "test")
    document = stack.ended(run)
    assert document["status"] == "succeeded"
    assert [s["attempts"] for s in document["hosts"][0]["steps"]] == [1, 2, 1]
    assert len(work.lines()) == 6
    with pytest.raises(NotNow, match="succeeded: nothing to retry"):
        control.retry(stack.engine, run, [], "test")


def test_a_refusal_changes_nothing_and_ends_with_3(stack: Stack, work: Work) -> None:
    stack.worker()
    flag = work.flag("refuse")
    flag.touch()
    run = stack.run(work.plan(["web1"], options={"web1.one": {"refuses_while": str(flag)}}))
    document = stack.ended(run)
    assert (document["status"], document["exit_code"]) == ("failed", 3)
    assert document["hosts"][0]["outcome"] == "refused"
    assert work.lines() == []
    assert lease_list(stack.store) == []


def test_a_closed_gate_stops_everything_and_is_tried_again_by_retry(
    stack: Stack, work: Work
) -> None:
    stack.worker()
    flag = work.flag("refuse")
    flag.touch()
    run = stack.run(work.plan(["web1", "web2"], gate={"refuses_while": str(flag)}))
    document = stack.ended(run)
    assert (document["status"], document["exit_code"]) == ("failed", 3)
    assert "refused by the test" in document["detail"]
    assert {h["status"] for h in document["hosts"]} == {"cancelled"}
    assert document["progress"] == {"done": 0, "total": 6}
    flag.unlink()
    control.retry(stack.engine, run, [], "test")
    assert stack.ended(run)["status"] == "succeeded"


def test_an_unreachable_host_is_tried_again_and_then_reported_with_4(
    stack: Stack, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack.worker()
    flag = work.flag("gone")
    flag.touch()
    run = stack.run(work.plan(["web1"], options={"web1.one": {"unreachable_while": str(flag)}}))
    until(lambda: "waiting for retry" in (stack.step(run, "web1", "test.one")["detail"] or ""))
    flag.unlink()
    assert stack.ended(run)["status"] == "succeeded"
    flag.touch()
    run = stack.run(work.plan(["web2"], options={"web2.one": {"unreachable_while": str(flag)}}))
    document = stack.ended(run)
    assert (document["status"], document["exit_code"]) == ("failed", 4)
    assert document["hosts"][0]["outcome"] == "unreachable"


def test_the_failure_budget_lets_others_go_on(stack: Stack, work: Work) -> None:
    stack.worker()
    broken = work.flag("broken")
    broken.touch()
    run = stack.run(
        work.plan(
            ["web1", "web2", "web3"],
            policy=Policy(max_failures=1),
            options={"web1.one": {"fails_while": str(broken)}},
        )
    )
    document = stack.ended(run)
    assert (document["status"], document["exit_code"]) == ("rolled_back", 8)
    assert [h["status"] for h in document["hosts"]] == ["rolled_back", "succeeded", "succeeded"]


def test_pause_lets_the_host_under_way_finish_and_resume_goes_on(stack: Stack, work: Work) -> None:
    stack.worker()
    hold = work.flag("hold")
    hold.touch()
    run = stack.run(work.plan(["web1", "web2"], options={"web1.two": {"hold_before": str(hold)}}))
    until(lambda: stack.step(run, "web1", "test.two")["status"] == "running")
    control.pause(stack.engine, run, "test")
    with pytest.raises(NotNow, match="paused already"):
        control.pause(stack.engine, run, "test")
    hold.unlink()
    until(lambda: host(stack.document(run), "web1")["status"] == "succeeded")
    document = stack.document(run)
    assert document["status"] == "paused"
    assert host(document, "web2")["status"] == "pending"
    control.resume(stack.engine, run, "test")
    assert stack.ended(run)["status"] == "succeeded"


def test_abort_stops_between_two_commands_and_gives_the_leases_back(
    stack: Stack, work: Work
) -> None:
    stack.worker()
    hold = work.flag("hold")
    hold.touch()
    run = stack.run(work.plan(["web1", "web2"], options={"web1.two": {"hold_before": str(hold)}}))
    until(lambda: stack.step(run, "web1", "test.two")["status"] == "running")
    control.abort(stack.engine, run, "test")
    document = stack.ended(run)
    assert (document["status"], document["exit_code"]) == ("aborted", 99)
    assert work.lines() == ["web1.one"]
    assert lease_list(stack.store) == []
    hold.unlink()
    control.retry(stack.engine, run, [], "test")
    assert stack.ended(run)["status"] == "succeeded"
    assert len(work.lines()) == 6


def test_rollback_undoes_every_host_that_the_run_changed(stack: Stack, work: Work) -> None:
    stack.worker()
    run = stack.run(work.plan(["web1", "web2", "web3"]))
    assert stack.ended(run)["status"] == "succeeded"
    control.rollback(stack.engine, run, "test")
    document = stack.ended(run)
    assert (document["status"], document["exit_code"]) == ("rolled_back", 8)
    assert "web3.one" not in work.lines()
    assert {h["status"] for h in document["hosts"]} == {"rolled_back"}
    with pytest.raises(NotNow, match="nothing to roll back"):
        control.rollback(stack.engine, run, "test")


def test_rollback_of_a_running_run_turns_the_host_under_way(stack: Stack, work: Work) -> None:
    stack.worker()
    hold = work.flag("hold")
    hold.touch()
    run = stack.run(work.plan(["web1", "web2"], options={"web1.two": {"hold_before": str(hold)}}))
    until(lambda: stack.step(run, "web1", "test.two")["status"] == "running")
    control.rollback(stack.engine, run, "test")
    hold.unlink()
    document = stack.ended(run)
    assert document["status"] == "rolled_back"
    assert work.lines() == []
    assert [h["status"] for h in document["hosts"]] == ["rolled_back", "cancelled"]


def test_skip_leaves_a_failed_host_and_goes_on_with_the_others(stack: Stack, work: Work) -> None:
    stack.worker()
    broken = work.flag("broken")
    broken.touch()
    run = stack.run(
        work.plan(
            ["web1", "web2"],
            policy=Policy(on_failure="stop"),
            options={"web1.two": {"fails_while": str(broken)}},
        )
    )
    stack.ended(run)
    control.skip(stack.engine, run, "web1", "test")
    document = stack.ended(run)
    assert (document["status"], document["exit_code"]) == ("succeeded", 0)
    assert [h["status"] for h in document["hosts"]] == ["skipped", "succeeded"]
    assert lease_list(stack.store) == []
    with pytest.raises(UsageError, match="has no host 'web9'; it has web1, web2"):
        control.skip(stack.engine, run, "web9", "test")


def test_a_second_run_waits_for_the_lease_and_says_for_whom(stack: Stack, work: Work) -> None:
    stack.worker()
    hold = work.flag("hold")
    hold.touch()
    first = stack.run(work.plan(["web1"], options={"web1.two": {"hold_before": str(hold)}}))
    until(lambda: stack.step(first, "web1", "test.two")["status"] == "running")
    second = stack.run(work.plan(["web1"]))
    document = stack.document(second)
    assert document["status"] == "waiting"
    assert f"held by run {first}" in document["hosts"][0]["steps"][0]["detail"]
    hold.unlink()
    assert stack.ended(first)["status"] == "succeeded"
    assert stack.ended(second)["status"] == "succeeded"


def test_a_lease_that_is_not_given_back_in_time_ends_the_run_with_6(
    stack: Stack, work: Work
) -> None:
    stack.worker()
    broken = work.flag("broken")
    broken.touch()
    first = stack.run(
        work.plan(
            ["web1"],
            policy=Policy(on_failure="stop"),
            options={"web1.two": {"fails_while": str(broken)}},
        )
    )
    assert stack.ended(first)["status"] == "failed"
    second = stack.run(work.plan(["web1"], policy=Policy(lock_wait=0.5)))
    document = stack.ended(second)
    assert (document["status"], document["exit_code"]) == ("failed", 6)
    control.abort(stack.engine, first, "test")
    assert stack.document(first)["status"] == "aborted"
    control.retry(stack.engine, second, [], "test")
    assert stack.ended(second)["status"] == "succeeded"


def test_two_hosts_of_one_pair_never_go_together_even_in_one_run(stack: Stack, work: Work) -> None:
    stack.worker()
    edge = work.lease("edge").replace("host:", "pair:")
    pair = {"web1": [edge], "web2": [edge]}
    run = stack.run(
        work.plan(["web1", "web2", "web3"], policy=Policy(max_unavailable=3), leases=pair)
    )
    assert stack.ended(run)["status"] == "succeeded"
    order = [line for line in work.lines() if not line.startswith("web3")]
    assert order in (
        ["web1.one", "web1.two", "web1.three", "web2.one", "web2.two", "web2.three"],
        ["web2.one", "web2.two", "web2.three", "web1.one", "web1.two", "web1.three"],
    )


def test_a_site_is_the_queue_whose_workers_run_its_hosts(stack: Stack, work: Work) -> None:
    stack.worker("dc2")
    run = stack.run(
        work.plan(["web1", "web2"], policy=Policy(max_unavailable=2),
                  sites={"web1": "dc1", "web2": "dc2"})
    )  # fmt: skip
    until(lambda: host(stack.document(run), "web2")["status"] == "succeeded")
    assert host(stack.document(run), "web1")["status"] == "running"
    stack.worker()  # serves every site, also those it first hears of
    assert stack.ended(run)["status"] == "succeeded"


def test_a_gate_puts_the_hosts_in_the_order_that_it_has_seen_to_be_right(
    stack: Stack, work: Work
) -> None:
    stack.worker()
    hosts = ["web1", "web2", "web3"]
    run = stack.run(
        work.plan(hosts, policy=Policy(stages=[2, 3]), gate={"order": ["web3", "web1"]})
    )
    document = stack.ended(run)
    assert document["status"] == "succeeded", document
    assert [each["name"] for each in document["hosts"]] == ["web3", "web2", "web1"]
    begun = [line for line in work.lines() if line.endswith(".one")]
    assert begun == ["web3.one", "web2.one", "web1.one"]
