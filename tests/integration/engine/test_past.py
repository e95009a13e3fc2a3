"""What steps can find out about their own lane, and about runs before them."""

from __future__ import annotations

from dataclasses import replace

from sqlmodel import col, select, update

from tests.kit.plans import Work
from tests.kit.stack import Stack
from worker import claims
from worker.claims import Claim
from worker.models import Lane, Step
from worker.past import reached


def begin(stack: Stack, run: int, host: str, step: str, **memory: str) -> Claim:
    """Let a step have begun, past the engine; returns a claim on its lane."""
    with stack.store.write() as session:
        lane = session.exec(select(Lane).where(Lane.run_id == run, Lane.host == host)).one()
        found = session.exec(select(Step).where(Step.lane_id == lane.id, Step.name == step)).first()
        assert found is not None
        session.exec(update(Step).where(col(Step.id) == found.id).values(attempts=1, memory=memory))
        return Claim.of(lane, found)


def test_the_newest_run_counts_that_got_so_far_anywhere(stack: Stack, work: Work) -> None:
    assert reached(stack.store, "test", "work", "test.two") is None
    first, second, third = (
        stack.engine.create_run(work.plan(["web1", "web2"]), requested_by="test") for _ in range(3)
    )
    for host in ("web1", "web2"):
        begin(stack, first, host, "test.two")
    assert reached(stack.store, "test", "work", "test.two") == {"web1", "web2"}

    begin(stack, second, "web2", "test.two")
    begin(stack, third, "web1", "test.one")
    assert reached(stack.store, "test", "work", "test.two") == {"web2"}
    assert reached(stack.store, "test", "work", "test.one") == {"web1"}
    assert reached(stack.store, "test", "other", "test.two") is None
    assert reached(stack.store, "other", "work", "test.two") is None


def test_a_step_of_the_way_back_is_recalled_too_unless_it_is_there_both_ways(
    stack: Stack, work: Work
) -> None:
    plan = work.plan(["web1"])
    (lane,) = plan.lanes
    both = lane.back[0].model_copy(update={"step": lane.steps[0]})  # test.one
    lane = lane.model_copy(update={"back": [*lane.back, both]})
    run = stack.engine.create_run(plan.model_copy(update={"lanes": [lane]}), requested_by="test")

    claim = begin(stack, run, "web1", "test.remove", saw="back")
    assert claims.recall(stack.store, claim, "test.remove") == {"saw": "back"}
    assert claims.recall(stack.store, claim, "test.one") == {}  # nothing on its way forward
    begin(stack, run, "web1", "test.one", saw="forward")
    assert claims.recall(stack.store, claim, "test.one") == {"saw": "forward"}
    assert claims.recall(stack.store, replace(claim, lane_id=0), "test.one") == {}
