from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows.values import (
    check_address,
    check_count,
    count_of,
    parse_duration,
    shown,
    written_duration,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("30s", 30.0), ("5m", 300.0), ("1h", 3600.0), ("1.5s", 1.5), ("0s", 0.0)],
)
def test_a_duration_is_read_as_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    ["", "5", "-5s", "5 s", "s", "5S", "5d", "1h30m", "\u0665s", "5s\n", "1e3s", "infs", ".5s"],
)
def test_what_is_no_duration_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match="500ms, 30s, 5m or 1h"):
        parse_duration(text)


def test_a_bare_number_gets_the_unit_suggested() -> None:
    with pytest.raises(ValueError, match="did you mean '5s'"):
        parse_duration("5")


@given(st.integers(min_value=0, max_value=10**9))
def test_a_written_duration_reads_back_as_it_was(milliseconds: int) -> None:
    text = written_duration(milliseconds / 1000)
    assert parse_duration(text) == pytest.approx(milliseconds / 1000)


@given(st.text(max_size=12))
def test_no_text_makes_the_duration_parser_do_anything_but_parse_or_refuse(text: str) -> None:
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        message = str(error)
    else:
        message = ""
        assert seconds >= 0
        assert re.fullmatch(r"[0-9.]+(ms|s|m|h)", text)
    assert "\n" not in message


@pytest.mark.parametrize("text", ["0", "2", "25%", "100%"])
def test_a_count_is_a_number_or_a_share(text: str) -> None:
    assert check_count(text) == text


@pytest.mark.parametrize("text", ["", "-1", "2.5", "101%", "%", "all", "2 %", "\u0662"])
def test_what_is_no_count_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"count|100%"):
        check_count(text)


@pytest.mark.parametrize(
    ("text", "total", "up", "number"),
    [
        ("2", 10, True, 2),
        ("25%", 10, True, 3),
        ("25%", 10, False, 2),
        ("100%", 7, False, 7),
        ("7%", 100, True, 7),  # 0.07 * 100 is more than 7 in floating point
        ("0%", 10, True, 0),
    ],
)
def test_a_share_is_rounded_the_way_that_is_asked_for(
    text: str, total: int, up: bool, number: int
) -> None:
    assert count_of(text, total, up=up) == number


@pytest.mark.parametrize(
    "text",
    ["10.0.0.1", "::1", "fe80::1%eth0", "web1", "web-1.example.com", "app_1", "xn--bcher-kva.de"],
)
def test_addresses_and_host_names_are_accepted(text: str) -> None:
    assert check_address(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "300.1.1.1",
        "10.0.0",
        "1",
        "-web",
        "web-",
        "web..example",
        "web 1",
        "web;1",
        "$(id)",
        "`id`",
        "web\n",
        "fe80::1%; id",
        "fe80::1%$(id)",
        "10.0.0.1%eth0",
        "[::1]",
        "http://web1",
        "wéb",
        "a" * 64,
        ".".join(["a" * 60] * 5),
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="neither an IP address nor a host name"):
        check_address(text)


def test_an_address_with_a_port_or_a_user_is_told_where_these_belong() -> None:
    with pytest.raises(ValueError, match=r"ssh\.port"):
        check_address("10.0.0.1:22")
    with pytest.raises(ValueError, match=r"ssh\.user"):
        check_address("root@web1")


@given(st.text())
def test_a_value_is_shown_on_one_short_line(text: str) -> None:
    assert len(shown(text)) <= 60
    assert shown(text).isprintable()
