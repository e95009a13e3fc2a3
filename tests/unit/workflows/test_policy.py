from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.errors import Refused
from workflows.options import Options
from workflows.policy import pool_policy, room, stage_numbers
from workflows.sections import Pool

COUNT = st.one_of(
    st.integers(1, 50).map(str), st.integers(1, 100).map(lambda percent: f"{percent}%")
)


def pool(size: int, **policy: object) -> Pool:
    return Pool.model_validate(
        {
            "balancers": ["lb1"],
            "backends": ["app"],
            "servers": {f"web{number}": {} for number in range(size)},
            "policy": policy,
        }
    )


@pytest.mark.parametrize(
    ("size", "policy", "at_once"),
    [
        (4, {}, 1),
        (4, {"max_unavailable": "2"}, 2),
        (4, {"max_unavailable": "50%"}, 2),
        (10, {"max_unavailable": "25%"}, 2),
        (3, {"max_unavailable": "10%"}, 1),
        (4, {"max_unavailable": "100%"}, 3),
        (4, {"max_unavailable": "100%", "min_available": "0"}, 4),
        (4, {"max_unavailable": "3", "min_available": "50%"}, 2),
        (3, {"max_unavailable": "3", "min_available": "50%"}, 1),
        (1, {"min_available": "0"}, 1),
    ],
)
def test_max_unavailable_is_a_number_that_leaves_min_available(
    size: int, policy: dict[str, str], at_once: int
) -> None:
    assert pool_policy("web", pool(size, **policy), size, Options()).max_unavailable == at_once


def test_a_pool_that_can_spare_no_server_is_refused_with_the_reason() -> None:
    with pytest.raises(Refused) as error:
        pool_policy("web", pool(1), 1, Options())
    assert error.value.exit_code == 3
    assert str(error.value) == (
        "pool web: 1 server, and 1 must stay available, so none of them may be out, not 1; "
        "nothing was changed; add servers or lower pools.web.policy.min_available"
    )


def test_an_option_wins_over_the_file_but_not_over_min_available() -> None:
    options = Options(max_unavailable="3", stages=("2",))
    policy = pool_policy("web", pool(4, max_unavailable="1", stages=["1"]), 4, options)
    assert (policy.max_unavailable, policy.stages) == (3, [2, 4])
    options = Options(max_unavailable="4")
    assert pool_policy("web", pool(4), 4, options).max_unavailable == 3


@pytest.mark.parametrize(
    ("stages", "lanes", "numbers"),
    [
        ([], 10, []),
        (["1", "25%", "100%"], 10, [1, 3, 10]),
        (["1", "25%", "100%"], 2, [1, 2]),
        (["1", "25%"], 8, [1, 2, 8]),
        (["50"], 4, [4]),
        (["5", "10%"], 10, [5, 10]),
    ],
)
def test_stages_rise_to_all_lanes(stages: list[str], lanes: int, numbers: list[int]) -> None:
    assert stage_numbers(stages, lanes) == numbers


@given(st.lists(COUNT, min_size=1, max_size=6), st.integers(1, 200))
def test_stages_always_rise_and_end_with_all(stages: list[str], lanes: int) -> None:
    numbers = stage_numbers(stages, lanes)
    assert numbers == sorted(set(numbers))
    assert numbers[0] >= 1
    assert numbers[-1] == lanes


@given(st.integers(1, 60), COUNT, COUNT)
def test_what_may_be_out_never_cuts_into_min_available(
    size: int, max_unavailable: str, min_available: str
) -> None:
    some = pool(size, max_unavailable=max_unavailable, min_available=min_available)
    try:
        policy = pool_policy("web", some, size, Options())
    except Refused:
        assert room(some) == 0
        return
    left = size - policy.max_unavailable
    if min_available.endswith("%"):
        assert left * 100 >= int(min_available[:-1]) * size
    else:
        assert left >= int(min_available)
