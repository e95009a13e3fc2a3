"""Runs over HTTP, with a real server, engine, Redis and workers."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from sqlmodel import select

from tests.kit.api import Api
from tests.kit.plans import Work
from tests.kit.stack import until
from worker.models import Audit
from worker.plan import Policy
from workflows import jobs

ROLL = {"job": "roll", "target": "web", "options": {"vars": {"version": "2"}}, "reason": "CVE"}


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch, work: Work) -> dict[str, dict[str, Any]]:
    """Let `roll` be the test's three steps on local hosts; returns the options of the steps."""
    options: dict[str, dict[str, Any]] = {}

    def plan(_fleet: Any, target: str, wanted: Any) -> Any:
        made = work.plan(
            [f"{target}1", f"{target}2"], options=options, policy=Policy(max_unavailable=2)
        )
        return made.model_copy(update={"job": "roll", "target": target, "vars": dict(wanted.vars)})

    monkeypatch.setitem(jobs.JOBS, "roll", jobs.Job("roll", plan, "pools", "a test's roll"))
    return options


def audit(api: Api) -> list[tuple[str, str, str]]:
    with api.stack.store.read() as session:
        return [(row.actor, row.action, row.outcome) for row in session.exec(select(Audit))]


def test_a_run_is_asked_for_followed_and_read(api: Api, planned: Any, work: Work) -> None:
    api.stack.worker()
    client = api.as_("deploy", "operator")
    answer = client.post("/runs", json=ROLL)
    assert answer.status_code == 201, answer.text
    run = answer.json()
    assert answer.headers["location"] == f"/api/v1/runs/{run['id']}"
    assert run["requested_by"] == "http:deploy"
    assert run["reason"] == "CVE"
    assert run["vars"] == {"version": "2"}
    assert run["scope"] == "pool:web"
    api.stack.ended(run["id"])
    done = client.get(f"/runs/{run['id']}").json()
    assert done["status"] == "succeeded"
    assert done["progress"] == {"done": 6, "total": 6}
    assert [host["name"] for host in done["hosts"]] == ["web1", "web2"]
    logs = client.get(f"/runs/{run['id']}/logs", params={"host": "web1", "limit": 2}).json()
    assert len(logs["commands"]) == 2
    further = client.get(f"/runs/{run['id']}/logs", params={"cursor": logs["next"]}).json()
    assert further["commands"][0]["id"] > logs["commands"][-1]["id"]
    assert ("http:deploy", "roll", "asked") in audit(api)


def test_an_idempotency_key_starts_one_run_however_many_requests_carry_it(
    api: Api, planned: Any
) -> None:
    client = api.as_("deploy", "operator")
    together = threading.Barrier(12)

    def ask(_number: int) -> httpx.Response:
        together.wait(timeout=20)
        return client.post("/runs", json=ROLL, headers={"Idempotency-Key": "k1"})

    with ThreadPoolExecutor(12) as threads:
        answers = list(threads.map(ask, range(12)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    replayed = [answer.headers.get("idempotent-replayed") for answer in answers]
    assert sorted(replayed, key=str) == [None] + ["true"] * 11
    assert len(client.get("/runs").json()["runs"]) == 1


def test_a_key_that_comes_with_another_request_is_refused(api: Api, planned: Any) -> None:
    client = api.as_("deploy", "operator")
    headers = {"Idempotency-Key": "k1"}
    first = client.post("/runs", json=ROLL, headers=headers)
    other = client.post("/runs", json={**ROLL, "target": "db", "options": {}}, headers=headers)
    assert other.status_code == 422
    assert other.headers["content-type"] == "application/problem+json"
    assert f"run {first.json()['id']}" in other.json()["detail"]
    somebody = api.as_("else", "operator").post("/runs", json=ROLL, headers=headers)
    assert somebody.status_code == 201
    assert somebody.json()["id"] != first.json()["id"]


def test_pages_of_runs_follow_each_other(api: Api, planned: Any) -> None:
    client = api.as_("deploy", "operator")
    made = [client.post("/runs", json=ROLL).json()["id"] for _ in range(5)]
    seen: list[int] = []
    cursor: str | None = None
    while True:
        params = {"limit": "2"} | ({} if cursor is None else {"cursor": cursor})
        page = client.get("/runs", params=params).json()
        seen += [run["id"] for run in page["runs"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == made[::-1]
    assert client.get("/runs", params={"target": "db"}).json() == {"runs": [], "next": None}


def test_of_two_who_retry_at_the_same_instant_one_wins(
    api: Api, planned: dict[str, dict[str, Any]], work: Work
) -> None:
    api.stack.worker()
    work.flag("broken").touch()
    planned["web1.two"] = {"fails_while": str(work.flag("broken"))}
    client = api.as_("deploy", "operator")
    run = client.post("/runs", json=ROLL).json()["id"]
    assert api.stack.ended(run)["status"] in ("failed", "rolled_back")
    hold = work.flag("hold")
    hold.touch()
    work.flag("broken").unlink()
    together = threading.Barrier(2)

    def retry(_number: int) -> httpx.Response:
        together.wait(timeout=20)
        return client.post(f"/runs/{run}/retry")

    with ThreadPoolExecutor(2) as threads:
        answers = list(threads.map(retry, range(2)))
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    lost = next(answer for answer in answers if answer.status_code == 409)
    assert lost.headers["content-type"] == "application/problem+json"
    assert "nothing to retry" in lost.json()["detail"]
    assert api.stack.ended(run)["status"] == "succeeded"


def test_a_run_is_paused_resumed_and_aborted(api: Api, planned: Any) -> None:
    client = api.as_("deploy", "operator")
    run = client.post("/runs", json=ROLL).json()["id"]
    assert client.post(f"/runs/{run}/pause").json()["run"]["status"] == "paused"
    assert client.post(f"/runs/{run}/pause").status_code == 409
    assert client.post(f"/runs/{run}/resume").status_code == 200
    assert client.post(f"/runs/{run}/resume").status_code == 409
    assert client.post(f"/runs/{run}/skip", json={"host": "nope"}).status_code == 422
    assert client.post(f"/runs/{run}/abort").json()["run"]["status"] == "aborted"
    assert client.post(f"/runs/{run}/abort").status_code == 409
    assert client.post("/runs/999/abort").status_code == 404


def test_the_health_and_the_metrics_tell_of_workers_and_runs(
    api: Api, planned: Any, work: Work
) -> None:
    viewer = api.as_("prometheus", "viewer")
    anybody = api.client()
    assert anybody.get("/healthz").json()["status"] == "degraded"  # nobody works
    viewer.get("/metrics")  # counting begins
    api.stack.worker()
    until(lambda: anybody.get("/healthz").json()["status"] == "ok", what="health")
    run = api.as_("deploy", "operator").post("/runs", json=ROLL).json()["id"]
    api.stack.ended(run)
    text = viewer.get("/metrics").text
    assert 'winch_runs_ended_total{job="roll",status="succeeded"} 1.0' in text
    assert 'winch_steps_ended_total{status="succeeded",step="test.one"} 2.0' in text
    assert 'winch_step_seconds_count{step="test.one"} 2.0' in text
    assert "winch_workers 1.0" in text
    assert 'winch_steps_ended_total{status="succeeded",step="test.one"} 2.0' in (
        viewer.get("/metrics").text
    )


def test_without_redis_the_health_fails_and_says_so(api: Api) -> None:
    api.stack.redis.stop()
    answer = api.client().get("/healthz")
    assert answer.status_code == 503
    assert answer.json()["redis"] == "failed"
    assert answer.json()["database"] == "ok"
