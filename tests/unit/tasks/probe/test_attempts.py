from __future__ import annotations

import pytest

from tasks.probe.attempts import Tally, decide, kept, next_key, open_round, resume
from tasks.probe.observation import Observation
from tasks.probe.params import Tcp


@pytest.mark.parametrize(
    ("attempts", "consecutive", "seen", "expected"),
    [
        (3, 1, "+", "passed"),
        (3, 1, "--+", "passed"),
        (3, 1, "--", "again"),
        (3, 1, "---", "failed"),
        (5, 2, "+-++", "passed"),
        (5, 2, "+-+-", "failed"),  # one try is left, two are needed
        (4, 3, "+-", "failed"),
        (4, 3, "-+++", "passed"),
        (1, 1, "-", "failed"),
    ],
)
def test_successes_in_a_row_within_the_attempts(
    attempts: int, consecutive: int, seen: str, expected: str
) -> None:
    probe, tally, verdict = Tcp(port=80, attempts=attempts, consecutive=consecutive), Tally(), ""
    for number, sign in enumerate(seen, 1):
        assert verdict in {"", "again"}
        verdict, tally = decide(probe, tally, Observation(sign == "+", "seen"))
        assert tally.tried == number
    assert verdict == expected


def test_a_tally_survives_waits_and_a_closed_round_begins_anew() -> None:
    memory: dict[str, object] = {}
    assert resume(memory, open_round(memory)) == Tally()
    for tried in (5, 10):
        memory[next_key(memory, 0)] = kept(Tally(1, tried, 0))
    assert resume(memory, open_round(memory)) == Tally(1, 10, 0)
    memory["ended_0"] = True
    assert resume(memory, open_round(memory)) == Tally()
    assert next_key(memory, open_round(memory)) == "tally_1_0"
