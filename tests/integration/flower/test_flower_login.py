"""Flower behind the board's login, and links between a step and its task: the real Flower."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from chatops.authorise import Role
from chatops.board.sessions import open_session
from chatops.tokens import create_token, recognise, revoke_token
from chatops.up import links
from tests.integration.cli.conftest import free_ports
from tests.kit.fixtures import stack, work
from tests.kit.plans import Work
from tests.kit.stack import ROOT, Stack, until
from worker.flowerstart import flower_command
from worker.settings import Settings

__all__ = ["stack", "work"]

BOARD = "https://winch.example.org"


@contextmanager
def flower(stack: Stack, **environment: str) -> Iterator[str]:
    (port,) = free_ports(1)
    settings = {"WINCH_FLOWER_PORT": str(port), "WINCH_PUBLIC_URL": BOARD, **environment}
    command = flower_command(Settings(state_dir=stack.directory))
    log = stack.directory / "flower.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, env=stack.environment | settings, cwd=ROOT, stdout=file, stderr=file
        )
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: answers(url) or process.poll() is not None, what="Flower")
        assert process.poll() is None, log.read_text()
        yield url
    finally:
        process.terminate()
        process.wait(30)


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthcheck").status_code == 200
    except httpx.TransportError:
        return False


def client(url: str, token: str | None = None, **more: Any) -> httpx.Client:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=30, **more)


def token_of(stack: Stack, name: str, role: Role = "viewer", *scopes: str) -> str:
    return create_token(stack.store, name, role, scopes, by="test")


def log_in(browser: httpx.Client, token: str, path: str = "/login?next=%2Ftasks") -> httpx.Response:
    page = browser.get(path)
    assert page.status_code == 200, page.text
    (xsrf,) = re.findall(r'name="_xsrf" value="([^"]+)"', page.text)
    return browser.post(path, data={"token": token, "_xsrf": xsrf})


@pytest.fixture
def running(stack: Stack) -> Iterator[str]:
    with flower(stack) as url:
        yield url


def test_nobody_gets_in_without_a_token_and_a_viewers_one_opens_it_until_it_is_revoked(
    stack: Stack, running: str
) -> None:
    token = token_of(stack, "vera")
    with client(running) as browser:
        for path in ("/", "/tasks", "/workers", "/broker", "/task/x"):
            answer = browser.get(path)
            assert answer.status_code == 302, path
            assert answer.headers["Location"].startswith("/login?next="), path
        for path in ("/api/workers", "/api/tasks", "/api/task/types"):
            assert browser.get(path).status_code in (302, 401, 403), path
        assert log_in(browser, "winch_nonsense").status_code == 401
        done = log_in(browser, token)
        assert (done.status_code, done.headers["Location"]) == (302, "/tasks")
        cookie = done.headers["Set-Cookie"]
        assert all(word in cookie for word in ("HttpOnly", "SameSite=Strict"))
        assert browser.get("/tasks").status_code == 200
        assert browser.get("/login?next=%2Ftasks").headers["Location"] == "/tasks"
        # A viewer only looks, and so does everybody else here: the board is for the rest.
        name = "nobody@nowhere"
        xsrf = {"X-XSRFToken": browser.cookies["_xsrf"]}
        denied = browser.post(f"/api/worker/shutdown/{name}", headers=xsrf)
        assert denied.status_code == 403
        assert "Read only" in denied.text
        revoke_token(stack.store, "vera", by="test")
        assert browser.get("/tasks").status_code == 302


def test_who_is_logged_in_on_the_board_is_let_in_and_logging_out_ends_both(
    stack: Stack, running: str
) -> None:
    known = recognise(stack.store, token_of(stack, "ops", "operator"))
    assert known is not None
    session = open_session(stack.store, known)
    with client(running, cookies={"winch": session.secret}) as browser:
        assert browser.get("/tasks").status_code == 200
        assert browser.get("/logout").status_code == 200
    with client(running, cookies={"winch": session.secret}) as browser:
        assert browser.get("/tasks").status_code == 302


def test_a_token_that_is_bound_to_a_part_does_not_see_all_of_it(stack: Stack, running: str) -> None:
    bound = token_of(stack, "web-only", "admin", "pool:web")
    with client(running, bound) as program:
        assert program.get("/tasks").status_code == 302
    with client(running) as browser:
        denied = log_in(browser, bound)
        assert denied.status_code == 403
        assert "it takes a token without scopes" in denied.text
        assert browser.get("/tasks").status_code == 302


def test_a_login_cannot_be_sent_elsewhere_or_by_another_site(stack: Stack, running: str) -> None:
    token = token_of(stack, "vera")
    with client(running) as browser:
        away = log_in(browser, token, "/login?next=https%3A%2F%2Fevil.example.org%2F")
        assert away.headers["Location"] == "/"
    with client(running) as other:
        other.headers["Sec-Fetch-Site"] = "cross-site"
        assert log_in(other, token).status_code == 403


def test_tokens_are_not_to_be_guessed(stack: Stack, running: str) -> None:
    with client(running) as browser:
        answers = [log_in(browser, f"winch_{number}").status_code for number in range(14)]
    assert answers[0] == 401
    assert answers[-1] == 429


def test_a_step_leads_to_its_task_and_the_task_to_the_run(
    stack: Stack, work: Work, running: str
) -> None:
    program = client(running, token_of(stack, "ci"))
    with program:
        stack.worker()
        until(lambda: '"status": true' in program.get("/workers?json=1").text, what="the worker")
        run = stack.run(work.plan(["web1"]))
        document = stack.ended(run)
        for step in document["hosts"][0]["steps"]:
            page = program.get(f"/task/{step['task_id']}")  # as the board's link has it
            assert page.status_code == 200
            assert step["name"] in page.text
            link = f"{BOARD}/runs/{run}"
            assert f"run {run}, step" in page.text
            assert f'<a href="{link}" target="_blank" rel="noopener noreferrer">{link}</a>' in (
                page.text
            )


def test_on_loopback_it_may_be_open_if_that_is_said(stack: Stack) -> None:
    with flower(stack, WINCH_FLOWER_LOGIN="none") as url, client(url) as anybody:
        assert anybody.get("/tasks").status_code == 200


def test_winch_up_tells_its_parts_where_the_others_are(tmp_path: Path) -> None:
    assert links(Settings(web_port=1234, flower_port=1235)) == {
        "WINCH_FLOWER_URL": "http://127.0.0.1:1235",
        "WINCH_PUBLIC_URL": "http://127.0.0.1:1234",
    }
    given = Settings(public_url="https://a", flower_url="https://b")
    assert links(given) == {}
    # By which name others reach this machine is not for Winch to guess.
    assert links(Settings(web_address="0.0.0.0", flower_address="::")) == {}  # noqa: S104
