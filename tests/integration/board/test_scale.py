"""The arithmetic of the picture, in the browser that it runs in."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from chatops.board.assets import STATIC


@pytest.fixture(scope="module")
def blank(browser: Browser) -> Iterator[Page]:
    """A page that has the board's modules, and no server."""
    page = browser.new_page()
    types = {".js": "text/javascript", ".html": "text/html"}

    def answer(route: Any) -> None:
        path = STATIC / route.request.url.rpartition("/")[2]
        if path.is_file():
            route.fulfill(body=path.read_text(), content_type=types[path.suffix])
        else:
            route.fulfill(body="<title>blank</title>", content_type="text/html")

    page.route("**/*", answer)
    page.goto("http://board.invalid/")
    yield page
    page.close()


def call(page: Page, module: str, expression: str, argument: Any = None) -> Any:
    script = f"async (given) => {{ const m = await import('/{module}'); return {expression}; }}"
    return page.evaluate(script, argument)


def step(name: str = "probe.verify", status: str = "succeeded", **more: Any) -> dict[str, Any]:
    base = {"started_at": None, "ended_at": None, "seconds": None, "attempts": 1, "detail": None}
    return {"name": name, "status": status, **base, **more}


def at(second: int) -> str:
    return f"2026-11-21T10:{second // 60:02d}:{second % 60:02d}Z"


BASE = 1795255200  # 2026-11-21T10:00:00Z


def test_steps_of_one_second_stand_one_after_the_other(blank: Page) -> None:
    # The times are whole seconds; three steps of 0.3 s began in the same one.
    steps = [step(started_at=at(5), ended_at=at(5), seconds=0.3) for _ in range(3)]
    spans = call(blank, "scale.js", "m.spans(given, 0)", {"steps": steps, "waiting_since": None})
    assert [round(span["from"] - BASE, 1) for span in spans] == [5, 5.3, 5.6]
    assert [round(span["to"] - BASE, 1) for span in spans] == [5.3, 5.6, 5.9]


def test_what_runs_reaches_to_now_and_what_waits_for_a_lease_has_begun_to_wait(
    blank: Page,
) -> None:
    host = {
        "steps": [step(status="waiting"), step(status="pending")],
        "waiting_since": at(10),
    }
    spans = call(blank, "scale.js", "m.spans(given[0], given[1])", [host, BASE + 30])
    assert [(span["from"] - BASE, span["to"] - BASE) for span in spans] == [(10, 30)]


def test_a_pause_between_two_steps_is_a_gap(blank: Page) -> None:
    steps = [
        step(started_at=at(0), ended_at=at(2), seconds=2),
        step(started_at=at(20), ended_at=at(21), seconds=1),
    ]
    spans = call(blank, "scale.js", "m.spans(given, 0)", {"steps": steps, "waiting_since": None})
    assert [bool(span.get("gap")) for span in spans] == [False, True, False]


SCALE = """(() => {
    const scale = m.makeScale(given.spans, given.start, given.end, 1000);
    return {at: given.times.map(scale.x), breaks: scale.breaks, right: scale.right,
            ticks: m.ticks(scale)};
})()"""


def scale(page: Page, spans: list[tuple[int, int]], end: int, times: list[int]) -> Any:
    given = {
        "spans": [{"from": BASE + a, "to": BASE + b, "step": step()} for a, b in spans],
        "start": BASE,
        "end": BASE + end,
        "times": [BASE + time for time in times],
    }
    return call(page, "scale.js", SCALE, given)


def test_time_is_drawn_evenly_while_somebody_works(blank: Page) -> None:
    found = scale(blank, [(0, 40), (30, 100)], 100, [0, 25, 50, 100])
    assert found["at"] == pytest.approx([0, 250, 500, 1000])
    assert found["breaks"] == []


def test_a_night_in_which_nothing_happens_is_cut_short(blank: Page) -> None:
    found = scale(blank, [(0, 60), (36_000, 36_060)], 36_060, [0, 60, 36_000, 36_060])
    (cut,) = found["breaks"]
    assert cut["seconds"] > 35_000
    zero, first, second, last = found["at"]
    assert (zero, last) == (0, pytest.approx(1000))
    assert first > 300
    assert last - second == pytest.approx(first - zero)


def test_the_order_of_time_is_kept_and_ticks_stand_apart(blank: Page) -> None:
    found = scale(blank, [(0, 60), (9000, 9100), (20_000, 20_010)], 20_010, [*range(0, 20_010, 7)])
    assert found["at"] == sorted(found["at"])
    places = [tick["x"] for tick in found["ticks"]]
    assert all(after - before >= 72 for before, after in pairwise(places))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (0.42, "0.4 s"), (9.99, "10 s"), (12.4, "12 s"), (60, "1 min"),
     (185, "3 min 5 s"), (7800, "2 h 10 min"), (86400 * 3 + 4 * 3600, "3 d 4 h"), (-5, "0 s")],
)  # fmt: skip
def test_durations_are_said_briefly(blank: Page, seconds: float, text: str) -> None:
    assert call(blank, "format.js", "m.duration(given)", seconds) == text


@pytest.mark.parametrize(
    ("key", "ctrl", "place", "then"),
    [
        ("ArrowRight", False, (0, 0), (0, 1)),
        ("ArrowRight", False, (0, 4), (0, 4)),
        ("ArrowLeft", False, (1, 0), (1, 0)),
        ("ArrowDown", False, (0, 4), (1, 2)),  # a shorter row
        ("ArrowDown", False, (2, 1), (2, 1)),
        ("PageUp", False, (2, 1), (0, 1)),
        ("Home", False, (1, 2), (1, 0)),
        ("End", False, (0, 0), (0, 4)),
        ("Home", True, (2, 3), (0, 0)),
        ("End", True, (0, 0), (2, 3)),
    ],
)
def test_keys_walk_within_the_grid(
    blank: Page, key: str, ctrl: bool, place: tuple[int, int], then: tuple[int, int]
) -> None:
    given = {"key": key, "ctrl": ctrl, "row": place[0], "column": place[1]}
    found = call(
        blank,
        "gridkeys.js",
        "m.cellAfter({key: given.key, ctrlKey: given.ctrl}, given, [4, 2, 3], 5)",
        given,
    )
    assert found == {"row": then[0], "column": then[1]}
    assert (
        call(blank, "gridkeys.js", "m.cellAfter({key: 'x'}, {row: 0, column: 0}, [1], 1)") is None
    )
