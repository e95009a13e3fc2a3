"""Who gets in by a browser, and what a browser can be made to do by others' pages."""

from __future__ import annotations

import httpx
import pytest

from chatops import tokens
from tests.integration.board.site import Site
from tests.kit.plans import Work
from worker.models import Run

PAGES = ("/", "/runs/1", "/leases", "/freezes", "/fleet", "/new")


def logged_in(site: Site, token: str) -> httpx.Client:
    client = site.client()
    answer = client.post("/login", json={"token": token})
    assert answer.status_code == 200, answer.text
    return client


def csrf(client: httpx.Client) -> dict[str, str]:
    return {"X-Winch-CSRF": client.get("/session").json()["csrf"]}


def test_who_is_not_logged_in_is_asked_for_a_token_and_comes_back(site: Site) -> None:
    with site.client() as client:
        assert client.get("/").headers["location"] == "/login"
        assert client.get("/runs/12").headers["location"] == "/login?next=%2Fruns%2F12"
        for path in PAGES:
            assert client.get(path).status_code == 303
        for path in ("/session", "/api/v1/runs", "/api/v1/fleet", "/api/v1/leases"):
            assert client.get(path).status_code == 401


def test_the_cookie_is_for_this_site_and_no_script(site: Site) -> None:
    with site.client() as client:
        answer = client.post("/login", json={"token": site.token("bob", "viewer")})
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert "path=/" in cookie
        assert "domain" not in cookie
        assert "winch_" not in cookie  # the token itself


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"token": "winch_nobodys"}, 401),
        ({"token": ""}, 401),
        ({"token": "ü\x00"}, 401),
        ({"token": "A" * 501}, 422),
        ({"token": ["x"]}, 422),
        ({}, 422),
        ({"token": "x", "more": 1}, 422),
    ],
)
def test_what_is_no_token_in_use_is_refused(site: Site, body: object, status: int) -> None:
    with site.client() as client:
        answer = client.post("/login", json=body)
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
        assert "set-cookie" not in answer.headers


def test_guessing_is_slowed_down(site: Site) -> None:
    with site.client() as client:
        tried = [client.post("/login", json={"token": f"winch_{n}"}) for n in range(60)]
        assert 429 in {answer.status_code for answer in tried}
        assert all(answer.status_code in (401, 429) for answer in tried)


def test_a_form_of_another_page_cannot_log_anybody_in(site: Site) -> None:
    token = site.token("mallory", "viewer")
    with site.client() as client:
        assert client.post("/login", data={"token": token}).status_code == 422
        text = {"Content-Type": "text/plain"}
        sent = client.post("/login", content=f'{{"token": "{token}"}}', headers=text)
        assert sent.status_code == 422
        for from_where in ("cross-site", "same-site"):
            headers = {"Sec-Fetch-Site": from_where}
            sent = client.post("/login", json={"token": token}, headers=headers)
            assert sent.status_code == 403


def test_a_session_changes_nothing_without_the_header_of_its_own_page(
    site: Site, work: Work
) -> None:
    run_id = site.ask(work.plan(["web1"]))
    bob = logged_in(site, site.token("bob", "operator"))
    other = csrf(logged_in(site, site.token("eve", "operator")))
    path = f"/api/v1/runs/{run_id}/pause"
    assert bob.post(path).status_code == 403
    assert bob.post(path, headers=other).status_code == 403
    own = csrf(bob)
    for from_where in ("cross-site", "same-site"):
        sent = bob.post(path, headers={**own, "Sec-Fetch-Site": from_where})
        assert sent.status_code == 403
    with site.stack.store.read() as session:
        assert not session.get_one(Run, run_id).paused
    assert bob.post(path, headers={**own, "Sec-Fetch-Site": "same-origin"}).status_code == 200


def test_logging_out_takes_the_header_too_and_ends_the_session(site: Site) -> None:
    bob = logged_in(site, site.token("bob", "viewer"))
    kept = dict(bob.cookies)
    assert bob.post("/logout").status_code == 403
    assert bob.post("/logout", headers=csrf(bob)).status_code == 204
    assert not bob.cookies
    with site.client(cookies=kept) as again:
        assert again.get("/api/v1/runs").status_code == 401


def test_a_revoked_token_ends_its_sessions(site: Site) -> None:
    bob = logged_in(site, site.token("bob", "operator"))
    assert bob.get("/api/v1/runs").status_code == 200
    tokens.revoke_token(site.stack.store, "bob", by="test")
    assert bob.get("/api/v1/runs").status_code == 401
    assert bob.get("/").status_code == 303


def test_a_session_sees_and_does_what_its_token_may(site: Site, work: Work) -> None:
    run_id = site.ask(work.plan(["web1"]))
    viewer = logged_in(site, site.token("vera", "viewer"))
    other = logged_in(site, site.token("dora", "operator", "pool:db"))
    assert viewer.get(f"/api/v1/runs/{run_id}").status_code == 200
    assert viewer.post(f"/api/v1/runs/{run_id}/pause", headers=csrf(viewer)).status_code == 403
    assert other.get(f"/api/v1/runs/{run_id}").status_code == 404
    assert other.get(f"/api/v1/runs/{run_id}/logs").status_code == 404
    assert other.post(f"/api/v1/runs/{run_id}/abort", headers=csrf(other)).status_code == 404
    assert viewer.get("/session").json()["may"] == ["look", "metrics"]
    assert other.get("/session").json()["scopes"] == ["pool:db"]


def test_pages_and_files_carry_the_headers_of_safety(site: Site) -> None:
    bob = logged_in(site, site.token("bob", "viewer"))
    for path in (*PAGES, "/login", "/board/app.js", "/board/board.css", "/board/icon.svg"):
        answer = bob.get(path)
        assert answer.status_code == 200, path
        assert answer.headers["content-security-policy"].startswith("default-src 'none'; script")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["referrer-policy"] == "no-referrer"


def test_a_file_is_sent_once_and_nothing_but_files_is_sent(site: Site) -> None:
    with site.client() as client:
        first = client.get("/board/app.js")
        again = client.get("/board/app.js", headers={"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        for name in ("nope.js", "index.html", "..%2Fmount.py", "%2e%2e/mount.py", ".", "a/b"):
            assert client.get(f"/board/{name}").status_code == 404, name
        assert client.get("/runs/0").status_code == 422
        assert client.get("/runs/x").status_code == 422
