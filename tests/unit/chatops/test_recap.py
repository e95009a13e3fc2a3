"""How a run ended, rendered from documents."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from chatops.render.recap import advice, brief, recap
from chatops.render.words import clean, clock, listed
from tests.unit.chatops.documents import NOW, a_host, a_run, a_step

LONG = "probe.verify: web2: GET http://10.0.0.2/: expected 200, got 503 " + "and more " * 40 + "END"


def shown(document: dict[str, Any], *, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False, color_system=None)
    console.print(recap(document, now=NOW))
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


def a_failed_run(**more: Any) -> dict[str, Any]:
    bad = a_host("web2", "failed", a_step("probe.verify", "failed", LONG), detail=LONG)
    return a_run("failed", a_host("web1", "succeeded"), bad, a_host("web3", "cancelled"), **more)


def test_every_host_has_its_result_and_its_time() -> None:
    text = shown(a_failed_run())
    assert "web1  ✓ succeeded  2:00" in text
    assert "web2  ✗ failed" in text
    assert "web3  - cancelled" in text


def test_a_failure_is_said_in_full_on_any_screen() -> None:
    words = shown(a_failed_run(), width=40).split()
    assert "END" in words
    assert words.count("more") == 40


def test_a_failed_run_says_what_to_do_next() -> None:
    lines = advice(a_failed_run())
    assert [line.split("  ")[0] for line in lines] == [
        "winch retry 12",
        "winch logs 12 web2",
        "winch skip 12 web2",
        "winch rollback 12",
        "winch abort 12",
    ]


def test_a_refused_run_says_that_nothing_was_changed_and_offers_no_rollback() -> None:
    document = a_run(
        "failed", a_host("web1", "cancelled"), exit_code=3, detail="haproxy.check_pool: too few"
    )
    text = shown(document)
    assert "haproxy.check_pool: too few" in text
    assert "(refused before anything changed, exit 3)" in text
    assert "rollback" not in text


@pytest.mark.parametrize(
    ("document", "command"),
    [
        (a_run("rolled_back", a_host("web1", "rolled_back", detail="no")), "winch retry 12"),
        (a_run("paused", a_host("web1", "pending")), "winch resume 12"),
        (a_run("running", a_host("web1", "running")), "winch watch 12"),
        (a_run("aborted", a_host("web1", "cancelled")), "winch show 12"),
        (
            a_run("waiting", a_host("web1", "waiting", waiting_for="approval")),
            "winch approve 12",
        ),
    ],
)
def test_each_status_has_a_next_command(document: dict[str, Any], command: str) -> None:
    assert advice(document)[0].startswith(command)


def test_a_run_that_succeeded_needs_no_advice() -> None:
    document = a_run("succeeded", a_host("web1", "succeeded"), a_host("web2", "skipped"))
    assert advice(document) == []
    assert brief(document) == "run 12 · roll web · ✓ succeeded in 30 s: 1 host, 1 skipped"


def test_of_a_thousand_hosts_only_those_with_something_to_say_are_listed() -> None:
    hosts = [a_host(f"web{n}", "succeeded") for n in range(999)]
    text = shown(a_run("failed", *hosts, a_host("bad", "failed", detail="no")))
    assert "and 999 done" in text
    assert len(text.splitlines()) < 15


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""), (0.0123, "12 ms"), (1.42, "1.4 s"), (12.4, "12 s"), (125, "2:05"),
        (3725, "1:02:05"), (-1, "0 ms"),
    ],
)  # fmt: skip
def test_durations_are_short(seconds: float | None, text: str) -> None:
    assert clock(seconds) == text


def test_long_lists_are_cut_and_say_so() -> None:
    assert listed(["a", "b"]) == "a, b"
    assert listed([str(n) for n in range(20)], 3) == "0, 1, 2 and 17 more"


def test_text_from_hosts_keeps_its_lines_and_loses_its_control_characters() -> None:
    assert clean("a\r\nb\tc\x00\x1b[1m\x9b\u202e\xa0é") == "a\nb\tc\\x00\\x1b[1m\\x9b\\u202e é"
