"""Collecting one stream, however it is cut into pieces."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from worker.output import LIMIT, Output

MARK = "0123456789abcdef" * 2
ALPHABET = st.sampled_from([b"a", b"\n", b"\r\n", b"\xff", "ü".encode(), MARK.encode(), b" end "])


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    bounds = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[a:b] for a, b in pairwise(bounds)]


@given(st.lists(ALPHABET).map(b"".join), st.integers(0, 255), st.lists(st.integers(0, 10_000)))
def test_it_does_not_matter_where_the_stream_is_cut(
    said: bytes, code: int, cuts: list[int]
) -> None:
    while f"{MARK} end ".encode() in said:  # what is left may form another one
        said = said.replace(f"{MARK} end ".encode(), b"")
    lines: list[str] = []
    output = Output(MARK, lines.append)
    for piece in pieces(said + f"{MARK} end {code}\n".encode() + b"noise", cuts):
        output.feed(piece)
    text = said.decode("utf-8", "replace")
    assert output.ended
    assert output.exit_code == code
    assert output.text() == text
    expected = text.split("\n")
    if expected[-1] == "":
        expected.pop()
    assert lines == [line.rstrip("\r") for line in expected]


def test_without_its_end_it_goes_on() -> None:
    output = Output(MARK)
    output.feed(f"text{MARK} end 1".encode())
    assert not output.ended
    output.feed(b"3\n")
    assert (output.ended, output.exit_code, output.text()) == (True, 13, "text")


def test_only_the_tail_is_kept_and_the_rest_counted() -> None:
    output = Output(MARK)
    for _ in range(100):
        output.feed(b"x" * 100_000)
    output.feed(f"end{MARK} end 0\n".encode())
    assert output.dropped == 10_000_003 - LIMIT
    assert output.text().endswith("xend")


def test_an_endless_line_is_passed_on_in_pieces() -> None:
    lines: list[str] = []
    output = Output(MARK, lines.append)
    for _ in range(300):
        output.feed(b"x" * 10_000)
    output.feed(f"{MARK} end 0\n".encode())
    assert "".join(lines) == "x" * 3_000_000
    assert max(map(len, lines)) < 100_000
