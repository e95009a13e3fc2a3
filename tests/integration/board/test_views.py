"""The main views as people see them: light, dark, on a phone; axe looks at them, too.

`WINCH_TEST_PICTURES=DIR` keeps the pictures, for somebody to look at.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.integration.board.history import Past
from tests.integration.board.site import Site
from tests.integration.board.watching import log_in, opened, violations

LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "phone": {"color_scheme": "light", "has_touch": True},
    "phone-dark": {"color_scheme": "dark", "has_touch": True},
}
PHONE = {"width": 390, "height": 844}


def widest(page: Page) -> int:
    return int(page.evaluate("document.documentElement.scrollWidth"))


@pytest.mark.parametrize("look", LOOKS)
def test_the_main_views_are_well(browser: Browser, site: Site, pictures: Path, look: str) -> None:
    store = site.stack.store
    Past(9, ago=90_000, version="1.26.1", reason="weekly").write(store)
    Past(12, ago=50_000, version="1.26.2", failing={2}).write(store)
    run_id = Past(20, ago=170, failing={4}, waiting={10}, reason="CVE-2026-1234").write(store)
    with opened(browser, site, **LOOKS[look]) as page:
        if "phone" in look:
            page.set_viewport_size({"width": PHONE["width"], "height": PHONE["height"]})
        page.goto("/")
        assert violations(page) == ""
        page.screenshot(path=pictures / f"login-{look}.png")
        log_in(page, site.token("root", "admin"))

        expect(page.locator(".mini")).to_have_count(3)
        shoot(page, pictures / f"runs-{look}.png")

        page.goto(f"/runs/{run_id}")
        expect(page.get_by_role("rowheader", name="web5, failed")).to_be_visible()
        expect(page.get_by_role("rowheader", name="web11, waiting")).to_contain_text("sessions")
        shoot(page, pictures / f"run-{look}.png")
        page.get_by_role("rowheader", name="web5").click()
        expect(page.get_by_role("heading", name="web5")).to_be_visible()
        assert violations(page) == ""
        page.screenshot(path=pictures / f"host-{look}.png")

        page.goto("/leases")
        expect(page.get_by_text("every host is free")).to_be_visible()
        shoot(page, pictures / f"leases-{look}.png")
        page.goto("/freezes")
        expect(page.get_by_text("Nothing is frozen")).to_be_visible()
        shoot(page, pictures / f"freezes-{look}.png")
        page.goto("/fleet")
        expect(page.get_by_role("row", name="web1")).to_contain_text("version 1.26.3")
        shoot(page, pictures / f"fleet-{look}.png")
        page.goto("/new")
        expect(page.get_by_label("Target")).to_be_visible()
        shoot(page, pictures / f"new-{look}.png")
        page.goto("/runs/999")
        expect(page.get_by_role("heading", name="Not found")).to_be_visible()
        assert violations(page) == ""


def shoot(page: Page, path: Path) -> None:
    assert violations(page) == ""
    assert widest(page) <= (page.viewport_size or PHONE)["width"], "the page scrolls sideways"
    page.screenshot(path=path, full_page=True)


def test_nothing_moves_for_who_wants_it_still(browser: Browser, site: Site) -> None:
    run_id = Past(3, ago=20).write(site.stack.store)
    with opened(browser, site, reduced_motion="reduce") as page:
        log_in(page, site.token("vera", "viewer"), f"/runs/{run_id}")
        expect(page.locator(".b-running").first).to_be_visible()
        moving = "document.getAnimations().filter((one) => one.playState === 'running').length"
        assert page.evaluate(moving) == 0


def test_a_thousand_hosts_stay_usable(browser: Browser, site: Site, pictures: Path) -> None:
    run_id = Past(1000, ago=1700, at_once=16, failing={20, 77, 300}).write(site.stack.store)
    with opened(browser, site) as page:
        log_in(page, site.token("bob", "operator"), f"/runs/{run_id}")
        rows = page.get_by_role("rowheader")
        expect(rows.first).to_be_visible()
        assert rows.count() < 60
        expect(page.get_by_role("grid")).to_have_attribute("aria-rowcount", "1000")
        drawn = page.evaluate(
            """() => new Promise((resolve) => {
                const list = document.querySelector('.tl');
                const took = [];
                let last = performance.now();
                const step = () => {
                    const now = performance.now();
                    took.push(now - last);
                    last = now;
                    list.scrollTop += 400;
                    if (took.length < 60) requestAnimationFrame(step);
                    else resolve(took.sort((a, b) => a - b)[30]);
                };
                requestAnimationFrame(step);
            })"""
        )
        assert drawn < 100, f"the median of 60 frames while scrolling took {drawn} ms"
        assert rows.count() < 60
        page.screenshot(path=pictures / "thousand.png")
        assert violations(page) == ""

        rows.nth(20).focus()
        page.keyboard.press("Control+End")
        expect(page.get_by_role("row", name="web1000").get_by_role("gridcell").last).to_be_focused()
        page.keyboard.press("Control+Home")
        expect(page.get_by_role("rowheader", name="web1,")).to_be_focused()
        page.get_by_role("button", name="failed 3").click()
        expect(rows).to_have_count(3)
        page.get_by_role("searchbox").fill("web78")
        expect(rows).to_have_count(1)
