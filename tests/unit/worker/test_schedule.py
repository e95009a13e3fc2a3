"""The sliding window, as tables and as properties of random histories."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.plan import Policy
from worker.schedule import Ending, Slots, Tally, ending, slots


def tally(**counts: int) -> Tally:
    base = {"total": 8, "pending": 8, "in_flight": 0, "out": 0, "pending_out": 0,
            "failures": 0, "ended": 0}  # fmt: skip
    return Tally(**{**base, **counts})


@pytest.mark.parametrize(
    ("state", "policy", "expected"),
    [
        (tally(), Policy(max_unavailable=2), Slots(2, 0)),
        (tally(pending=7, in_flight=1), Policy(max_unavailable=2), Slots(1, 0)),
        (tally(pending=6, in_flight=2), Policy(max_unavailable=2), Slots(0, 0)),
        # A failed host that is out of rotation takes its place in the window.
        (tally(pending=6, out=1, failures=1, ended=2), Policy(max_unavailable=2, max_failures=1),
         Slots(1, 0)),
        (tally(pending=7, out=1, failures=1, ended=1), Policy(max_unavailable=1, max_failures=5),
         Slots(0, 0)),
        # One failure more than the budget: nobody starts.
        (tally(pending=6, failures=1, ended=2), Policy(max_unavailable=2), Slots(0, 0)),
        # Stages: one canary, then two, then all.
        (tally(), Policy(max_unavailable=4, stages=[1, 2, 8]), Slots(1, 0)),
        (tally(pending=7, in_flight=1), Policy(max_unavailable=4, stages=[1, 2, 8]), Slots(0, 0)),
        (tally(pending=7, ended=1), Policy(max_unavailable=4, stages=[1, 2, 8]), Slots(1, 0)),
        (tally(pending=6, ended=2), Policy(max_unavailable=4, stages=[1, 2, 8]), Slots(4, 0)),
        # A lane that was retried is out already: it starts without taking a new slot.
        (tally(pending=8, out=1, pending_out=1), Policy(max_unavailable=1), Slots(0, 1)),
        (tally(total=0, pending=0), Policy(), Slots(0, 0)),
    ],
)  # fmt: skip
def test_slots(state: Tally, policy: Policy, expected: Slots) -> None:
    assert slots(state, policy) == expected


@pytest.mark.parametrize("closed", [{"gates_open": False}, {"stopped": True}])
def test_nothing_starts_behind_a_closed_gate_or_in_a_stopped_run(closed: dict[str, bool]) -> None:
    state = Tally(8, 8, 0, 1, 1, 0, 0, **closed)
    assert slots(state, Policy(max_unavailable=8)) == Slots(0, 0)


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_no_history_breaks_the_window_the_stages_or_the_budget(data: st.DataObject) -> None:
    """Play a whole run with random ends of lanes, retries among them."""
    total = data.draw(st.integers(1, 40))
    window = data.draw(st.integers(1, 8))
    budget = data.draw(st.integers(0, 4))
    cuts = data.draw(st.lists(st.integers(1, total), max_size=3))
    policy = Policy(max_unavailable=window, max_failures=budget, stages=sorted({*cuts, total}))
    lanes = dict.fromkeys(range(total), "pending")
    out: set[int] = set()
    for _ in range(600):
        failures = sum(s in ("failed", "rolled_back") for s in lanes.values())
        in_flight = [n for n, s in lanes.items() if s == "running"]
        pending = [n for n, s in lanes.items() if s == "pending"]
        resumable = [n for n in pending if n in out]
        idle_out = [n for n in out if lanes[n] != "running"]
        ended = sum(s in ("failed", "rolled_back", "succeeded") for s in lanes.values())
        free = slots(
            Tally(total, len(pending), len(in_flight), len(idle_out), len(resumable), failures,
                  ended),
            policy,
        )  # fmt: skip
        if failures > budget:
            assert free == Slots(0, 0)
        fresh = [n for n in pending if n not in out][: free.fresh]
        for lane in [*resumable[: free.resumed], *fresh]:
            lanes[lane] = "running"
            stage = next((s for s in policy.stages if s > ended), total)
            assert sum(s != "pending" for s in lanes.values()) <= stage or lane in out
            out.add(lane)
        assert len(out) <= window
        running = [n for n, s in lanes.items() if s == "running"]
        if running:
            lane = data.draw(st.sampled_from(running))
            lanes[lane] = data.draw(
                st.sampled_from(["succeeded", "succeeded", "failed", "rolled_back"])
            )
            if lanes[lane] != "failed":
                out.discard(lane)
        elif failures and data.draw(st.booleans()):
            for lane, status in lanes.items():  # somebody retries
                if status in ("failed", "rolled_back"):
                    lanes[lane] = "pending"
        else:
            break
    if not any(s in ("failed", "rolled_back") for s in lanes.values()):
        assert set(lanes.values()) == {"succeeded"}, "a run without failures must come to its end"


@pytest.mark.parametrize(
    ("statuses", "outcomes", "flags", "expected"),
    [
        ({"succeeded"}, set(), {}, Ending("succeeded", 0)),
        ({"succeeded", "skipped"}, set(), {}, Ending("succeeded", 0)),
        ({"failed", "cancelled"}, {"failed"}, {"changed": True}, Ending("failed", 2)),
        ({"failed"}, {"refused"}, {}, Ending("failed", 3)),
        ({"failed", "succeeded"}, {"refused"}, {"changed": True}, Ending("failed", 2)),
        ({"failed"}, {"unreachable"}, {"changed": True}, Ending("failed", 4)),
        ({"failed"}, {"lease"}, {}, Ending("failed", 6)),
        ({"rolled_back", "cancelled"}, set(), {"changed": True}, Ending("rolled_back", 8)),
        ({"rolled_back", "failed"}, {"failed"}, {"changed": True}, Ending("failed", 2)),
        ({"cancelled"}, set(), {"aborted": True}, Ending("aborted", 99)),
        ({"skipped"}, set(), {"rolling_back": True}, Ending("rolled_back", 8)),
    ],
)
def test_endings(
    statuses: set[str], outcomes: set[str], flags: dict[str, bool], expected: Ending
) -> None:
    given_flags = {"aborted": False, "changed": False, "rolling_back": False, **flags}
    assert ending(statuses, outcomes, **given_flags) == expected
