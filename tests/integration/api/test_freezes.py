"""Freezes, later starts and plans over HTTP, and by the command line that talks to it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from chatops import desk
from tests.integration.api.test_command_line_over_http import Elsewhere, elsewhere
from tests.integration.api.test_runs_over_http import ROLL, audit, planned
from tests.kit.api import FLEET, Api, serving
from tests.kit.stack import Stack, until
from worker.freezes import freeze
from worker.report import iso

__all__ = ["elsewhere", "planned"]

ACCESS = """
people:
  alice: {role: operator, identities: ["http:alice-laptop", "http:alice-phone"]}
"""


@pytest.fixture
def known(stack: Stack) -> Iterator[Api]:
    with serving(stack, access=ACCESS) as served:
        yield served


def later(api: Api, seconds: float = 3600) -> str:
    return iso(api.stack.store.now() + seconds) or ""


def new(api: Api, scope: str = "pool:web", **more: Any) -> dict[str, Any]:
    return {"scope": scope, "until": later(api), "reason": "the sale", **more}


def roll(target: str = "web", reason: str | None = None, **options: Any) -> dict[str, Any]:
    return {"job": "roll", "target": target, "options": options, "reason": reason}


def test_a_freeze_is_made_listed_told_and_lifted(known: Api, planned: Any) -> None:
    laptop, phone = known.as_("alice-laptop", "operator"), known.as_("alice-phone", "operator")
    bob, root = known.as_("bob", "operator"), known.as_("root", "admin")
    made = laptop.post("/freezes", json=new(known))
    assert made.status_code == 201, made.text
    assert made.json()["runs"] == []
    (listed,) = bob.get("/freezes").json()["freezes"]
    assert (listed["scope"], listed["by"], listed["reason"]) == (
        "pool:web",
        "http:alice-laptop",
        "the sale",
    )
    refused = bob.post("/runs", json=roll())
    assert refused.status_code == 409
    told = refused.json()
    assert told["exit_code"] == 3
    assert told["frozen"] is True
    assert told["detail"].startswith("roll web: pool:web is frozen by http:alice-laptop until 20")
    assert bob.get("/runs").json()["runs"] == []
    assert ("http:bob", "start", "refused") in audit(known)
    assert bob.post("/runs", json=roll("db")).status_code == 201
    # Lifted by its maker, whichever way she comes in; by another one it takes an admin.
    stranger = bob.post("/freezes/lift", json={"scope": "pool:web"})
    assert stranger.status_code == 403
    assert "it takes admin for `unfreeze`" in stranger.json()["detail"]
    assert phone.post("/freezes/lift", json={"scope": "pool:web"}).status_code == 200
    again = phone.post("/freezes/lift", json={"scope": "pool:web"})
    assert again.status_code == 409
    assert "pool:web is not frozen as such" in again.json()["detail"]
    laptop.post("/freezes", json=new(known, "*"))
    assert "frozen: *" in root.post("/freezes/lift", json={"scope": "pool:web"}).json()["detail"]
    lifted = root.post("/freezes/lift", json={}).json()["freezes"]
    assert [one["scope"] for one in lifted] == ["*"]
    assert bob.post("/runs", json=roll()).status_code == 201


def test_an_override_takes_the_role_and_a_reason(api: Api, planned: Any) -> None:
    bob, root = api.as_("bob", "operator"), api.as_("root", "admin")
    bob.post("/freezes", json=new(api))
    refused = bob.post("/runs", json=roll(override_freeze=True, reason="INC-7"))
    assert refused.status_code == 403
    assert "it takes admin for `override freeze`" in refused.json()["detail"]
    silent = root.post("/runs", json=roll(override_freeze=True))
    assert silent.status_code == 422
    assert "--reason" in silent.json()["detail"]
    api.stack.worker()
    run = root.post("/runs", json=roll(override_freeze=True, reason="INC-7"))
    assert run.status_code == 201, run.text
    assert api.stack.ended(run.json()["id"])["status"] == "succeeded"
    assert ("http:root", "override freeze", "granted") in audit(api)
    assert ("http:bob", "override freeze", "refused") in audit(api)


def test_what_is_steered_in_a_freeze_takes_an_override_too(
    api: Api, planned: dict[str, dict[str, Any]], work: Any
) -> None:
    broken = work.flag("broken")
    broken.touch()
    planned["web1.two"] = {"fails_while": str(broken)}
    api.stack.worker()
    bob, root = api.as_("bob", "operator"), api.as_("root", "admin")
    run = bob.post("/runs", json=ROLL).json()["id"]
    api.stack.ended(run)
    broken.unlink()
    bob.post("/freezes", json=new(api, "pool:*"))
    refused = bob.post(f"/runs/{run}/retry")
    assert refused.status_code == 409
    assert refused.json()["frozen"] is True
    over = {"override_freeze": True, "reason": "INC-7"}
    assert bob.post(f"/runs/{run}/retry", json=over).status_code == 403
    assert root.post(f"/runs/{run}/retry", json={"override_freeze": True}).status_code == 422
    assert root.post(f"/runs/{run}/retry", json=over).status_code == 200
    assert api.stack.ended(run)["status"] == "succeeded"


def test_scopes_bind_who_freezes_and_who_sees_it(api: Api) -> None:
    store = api.stack.store
    web = api.as_("web-only", "operator", "pool:web")
    for scope in ("*", "pool:*", "pool:db"):
        assert web.post("/freezes", json=new(api, scope)).status_code == 403, scope
        assert web.post("/freezes/lift", json={"scope": scope}).status_code == 403, scope
    assert web.post("/freezes", json=new(api)).status_code == 201
    for scope in ("pool:db", "pool:*", "*", "pair:*"):
        freeze(store, scope, store.now() + 3600, "secret plans", "cli:ops")
    assert [one["scope"] for one in web.get("/freezes").json()["freezes"]] == [
        "pool:web",
        "pool:*",
        "*",
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scope": "pool:wbe"}, "there is no pool 'wbe'; did you mean 'web'?"),
        ({"scope": "pool"}, "scope"),
        ({"scope": "*:web"}, "scope"),
        ({"until": "2020-01-01T00:00:00Z"}, "has passed"),
        ({"until": "2026-13-01T00:00:00Z"}, "is no time"),
        ({"until": "9999-12-31T23:59:59Z"}, "more than two years away"),
        ({"until": "18:00"}, "until"),
        ({"reason": ""}, "reason"),
        ({"reason": "  "}, "--reason TEXT"),
        ({"reason": "a\nb"}, "reason"),
        ({"more": 1}, "more"),
    ],
)
def test_what_cannot_be_meant_freezes_nothing(
    api: Api, change: dict[str, Any], message: str
) -> None:
    client = api.as_("bob", "operator")
    answer = client.post("/freezes", json={**new(api), **change})
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert message in answer.json()["detail"]
    assert client.get("/freezes").json()["freezes"] == []


def test_a_freeze_is_possible_while_the_fleet_file_is_broken(api: Api) -> None:
    (api.stack.directory / "fleet.yaml").write_text("hosts: [")
    assert api.as_("bob", "operator").post("/freezes", json=new(api)).status_code == 201


def test_of_two_who_lift_a_freeze_at_the_same_instant_one_does(api: Api) -> None:
    clients = [api.as_("root", "admin"), api.as_("toor", "admin")]
    clients[0].post("/freezes", json=new(api))
    together = threading.Barrier(2)

    def lift(client: Any) -> int:
        together.wait()
        return int(client.post("/freezes/lift", json={"scope": "pool:web"}).status_code)

    with ThreadPoolExecutor(2) as threads:
        assert sorted(threads.map(lift, clients)) == [200, 409]


# --- later ------------------------------------------------------------------------------------


def test_a_job_is_asked_for_later_and_can_be_aborted_before(api: Api, planned: Any) -> None:
    client = api.as_("bob", "operator")
    at = later(api)
    asked = client.post("/runs", json=roll(at=at))
    assert asked.status_code == 201, asked.text
    run = asked.json()
    assert (run["status"], run["start_at"]) == ("queued", at)
    assert run["detail"].startswith("starts at ")
    assert client.get("/runs").json()["runs"][0]["start_at"] == at
    made = client.post("/freezes", json=new(api, until=later(api, 7200)))
    assert made.json()["runs"] == [run["id"]]
    assert f"run {run['id']} (roll web)" in made.json()["caught"]
    assert client.post(f"/runs/{run['id']}/abort").json()["run"]["status"] == "aborted"


@pytest.mark.parametrize(
    ("at", "message"),
    [
        ("2020-01-01T00:00:00Z", "has passed"),
        ("2026-02-30T00:00:00Z", "is no time"),
        ("22:00", "options.at"),
        ("2026-12-24T18:00", "options.at"),
        ("window", "roll web has no windows in the fleet file"),
    ],
)
def test_a_time_that_cannot_be_meant_starts_nothing(
    api: Api, planned: Any, at: str, message: str
) -> None:
    client = api.as_("bob", "operator")
    answer = client.post("/runs", json=roll(at=at))
    assert answer.status_code == 422
    assert message in answer.json()["detail"]
    assert client.get("/runs").json()["runs"] == []


def test_a_roll_waits_for_its_window_unless_it_is_told_now(api: Api) -> None:
    hour = int(api.stack.store.now() % 86400 // 3600)
    opens = (hour + 2) % 24
    hours = f"{opens:02}:00-{(opens + 1) % 24:02}:00"
    policy = f"policy: {{windows: [{{days: mon-sun, hours: '{hours}'}}]}}"
    fleet = api.stack.directory / "fleet.yaml"
    fleet.write_text(
        FLEET.replace(
            "servers: {web1: {}, web2: {}}", f"servers: {{web1: {{}}, web2: {{}}}}\n    {policy}"
        )
    )
    client = api.as_("bob", "operator")
    waits = client.post("/runs", json=roll()).json()
    assert waits["status"] == "queued"
    assert waits["start_at"].endswith(f"T{opens:02}:00:00Z")
    window = client.post("/runs", json=roll(at="window")).json()
    assert window["start_at"] == waits["start_at"]
    drain = {"job": "drain", "target": "web", "hosts": ["web1"]}
    assert client.post("/runs", json=drain).json()["start_at"] is None  # brings nothing new
    now = client.post("/runs", json=roll(at="now")).json()
    assert now["start_at"] is None
    assert ("http:bob", "roll", "at now") in audit(api)


# --- plans ------------------------------------------------------------------------------------


def test_a_plan_says_what_the_job_would_do_and_starts_nothing(
    api: Api, planned: Any, elsewhere: Elsewhere
) -> None:
    client = api.as_("bob", "operator")
    body = roll(vars={"version": "2"}, limit=["web1"])
    answer = client.post("/plan", json=body)
    assert answer.status_code == 200, answer.text
    plan = answer.json()
    assert [host["name"] for host in plan["hosts"]] == ["web1", "web2"]  # the test's own plan
    assert plan["hosts"][0]["steps"][0]["commands"][0].startswith("append web1.one to")
    assert (plan["problems"], plan["exit_code"]) == ([], 0)
    assert client.get("/runs").json()["runs"] == []
    there = elsewhere("plan", "roll", "web", "--set", "version=2", "--json")
    assert there.returncode == 0, there.stderr
    assert json.loads(there.stdout) == plan
    assert "append web1.one" in elsewhere("plan", "roll", "web").stdout


def test_a_plan_says_what_would_be_refused(api: Api, elsewhere: Elsewhere) -> None:
    plan = api.as_("bob", "operator").post("/plan", json=roll()).json()
    assert plan["exit_code"] in (3, 4)
    assert "/nonexistent/winch.sock" in plan["problems"][0]
    there = elsewhere("plan", "roll", "web")
    assert there.returncode == plan["exit_code"]
    assert "✗ " in there.stdout


def test_a_plan_is_for_who_may_start_the_job(api: Api) -> None:
    db = api.as_("db-only", "operator", "pool:db")
    for target in ("web", "nothing"):
        assert db.post("/plan", json=roll(target)).status_code == 403
    answer = api.as_("bob", "operator").post("/plan", json=roll("wbe"))
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


def test_only_a_few_plans_are_made_at_once(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk, "_PATIENCE", 0.01)
    client = api.as_("bob", "operator")
    previews = api.context.desk._previews
    for _ in range(desk._PREVIEWS):
        previews.acquire()
    answer = client.post("/plan", json=roll())
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "2"
    for _ in range(desk._PREVIEWS):
        previews.release()
    assert client.post("/plan", json=roll()).status_code == 200


# --- the command line elsewhere ---------------------------------------------------------------


def test_the_command_line_elsewhere_freezes_asks_for_later_and_overrides(
    api: Api, planned: Any, elsewhere: Elsewhere
) -> None:
    api.stack.worker()
    done = elsewhere("freeze", "pool:web", "--until", "2h", "--reason", "the sale")
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("pool:web is frozen until 20")
    assert "`winch unfreeze pool:web` lifts it" in done.stderr
    assert "http:laptop" in elsewhere("freezes").stdout
    (listed,) = json.loads(elsewhere("freezes", "--json").stdout)
    assert listed["scope"] == "pool:web"
    refused = elsewhere("roll", "web")
    assert refused.returncode == 3
    assert refused.stderr.count("\n") == 1
    assert "pool:web is frozen by http:laptop" in refused.stderr
    assert elsewhere("roll", "web", "--override-freeze").returncode == 5
    over = elsewhere("roll", "web", "--override-freeze", "--reason", "INC-7")
    assert over.returncode == 0, over.stderr
    refused = elsewhere("roll", "web", "--at", "1h", "--no-wait")
    assert refused.returncode == 3
    asked = elsewhere("roll", "web", "--at", "3h", "--no-wait")
    assert asked.returncode == 0, asked.stderr
    run = int(asked.stdout)
    until(lambda: "starts at" in api.stack.document(run)["detail"])
    assert "starts 20" in elsewhere("show", str(run)).stdout.replace("starts  20", "starts 20")
    done = elsewhere("unfreeze", "pool:web")
    assert done.returncode == 0
    assert "pool:web is not frozen any more (the sale, by http:laptop)" in done.stderr
    late = elsewhere("unfreeze", "pool:web")
    assert late.returncode == 1
    assert "is not frozen as such" in late.stderr
    assert elsewhere("freezes").stdout == "nothing is frozen\n"
