"""No route answers without its role, and a token with scopes sees nothing of another's."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlmodel import select

from chatops.api.app import PREFIX
from chatops.api.limits import Buckets
from chatops.authorise import ROLES, Role
from chatops.tokens import revoke_token
from tests.kit.api import Api, app_of, serving
from tests.kit.plans import Work
from tests.kit.stack import Stack
from worker.models import Audit
from worker.plan import Plan

# Every route, and the role it takes: who adds one says so here.
RUN = f"{PREFIX}/runs/{{run_id}}"
ROLE_OF: dict[tuple[str, str], Role | None] = {
    ("POST", f"{PREFIX}/runs"): "operator",
    ("POST", f"{PREFIX}/plan"): "operator",
    ("GET", f"{PREFIX}/runs"): "viewer",
    ("GET", RUN): "viewer",
    ("GET", f"{RUN}/events"): "viewer",
    ("GET", f"{RUN}/logs"): "viewer",
    **{
        ("POST", f"{RUN}/{action}"): "operator"
        for action in ("retry", "skip", "pause", "resume", "approve", "abort", "rollback")
    },
    ("GET", f"{PREFIX}/freezes"): "viewer",
    ("POST", f"{PREFIX}/freezes"): "operator",
    ("POST", f"{PREFIX}/freezes/lift"): "operator",
    ("GET", f"{PREFIX}/leases"): "viewer",
    ("POST", f"{PREFIX}/leases/{{name}}/break"): "admin",
    ("GET", f"{PREFIX}/fleet"): "viewer",
    ("GET", f"{PREFIX}/audit"): "admin",
    ("GET", f"{PREFIX}/metrics"): "viewer",
    ("GET", f"{PREFIX}/healthz"): None,
}


def routes(app: FastAPI) -> set[tuple[str, str]]:
    """Method and path of every route of the app, as the app itself knows them."""
    paths = app.openapi()["paths"].items()
    return {(method.upper(), path) for path, methods in paths for method in methods}


BODIES: dict[str, Any] = {
    "/api/v1/runs": {"job": "roll", "target": "web"},
    "/api/v1/plan": {"job": "roll", "target": "web"},
    "/api/v1/freezes": {"scope": "pair:*", "until": "2027-01-01T00:00:00Z", "reason": "because"},
    "/api/v1/freezes/lift": {"scope": "nginx:*"},
    "/api/v1/runs/{run_id}/skip": {"host": "web1"},
    "/api/v1/leases/{name}/break": {"reason": "because"},
}


def send(client: httpx.Client, method: str, path: str, run: int = 999) -> httpx.Response:
    concrete = path.removeprefix(PREFIX).replace("{run_id}", str(run)).replace("{name}", "host:x")
    with client.stream(method, concrete, json=BODIES.get(path)) as answer:
        if "event-stream" not in answer.headers.get("content-type", ""):
            answer.read()
        return answer


def test_probes_answer_at_the_root_too_and_to_the_same_people(api: Api) -> None:
    root = str(api.client().base_url).removesuffix("/").removesuffix(PREFIX)
    stranger, viewer = api.client(), api.as_("prometheus", "viewer")
    assert stranger.get(f"{root}/healthz").json()["redis"] == "ok"
    assert stranger.get(f"{root}/metrics").status_code == 401
    assert "winch_runs" in viewer.get(f"{root}/metrics").text


def test_every_route_takes_its_role_and_no_less(api: Api) -> None:
    clients: dict[Role, httpx.Client] = {role: api.as_(f"a-{role}", role) for role in ROLES}
    stranger, forged = api.client(), api.client("winch_" + "A" * 43)
    api.context.by_address = Buckets(1e6, 1e6)  # so many strangers are slowed down otherwise
    assert routes(api.server.config.app) == set(ROLE_OF)
    for (method, path), needed in ROLE_OF.items():
        if needed is None:
            assert send(stranger, method, path).status_code == 200
            continue
        for client in (stranger, forged):
            answer = send(client, method, path)
            assert answer.status_code == 401, f"{method} {path}"
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert answer.headers["content-type"] == "application/problem+json"
        for role in ROLES:
            answer = send(clients[role], method, path)
            enough = ROLES.index(role) >= ROLES.index(needed)
            assert (answer.status_code != 403) == enough, f"{role} {method} {path}"
            if not enough:
                assert f"it takes {needed}" in answer.json()["detail"]
            assert answer.status_code < 500
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert "content-security-policy" in answer.headers


def test_refusals_are_in_the_audit(api: Api) -> None:
    api.as_("eve", "viewer").post("/runs", json={"job": "roll", "target": "web"})
    with api.stack.store.read() as session:
        lines = session.exec(select(Audit).where(Audit.actor == "http:eve")).all()
    assert [(line.action, line.outcome) for line in lines] == [("start", "refused")]
    assert lines[0].detail == "http:eve is viewer: it takes operator for `start`"


def test_a_revoked_token_is_refused_at_once(api: Api) -> None:
    client = api.as_("ci", "viewer")
    assert client.get("/runs").status_code == 200
    revoke_token(api.stack.store, "ci", by="test")
    assert client.get("/runs").status_code == 401
    assert api.as_("ci", "viewer").get("/runs").status_code == 200  # the name is free again


def run_of(stack: Stack, work: Work, pool: str, **more: Any) -> int:
    plan: Plan = work.plan([f"{pool}1"], **more).model_copy(update={"job": "roll", "target": pool})
    run = stack.engine.create_run(plan, requested_by="cli:ops", scope=f"pool:{pool}")
    stack.engine.advance(run)
    return run


def test_the_token_of_one_pool_sees_nothing_of_another(api: Api, work: Work) -> None:
    stack = api.stack
    stack.worker()
    hold = work.flag("hold")
    hold.touch()
    stuck = {"options": {"db1.one": {"hold_before": str(hold)}}, "leases": {"db1": ["pair:p"]}}
    secret = run_of(stack, work, "db", **stuck)
    own = run_of(stack, work, "web", leases={"web1": ["pair:p"]})  # waits for the other's lease
    client = api.as_("web-only", "admin", "pool:web")
    listed = client.get("/runs").json()["runs"]
    assert [run["id"] for run in listed] == [own]
    for path in ("", "/logs", "/events"):
        answer = send(client, "GET", f"/runs/{{run_id}}{path}", secret)
        assert answer.status_code == 404, path
        assert "db" not in answer.text
    for action in ("retry", "pause", "resume", "approve", "abort", "rollback"):
        assert client.post(f"/runs/{secret}/{action}").status_code == 404
        unknown = client.post(f"/runs/{secret + 500}/{action}")
        assert unknown.status_code == 404
    assert client.post(f"/runs/{secret}/skip", json={"host": "db1"}).status_code == 404
    assert client.post("/leases/pair:p/break", json={"reason": "x"}).status_code == 404
    for target in ("db", "nothing"):
        asked = client.post("/runs", json={"job": "roll", "target": target})
        assert asked.status_code == 403
        assert "pool:web" in asked.json()["detail"]
    assert client.post("/runs", json={"job": "no", "target": "db"}).status_code == 403
    assert [lease["run"] for lease in client.get("/leases").json()["leases"]] == []
    fleet = client.get("/fleet").json()
    assert [pool["name"] for pool in fleet["pools"]] == ["web"]
    assert [host["name"] for host in fleet["hosts"]] == ["lb1", "web1", "web2"]
    for path in ("/metrics", "/audit"):
        assert client.get(path).status_code == 403
    waiting = client.get(f"/runs/{own}").text
    assert "held by another run" in waiting
    assert f"run {secret}" not in waiting
    assert f"run {secret} (roll db" in api.as_("all", "viewer").get(f"/runs/{own}").text
    hold.unlink()
    stack.ended(own)


def test_too_many_requests_are_put_off_for_that_token_alone(stack: Stack) -> None:
    with serving(stack, rate_limit=0.5) as api:
        busy, other = api.as_("busy", "viewer"), api.as_("other", "viewer")
        answers = [busy.get("/leases") for _ in range(6)]
        assert answers[0].status_code == 200
        assert answers[-1].status_code == 429
        assert int(answers[-1].headers["retry-after"]) >= 1
        assert answers[-1].headers["content-type"] == "application/problem+json"
        assert other.get("/leases").status_code == 200


def test_guessing_tokens_is_slowed_down(api: Api) -> None:
    guesser = api.client("winch_guess")
    statuses = [guesser.get("/runs").status_code for _ in range(60)]
    assert statuses[0] == 401
    assert 429 in statuses
    assert api.as_("known", "viewer").get("/runs").status_code == 200


def test_a_body_that_is_too_large_is_not_read(api: Api) -> None:
    client = api.as_("deploy", "operator")
    announced = client.post("/runs", content=b"x" * (1024 * 1024 + 1))
    assert announced.status_code == 413
    assert announced.headers["content-type"] == "application/problem+json"

    def chunks() -> Any:
        for _ in range(20):
            yield b" " * 100_000

    assert client.post("/runs", content=chunks()).status_code == 413


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"job": "roll"}',
        b'{"job": "roll", "target": "web", "pool": 1}',
        b'{"job": "roll", "target": "web;reboot"}',
        b'{"job": "roll", "target": "nope"}',
        b'{"job": "rol", "target": "web"}',
        b'{"job": "roll", "target": "web", "hosts": ["web9"]}',
        b'{"job": "roll", "target": "web", "reason": "\\ud800"}',
        b'{"job": "roll", "target": "web", "reason": "a\\u0000b"}',
        b'{"job": "roll", "target": "web", "options": {"vars": {"\\ud800": "1"}}}',
        b'{"job": "roll", "target": "web", "options": {"max_unavailable": "0"}}',
        b'{"job": "roll", "target": "web", "options": {"vars": {"unused": "1"}}}',
        b'{"job": "drain", "target": "web"}',
    ],
)
def test_what_cannot_be_meant_is_a_problem_and_starts_nothing(api: Api, body: bytes) -> None:
    client = api.as_("deploy", "operator")
    answer = client.post("/runs", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"]
    assert client.get("/runs").json()["runs"] == []


def test_wrong_paths_and_methods_are_problems(api: Api) -> None:
    client = api.as_("deploy", "operator")
    assert client.get("/nothing").status_code == 404
    answer = client.delete("/runs")
    assert answer.status_code == 405
    assert answer.headers["content-type"] == "application/problem+json"
    assert client.get("/runs/0").status_code == 422
    assert client.get("/runs/99999999999999999999").status_code == 422


def test_the_openapi_has_examples_and_needs_no_token(stack: Stack) -> None:
    document = app_of(stack).openapi()
    assert document["paths"][f"{PREFIX}/runs"]["post"]["security"] == [{"HTTPBearer": []}]
    assert document["components"]["schemas"]["NewRun"]["examples"][0]["job"] == "roll"
