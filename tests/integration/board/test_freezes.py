"""Freezes and later starts on the board: said over every view, made and lifted, and overridden."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from tests.integration.board.site import Site
from tests.integration.board.watching import confirm, log_in, opened, violations
from worker.freezes import freeze


def soon(**later: float) -> str:
    """A time to come, as the browser's field takes it."""
    return (datetime.now() + timedelta(**later)).strftime("%Y-%m-%dT%H:%M")  # noqa: DTZ005 - its own


def ask_for_a_roll(page: Page) -> None:
    page.get_by_label("Target").select_option("web")
    page.get_by_role("button", name="Start …").click()
    confirm(page, "Start it")


def test_a_freeze_is_made_is_said_everywhere_and_is_lifted(
    page: Page, site: Site, pictures: Path
) -> None:
    log_in(page, site.token("bob", "operator"), "/freezes")
    expect(page.get_by_text("Nothing is frozen: jobs may start.")).to_be_visible()
    page.get_by_label("Scope").fill("pool:wbe")
    page.get_by_role("button", name="Freeze", exact=True).click()
    expect(page.get_by_role("alert")).to_have_text("Until when?")
    page.get_by_label("Until").fill(soon(hours=3))
    page.get_by_label("Reason").fill("<i>sale</i>")
    page.get_by_role("button", name="Freeze", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("did you mean 'web'?")
    page.get_by_label("Scope").fill("pool:web")
    page.get_by_role("button", name="Freeze", exact=True).click()
    expect(page.get_by_role("row", name="pool:web")).to_contain_text("http:bob")
    banner = page.locator("#frozen")
    expect(banner).to_contain_text("pool:web is frozen until")
    expect(banner).to_contain_text("by http:bob: <i>sale</i>")
    page.screenshot(path=pictures / "freezes.png")
    assert violations(page) == ""

    page.goto("/new")
    expect(banner).to_be_visible()
    ask_for_a_roll(page)
    expect(page.get_by_role("alert")).to_contain_text("pool:web is frozen by http:bob until")
    page.screenshot(path=pictures / "frozen.png")
    assert violations(page) == ""
    expect(page.get_by_role("dialog")).to_have_count(0)  # an operator is not asked to override it

    page.goto("/freezes")
    page.get_by_role("button", name="Lift the freeze of pool:web").click()
    confirm(page, "Lift it")
    expect(page.get_by_text("Nothing is frozen: jobs may start.")).to_be_visible()
    expect(banner).to_be_hidden()


def test_an_admin_may_override_it_with_a_reason(page: Page, site: Site) -> None:
    store = site.stack.store
    freeze(store, "*", store.now() + 3600, "sale", "cli:ops")
    log_in(page, site.token("root", "admin"), "/new")
    ask_for_a_roll(page)
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("everything is frozen by cli:ops until")
    assert violations(page) == ""
    page.get_by_role("button", name="Override it").click()
    expect(dialog.get_by_role("alert")).to_contain_text("is needed")
    page.get_by_label("Reason for the override").fill("INC-7")
    confirm(page, "Override it")
    expect(page).to_have_url(re.compile(r"/runs/1$"))
    expect(page.get_by_role("definition").filter(has_text="INC-7")).to_be_visible()


def test_a_job_is_asked_for_later(page: Page, site: Site, pictures: Path) -> None:
    log_in(page, site.token("bob", "operator"), "/new")
    page.get_by_label("Start at").fill(soon(days=2))
    ask_for_a_roll(page)
    expect(page).to_have_url(re.compile(r"/runs/1$"))
    expect(page.get_by_text("starts at 20")).to_be_visible()
    expect(page.locator("h1 + span")).to_contain_text("queued")
    page.screenshot(path=pictures / "later.png")
    assert violations(page) == ""
    page.get_by_role("link", name="Runs", exact=True).click()
    expect(page.get_by_role("listitem").filter(has_text="#1 roll web")).to_contain_text("starts ")
    page.goto("/runs/1")
    page.get_by_role("button", name="Abort").click()
    confirm(page, "Abort")
    expect(page.locator("h1 + span")).to_contain_text("aborted")


def test_a_viewer_sees_what_is_frozen_and_can_change_nothing(browser: Browser, site: Site) -> None:
    store = site.stack.store
    freeze(store, "pool:web", store.now() + 3600, "sale", "cli:ops")
    phone = {"width": 390, "height": 800}
    with opened(browser, site, color_scheme="dark") as page:
        page.set_viewport_size(phone)  # type: ignore[arg-type]
        log_in(page, site.token("vera", "viewer"), "/freezes")
        expect(page.get_by_role("row")).to_have_count(2)
        expect(page.locator("#frozen")).to_be_visible()
        expect(page.get_by_role("button", name=re.compile("Lift|Freeze"))).to_have_count(0)
        assert violations(page) == ""
        assert page.evaluate("document.documentElement.scrollWidth") <= phone["width"]
