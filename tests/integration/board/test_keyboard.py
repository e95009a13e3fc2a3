"""The board without a mouse."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.integration.board.site import Site
from tests.integration.board.watching import violations
from tests.kit.plans import Work
from worker.engine import Approval
from worker.plan import Policy

_RING = """() => {
    const element = document.activeElement;
    const style = getComputedStyle(element);
    const after = getComputedStyle(element, '::after');
    const fill = element.querySelector?.('.fill');
    return [style.outlineStyle, after.outlineStyle].some((one) => one !== 'none')
        || (fill !== null && fill !== undefined && getComputedStyle(fill).stroke !== 'none');
}"""


def focused(page: Page) -> str:
    return str(
        page.evaluate("document.activeElement.getAttribute('aria-label') ?? "
                      "document.activeElement.textContent.trim()")
    )  # fmt: skip


def tab_to(page: Page, name: str, key: str = "Tab") -> None:
    """Press Tab until something has the focus; whatever has it on the way shows that."""
    for _ in range(40):
        page.keyboard.press(key)
        if focused(page) != "" and page.evaluate("document.activeElement !== document.body"):
            assert page.evaluate(_RING), f"one does not see that {focused(page)!r} has the focus"
        if focused(page).startswith(name):
            return
    raise AssertionError(f"Tab does not lead to {name!r}")


def test_a_run_is_found_approved_and_read_by_keys_alone(  # noqa: PLR0915 - one walk
    page: Page, site: Site, work: Work
) -> None:
    work.flag("broken").touch()
    plan = work.plan(
        ["web1", "web2"],
        options={"web2.two": {"fails_while": str(work.flag("broken"))}},
        policy=Policy(max_unavailable=2, on_failure="stop"),
    )
    site.ask(plan, approval=Approval("the shop", "operator"))
    site.stack.worker()
    page.goto("/")
    page.keyboard.type(site.token("bob", "operator"))  # the field has the focus already
    page.keyboard.press("Enter")
    page.get_by_role("link", name="#1 test work").wait_for()

    page.keyboard.press("Tab")
    assert focused(page) == "Skip to the content"
    page.keyboard.press("Enter")
    tab_to(page, "#1 test work")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    tab_to(page, "Approve")
    page.keyboard.press("Enter")
    assert focused(page) == "Cancel"  # nothing happens by pressing Enter twice
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert focused(page) == "Approve"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("rowheader", name="web2, failed")).to_be_visible()

    # One stop for the whole picture; arrows walk in it.
    tab_to(page, "web1, succeeded")
    page.keyboard.press("ArrowDown")
    assert focused(page).startswith("web2, failed")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert focused(page).startswith("test.two, failed")
    assert page.evaluate(_RING)
    expect(page.locator(".tip")).to_contain_text("failed by the test")
    page.keyboard.press("End")
    assert focused(page).startswith("test.three")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="test.two on web2")).to_be_focused()
    expect(page.get_by_role("complementary").locator("li.log").first).to_be_visible()
    assert violations(page) == ""
    tab_to(page, "Retry web2")
    page.keyboard.press("Escape")
    expect(page.get_by_role("gridcell", name="test.two, failed")).to_be_focused()
    page.keyboard.press("Shift+Tab")
    assert focused(page) == "All logs"

    tab_to(page, "Fleet", "Shift+Tab")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/fleet$"))
    page.go_back()
    expect(page.get_by_role("heading", name="test work")).to_be_visible()
    tab_to(page, "Log out", "Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Token")).to_be_focused()
