from __future__ import annotations

import pytest

from tasks.probe.from_host import parse_http
from tasks.probe.observation import (
    excerpt,
    expected_command,
    expected_http,
    judge_command,
    judge_http,
)
from tasks.probe.params import CommandProbe, Http


@pytest.mark.parametrize(
    ("wished", "status", "passed"),
    [
        *((None, 200, True), (None, 399, True), (None, 400, False), (None, 101, False)),
        *((503, 503, True), (200, 204, False)),
    ],
)
def test_a_status_is_judged(wished: int | None, status: int, passed: bool) -> None:
    probe = Http(url="http://192.0.2.1/", status=wished)
    assert judge_http(probe, status, "").passed is passed


def test_an_excerpt_is_one_short_printable_line() -> None:
    assert excerpt("a\x1b[31m b\r\n\tc\0") == "a [31m b c"
    assert len(excerpt("x" * 1000)) == 200


def test_expectations_are_said_in_words() -> None:
    assert expected_http(Http(url="http://192.0.2.1/")) == "status 200 to 399"
    probe = Http(url="http://192.0.2.1/", status=200, contains="v2")
    assert expected_http(probe) == "status 200, body with 'v2'"
    command = CommandProbe(run="true", exit=3, contains="x")
    assert expected_command(command) == "exit code 3, output with 'x'"
    assert judge_command(command, 3, "y", "warning").seen == "exit code 3, output 'y'"
    assert (
        judge_command(command, 1, "", "no such file").seen == "exit code 1, output 'no such file'"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody\r\n\r\nmore", (200, "body\n\nmore")),
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\nA: b\r\n\r\n", (204, "")),
        ("HTTP/2 301 \r\n\r\n", (301, "")),
        ("HTTP/1.0 200 OK\nA: b\n\nbody", (200, "body")),
        ("HTTP/1.1 100 Continue\r\n\r\n", None),
        ("", None),
        ("SSH-2.0-OpenSSH_9.2\r\n", None),
    ],
)
def test_an_answer_is_parsed(text: str, expected: tuple[int, str] | None) -> None:
    assert parse_http(text) == expected
