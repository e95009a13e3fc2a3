"""A lease that somebody breaks under its holder: the holder stops, and cannot come back unseen."""

from __future__ import annotations

from sqlmodel import select

from tests.kit.plans import Work
from tests.kit.stack import Stack, until
from worker import control
from worker.models import Lane, Lease
from worker.plan import Policy


def test_a_run_whose_lease_was_broken_does_nothing_more_and_goes_on_after_the_other_one(
    stack: Stack, work: Work
) -> None:
    stack.worker()
    hold = work.flag("hold")
    hold.touch()
    first = stack.run(
        work.plan(
            ["web1"],
            policy=Policy(on_failure="stop"),
            options={"web1.one": {"hold_after": str(hold)}},
        )
    )
    until(lambda: work.lines() == ["web1.one"], what="it is in the middle")
    control.break_lease(stack.engine, work.lease("web1"), "it is needed", "test")
    second = stack.run(work.plan(["web1"]))
    hold.unlink()
    document = stack.ended(first)
    assert document["status"] == "failed"
    assert "was taken away from run" in document["detail"]
    assert stack.step(first, "web1", "test.two")["status"] == "failed"
    assert stack.ended(second)["status"] == "succeeded"

    control.retry(stack.engine, first, [], "test")
    assert stack.ended(first)["status"] == "succeeded"
    assert work.lines() == ["web1.one", "web1.two", "web1.three"]


def test_a_lane_that_is_handed_on_still_shows_the_old_number_of_a_broken_lease(
    stack: Stack, work: Work
) -> None:
    """Without it the hosts could not refuse the lane, and would let two act under the lease."""
    run = stack.run(work.plan(["web1"], leases={"web1": [work.lease("pair")]}))
    with stack.store.read() as session:
        held = dict(session.exec(select(Lane).where(Lane.run_id == run)).one().numbers)
    control.break_lease(stack.engine, work.lease("pair"), "it is needed", "test")
    with stack.store.write() as session:
        lane = session.exec(select(Lane).where(Lane.run_id == run)).one()
        stack.engine.leases.raise_numbers(session, lane, stack.store.now())
        session.add(lane)
        numbers = dict(lane.numbers)
        broken = session.exec(select(Lease).where(Lease.name == work.lease("pair"))).one()
    assert numbers[work.lease("pair")] == held[work.lease("pair")] < broken.number
    assert numbers[work.lease("web1")] > held[work.lease("web1")]
