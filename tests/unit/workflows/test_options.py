from __future__ import annotations

import pytest

from worker.errors import UsageError
from workflows.options import Options, parse_vars


def test_options_are_read_as_people_write_them() -> None:
    options = Options.parse(
        limit=["web1,web2", "web1"],
        exclude=[" web3 "],
        set_=["version=1.26.3", "flags=a=b", "empty="],
        max_unavailable="25%",
        stages="1, 25%,100%",
    )
    assert options.limit == ("web1", "web2")
    assert options.exclude == ("web3",)
    assert options.vars == {"version": "1.26.3", "flags": "a=b", "empty": ""}
    assert options.stages == ("1", "25%", "100%")
    assert options.max_unavailable == "25%"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("version", "--set 'version': must be KEY=VALUE, such as version=1.26.3"),
        (
            "ver sion=1",
            "--set: 'ver sion' is no name of a variable: letters, digits and '_' only",
        ),
        ("=1", "--set: '' is no name of a variable: letters, digits and '_' only"),
        ("name=x", "--set: {name} is each host's own; choose another name"),
        ("version=1\n2", "--set version: control characters are not allowed: '1\\n2'"),
    ],
)
def test_a_variable_that_cannot_be_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_vars([text])
    assert str(error.value) == message


@pytest.mark.parametrize("count", ["0", "0%", "-1", "x", ""])
def test_a_count_that_cannot_be_is_refused_with_the_options_name(count: str) -> None:
    with pytest.raises(UsageError, match=r"^--max-unavailable: "):
        Options.parse(max_unavailable=count)


def test_a_stage_that_cannot_be_is_refused_with_the_options_name() -> None:
    with pytest.raises(UsageError, match=r"^--stages: 'all' is no count"):
        Options.parse(stages="1,all")
