"""The live table, rendered from documents."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from chatops.render.live import choose, live, summary
from tests.unit.chatops.documents import NOW, a_host, a_run, a_step


def shown(document: dict[str, Any], *, width: int = 100, height: int = 24, **more: Any) -> str:
    console = Console(
        file=io.StringIO(), width=width, height=height, highlight=False, color_system=None
    )
    console.print(live(document, now=NOW, height=height, **more))
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


def test_a_row_has_the_host_its_step_now_the_sessions_left_and_the_time() -> None:
    draining = a_step("haproxy.drain", "running", "3 of 8 sessions left")
    text = shown(a_run("running", a_host("web1", "running", draining), a_host("web2", "pending")))
    row = next(line for line in text.splitlines() if line.startswith("web1"))
    assert row.split() == [
        *("web1", "●", "running", "haproxy.drain", "1:00"),
        *("3", "of", "8", "sessions", "left"),
    ]
    assert "run 12 · roll web · ● running · by cli:ops · CVE-2026-1" in text
    assert "0 of 2 hosts · 0 of 8 steps · 1:00" in text


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_a_long_detail_is_cut_and_the_columns_before_it_are_not(width: int) -> None:
    failed = a_host("web1", "failed", detail="deploy.redeploy: web1: " + "very long " * 30)
    failed["steps"][1] = a_step("deploy.redeploy", "failed", "x")
    lines = shown(a_run("running", failed), width=width).splitlines()
    assert all(len(line) <= width for line in lines)
    row = next(line for line in lines if line.startswith("web1"))
    assert row.startswith("web1  ✗ failed  deploy.redeploy")
    assert row.rstrip().endswith("…")


def test_a_fleet_that_is_higher_than_the_screen_shows_what_matters_and_counts_the_rest() -> None:
    hosts = [a_host(f"web{n}", "succeeded") for n in range(612)]
    hosts += [a_host("bad", "failed", detail="no")]
    hosts += [a_host(f"now{n}", "running") for n in range(3)]
    hosts += [a_host(f"later{n}", "pending") for n in range(40)]
    text = shown(a_run("running", *hosts), height=24)
    lines = text.splitlines()
    assert len(lines) <= 24
    assert [line.split()[0] for line in lines if line.startswith(("bad", "now"))] == [
        *("bad", "now0", "now1", "now2")
    ]
    assert "and 612 done, 40 pending" in text


def test_more_hosts_under_way_than_lines_do_not_overflow_the_screen() -> None:
    hosts = [a_host(f"web{n}", "running") for n in range(100)]
    for height in (5, 12, 24, 50):
        assert len(shown(a_run("running", *hosts), height=height).splitlines()) <= max(height, 10)


def test_all_hosts_are_shown_in_the_plans_order_when_there_is_room() -> None:
    hosts = [a_host("b", "succeeded"), a_host("a", "running"), a_host("c", "pending")]
    assert choose(hosts, 3) == (hosts, [])
    assert summary(hosts) == "1 done, 1 running, 1 pending"


def test_a_host_cannot_send_escape_sequences_to_the_terminal() -> None:
    evil = a_step("haproxy.drain", "running", "\x1b]0;owned\x07 \x1b[2J ok\r\nnext")
    text = shown(a_run("running", a_host("web1", "running", evil)))
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "\\x1b[2J ok next" in text


def test_square_brackets_are_text_and_no_markup() -> None:
    step = a_step("haproxy.drain", "running", "[red]no[/red] [failed: 0]")
    assert "[red]no[/red] [failed: 0]" in shown(a_run("running", a_host("web1", "running", step)))


def test_notes_stand_below_the_bar() -> None:
    text = shown(a_run("paused", a_host("web1", "pending")), notes=["no worker is running"])
    assert text.splitlines()[-1].strip() == "no worker is running"


def test_the_preflights_detail_is_shown_while_no_host_has_begun() -> None:
    text = shown(a_run("running", a_host("web1", "pending"), detail="preflight: asking lb1"))
    assert "preflight: asking lb1" in text
