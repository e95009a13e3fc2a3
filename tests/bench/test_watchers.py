"""The bench itself runs: a few watchers of a small run, without a look at how long it takes."""

from __future__ import annotations

from tests.bench import watchers


def test_every_watcher_sees_the_end_and_both_cases_are_measured() -> None:
    result = watchers.bench(3, 5, 2)
    assert [one.watchers for one in result.rounds] == [0, 5, 5, 0]
    watched = [one for one in result.rounds if one.watchers]
    assert all(one.bytes > 1000 for one in watched)  # each was sent the run and what came of it
    assert all(len(one.steps) == 9 for one in result.rounds)
    assert result.ratio > 0
    assert result.floor >= 1
