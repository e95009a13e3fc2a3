"""A browser at the board: logged in, watched for errors, looked at by axe."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.integration.board.site import Site

SECONDS = 20.0


@contextmanager
def opened(browser: Browser, site: Site, **options: Any) -> Iterator[Page]:
    """Open a page of a profile of its own. Errors in it, CSP violations too, fail the test."""
    context = browser.new_context(
        base_url=site.base, viewport={"width": 1280, "height": 860}, locale="en-GB", **options
    )
    page = context.new_page()
    page.set_default_timeout(SECONDS * 1000)
    expect.set_options(timeout=SECONDS * 1000)
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(f"{error}\n{error.stack}"))
    page.on(
        "console",
        # A refused request is written to the console by the browser itself.
        lambda said: (
            complaints.append(said.text)
            if said.type == "error" and "Failed to load resource" not in said.text
            else None
        ),
    )
    page.on(
        "request",
        lambda sent: (
            None if sent.url.startswith((site.base, "data:")) else complaints.append(sent.url)
        ),
    )
    try:
        yield page
    finally:
        context.close()
    assert complaints == []


def log_in(page: Page, token: str, at: str = "/") -> None:
    """Paste a token into the login page, as a person would."""
    page.goto(at)
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("navigation", name="Views").wait_for()


def confirm(page: Page, button: str) -> None:
    """Say yes to what the board asks."""
    page.get_by_role("dialog").get_by_role("button", name=button, exact=True).click()


def violations(page: Page) -> str:
    """What axe finds to be wrong; empty: nothing."""
    found = Axe().run(page)
    return found.generate_report() if found.violations_count else ""
