"""Runs that take the approval of another person before anything of them begins."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.integration.api.test_runs_over_http import ROLL, audit, planned
from tests.kit.api import Api, serving
from tests.kit.plans import Work
from tests.kit.stack import Stack

__all__ = ["planned"]

ACCESS = """
people:
  alice: {role: operator, identities: ["http:alice-laptop", "http:alice-phone", "slack:U1"]}
  bob: {role: admin, identities: ["http:bob"]}
approvals:
  - {jobs: [roll], targets: [pool:web], why: the shop}
  - {jobs: [roll], targets: [pool:db], role: admin}
"""


@pytest.fixture
def guarded(stack: Stack) -> Iterator[Api]:
    with serving(stack, access=ACCESS) as served:
        yield served


def test_a_run_waits_for_another_person_than_its_asker(
    guarded: Api, planned: Any, work: Work
) -> None:
    guarded.stack.worker()
    laptop, phone = guarded.as_("alice-laptop", "operator"), guarded.as_("alice-phone", "operator")
    bob = guarded.as_("bob", "operator")
    run = laptop.post("/runs", json=ROLL).json()
    assert run["status"] == "waiting"
    assert run["approval"] == {
        "needed": True,
        "why": "the shop",
        "role": "operator",
        "approved_by": None,
    }
    assert run["detail"] == (
        "waiting for approval by another person (operator) than alice: the shop"
    )
    for own in (laptop, phone):
        answer = own.post(f"/runs/{run['id']}/approve")
        assert answer.status_code == 403
        assert "another person" in answer.json()["detail"]
    watched = guarded.stack.winch("watch", str(run["id"]))
    assert watched.returncode == 7, watched.stderr
    assert work.lines() == []
    approved = bob.post(f"/runs/{run['id']}/approve")
    assert approved.status_code == 200
    assert approved.json()["hosts"] == ["web1", "web2"]
    assert guarded.stack.ended(run["id"])["status"] == "succeeded"
    assert bob.get(f"/runs/{run['id']}").json()["approval"]["approved_by"] == "http:bob"
    lines = audit(guarded)
    assert ("http:alice-phone", "approve", "refused") in lines
    assert ("engine", "roll", "waiting") in lines
    assert ("http:bob", "approve", "granted") in lines


def test_of_two_approvals_at_the_same_instant_one_wins(guarded: Api, planned: Any) -> None:
    run = guarded.as_("alice-laptop", "operator").post("/runs", json=ROLL).json()["id"]
    clients = [guarded.as_("bob", "operator"), guarded.as_("carol", "operator")]
    together = threading.Barrier(2)

    def approve(client: httpx.Client) -> int:
        together.wait(timeout=20)
        return client.post(f"/runs/{run}/approve").status_code

    with ThreadPoolExecutor(2) as threads:
        assert sorted(threads.map(approve, clients)) == [200, 409]


def test_a_policy_may_want_an_admin(guarded: Api, planned: Any) -> None:
    asked = {"job": "roll", "target": "db", "options": {}}
    run = guarded.as_("alice-laptop", "operator").post("/runs", json=asked).json()["id"]
    refused = guarded.as_("carol", "operator").post(f"/runs/{run}/approve")
    assert refused.status_code == 403
    assert "admin" in refused.json()["detail"]
    assert guarded.as_("dave", "admin").post(f"/runs/{run}/approve").status_code == 200


def test_a_run_that_waits_for_approval_can_be_aborted_and_asked_for_again(
    guarded: Api, planned: Any, work: Work
) -> None:
    alice = guarded.as_("alice-laptop", "operator")
    run = alice.post("/runs", json=ROLL).json()["id"]
    assert alice.post(f"/runs/{run}/abort").json()["run"]["status"] == "aborted"
    assert guarded.as_("bob", "operator").post(f"/runs/{run}/approve").status_code == 409
    again = alice.post(f"/runs/{run}/retry").json()["run"]
    assert again["status"] == "waiting"
    assert again["approval"]["needed"]
    assert work.lines() == []
