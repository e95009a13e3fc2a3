"""A run with an approval, a failure and a retry, steered in the browser alone."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from tests.integration.board.site import Site
from tests.integration.board.watching import confirm, log_in, opened, violations
from tests.kit.plans import Work
from worker.engine import Approval
from worker.plan import Plan, Policy


def a_roll(work: Work) -> Plan:
    """web2 fails as long as it must; web3 is held until it may go on."""
    work.flag("broken").touch()
    work.flag("held").touch()
    return work.plan(
        ["web1", "web2", "web3", "web4"],
        options={
            "web1.one": {"seconds": 0.6},
            "web1.two": {"seconds": 0.4},
            "web2.one": {"seconds": 0.5},
            "web2.two": {"seconds": 0.3, "fails_while": str(work.flag("broken"))},
            "web3.two": {"hold_before": str(work.flag("held"))},
        },
        policy=Policy(max_unavailable=3, on_failure="stop"),
    )


def status(page: Page) -> str:
    return page.locator("h1 + span").inner_text()


def row(page: Page, host: str) -> str:
    return page.get_by_role("rowheader", name=host).get_attribute("aria-label") or ""


def test_a_run_is_approved_fails_and_is_retried(
    page: Page, site: Site, work: Work, pictures: Path
) -> None:
    run_id = site.ask(a_roll(work), approval=Approval("the shop", "operator"))
    site.stack.worker()
    log_in(page, site.token("bob", "operator"))
    page.evaluate("window.same = true")  # gone with the first reload

    page.get_by_role("link", name=f"#{run_id} test work").click()
    expect(page.get_by_text("waiting for approval by another person")).to_be_visible()
    assert violations(page) == ""
    page.get_by_role("button", name="Approve").click()
    page.screenshot(path=pictures / "ask.png")
    assert violations(page) == ""
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert site.stack.document(run_id)["approval"]["needed"] is True
    page.get_by_role("button", name="Approve").click()
    confirm(page, "Approve")

    # It goes on by itself, in the picture, too.
    expect(page.get_by_role("rowheader", name="web2, failed")).to_be_visible()
    expect(page.get_by_role("gridcell", name="test.two, failed")).to_be_visible()
    expect(page.get_by_role("gridcell", name="test.two, running, held")).to_be_visible()
    expect(page.get_by_text("Approved by")).to_be_visible()
    page.screenshot(path=pictures / "failure.png")

    # The logs are a click away.
    page.get_by_role("gridcell", name="test.two, failed").click()
    details = page.get_by_role("complementary", name="Details")
    expect(details.get_by_role("heading", name="test.two on web2")).to_be_focused()
    expect(details.get_by_text("failed by the test")).to_be_visible()
    expect(details.locator("li.log").first).to_contain_text("web2.two")
    task = details.get_by_role("link", name=re.compile("Flower"))
    expect(task).to_have_attribute(
        "href", re.compile(r"^http://127\.0\.0\.1:5555/task/[0-9a-f-]+$")
    )
    page.screenshot(path=pictures / "logs.png")
    assert violations(page) == ""
    page.keyboard.press("Escape")
    expect(page.get_by_role("gridcell", name="test.two, failed")).to_be_focused()

    work.flag("held").unlink()
    assert site.stack.ended(run_id)["status"] == "failed"
    expect(page.locator("h1 + span")).to_contain_text("failed")
    work.flag("broken").unlink()
    page.get_by_role("button", name="Retry", exact=True).click()
    confirm(page, "Retry")
    expect(page.locator("h1 + span")).to_contain_text("succeeded")
    expect(
        page.get_by_role("gridcell", name=re.compile("test.two, succeeded.*2 attempts"))
    ).to_be_visible()
    expect(page.get_by_role("button", name="Abort")).to_have_count(0)
    page.screenshot(path=pictures / "succeeded.png")
    assert violations(page) == ""
    assert page.evaluate("window.same") is True
    assert site.stack.document(run_id)["approval"]["approved_by"] == "http:bob"


def test_pause_resume_skip_and_abort_ask_first(page: Page, site: Site, work: Work) -> None:
    run_id = site.ask(a_roll(work).model_copy(update={"policy": Policy(on_failure="stop")}))
    log_in(page, site.token("bob", "operator"), f"/runs/{run_id}")
    page.get_by_role("button", name="Pause").click()
    confirm(page, "Pause")
    expect(page.locator("h1 + span")).to_contain_text("paused")
    page.get_by_role("button", name="Resume").click()
    confirm(page, "Resume")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    page.get_by_role("rowheader", name="web4").click()
    page.get_by_role("button", name="Skip web4").click()
    confirm(page, "Skip")
    expect(page.get_by_role("rowheader", name="web4, skipped")).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Abort").click()
    confirm(page, "Abort")
    expect(page.locator("h1 + span")).to_contain_text("aborted")


def test_who_is_too_late_is_told(page: Page, site: Site, work: Work) -> None:
    run_id = site.ask(a_roll(work), approval=Approval("the shop", "operator"))
    log_in(page, site.token("bob", "operator"), f"/runs/{run_id}")
    page.get_by_role("button", name="Approve").click()
    with site.client() as other:
        headers = {"Authorization": f"Bearer {site.token('carol', 'operator')}"}
        assert other.post(f"/api/v1/runs/{run_id}/approve", headers=headers).status_code == 200
    confirm(page, "Approve")
    expect(page.locator(".toast.bad")).to_contain_text("nothing of it waits for an approval")


def test_the_asker_is_not_offered_to_approve(page: Page, site: Site, work: Work) -> None:
    run_id = site.ask(a_roll(work), approval=Approval("the shop", "operator"))
    log_in(page, site.token("alice", "operator"), f"/runs/{run_id}")
    expect(page.get_by_text("another person has to approve it")).to_be_visible()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    expect(page.get_by_role("button", name="Approve")).to_have_count(0)


def test_a_viewer_is_offered_nothing_but_to_look(page: Page, site: Site, work: Work) -> None:
    run_id = site.ask(a_roll(work))
    log_in(page, site.token("vera", "viewer"), f"/runs/{run_id}")
    page.get_by_role("rowheader", name="web1").click()
    expect(page.get_by_role("heading", name="web1")).to_be_visible()
    expect(page.locator(".act")).to_have_count(0)
    expect(page.get_by_role("link", name="Start a job")).to_have_count(0)
    page.goto("/leases")
    expect(page.get_by_role("heading", name="Leases")).to_be_visible()
    expect(page.locator(".act")).to_have_count(0)


def test_a_run_beyond_ones_scopes_does_not_exist(page: Page, site: Site, work: Work) -> None:
    run_id = site.ask(a_roll(work))
    log_in(page, site.token("dora", "operator", "pool:db"), f"/runs/{run_id}")
    expect(page.get_by_role("heading", name="Not found")).to_be_visible()


def test_a_job_is_started_from_the_form(page: Page, site: Site, pictures: Path) -> None:
    log_in(page, site.token("bob", "operator"), "/new")
    page.get_by_label("Target").select_option("web")
    page.get_by_label("Variables").fill("version 2")
    page.get_by_role("button", name="Start …").click()
    expect(page.get_by_role("alert")).to_contain_text("is not KEY=VALUE")
    page.get_by_label("Variables").fill("version=2")
    page.get_by_label("Hosts", exact=True).fill("web9")
    page.get_by_role("button", name="Start …").click()
    expect(page.get_by_role("alert")).to_contain_text("web9")  # said by the plan, before it asks
    assert violations(page) == ""
    page.get_by_label("Hosts", exact=True).fill("web1, web3")
    page.get_by_label("Reason").fill("<b>new</b> kernel")
    page.get_by_role("button", name="Start …").click()
    planned = page.get_by_role("dialog").get_by_role("region", name="What it would do now")
    expect(planned.get_by_role("heading", name="web3")).to_be_visible()
    expect(planned).to_contain_text("deploy.redeploy")
    expect(planned).to_contain_text("/nonexistent/winch.sock")  # what the preflight would say
    page.screenshot(path=pictures / "plan.png")
    assert violations(page) == ""
    confirm(page, "Start it")
    expect(page).to_have_url(re.compile(r"/runs/1$"))
    expect(page.get_by_role("heading", name="roll web")).to_be_visible()
    expect(page.get_by_text("<b>new</b> kernel")).to_be_visible()  # as text
    expect(page.get_by_role("rowheader")).to_have_count(2)


def test_a_lease_is_broken_with_a_reason_only(page: Page, site: Site, work: Work) -> None:
    work.flag("held").touch()
    plan = work.plan(["web1"], options={"web1.one": {"hold_before": str(work.flag("held"))}})
    run_id = site.ask(plan)
    log_in(page, site.token("root", "admin"), "/leases")
    lease = page.get_by_role("row", name=re.compile(f"#{run_id} test work"))
    expect(lease).to_be_visible()
    assert violations(page) == ""
    lease.get_by_role("button", name="Break").click()
    confirm(page, "Break it")
    expect(page.get_by_role("alert")).to_contain_text("Reason is needed")
    page.get_by_role("textbox", name="Reason").fill("its site is gone")
    confirm(page, "Break it")
    expect(page.get_by_text("every host is free")).to_be_visible()


def test_a_lost_server_is_said_and_found_again(browser: Browser, site: Site, work: Work) -> None:
    run_id = site.ask(a_roll(work), approval=Approval("the shop", "operator"))
    with opened(browser, site) as page:
        log_in(page, site.token("bob", "operator"), f"/runs/{run_id}")
        expect(page.get_by_role("rowheader", name="web1")).to_be_visible()
        expect(page.locator("#offline")).to_be_hidden()
        site.stop()
        expect(page.locator("#offline")).to_contain_text("may be old")
        site.start()
        site.stack.engine.store.sync_clock()
        with site.client() as other:
            headers = {"Authorization": f"Bearer {site.token('carol', 'operator')}"}
            other.post(f"/api/v1/runs/{run_id}/abort", headers=headers)
        expect(page.locator("h1 + span")).to_contain_text("aborted")
        expect(page.locator("#offline")).to_be_hidden()
