"""The same on PostgreSQL, where transactions really run side by side."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError

from tests.integration.api.test_runs_over_http import ROLL, planned
from tests.kit.api import Api, serving
from tests.kit.postgres import postgres
from tests.kit.stack import Stack
from worker.audit import verify

__all__ = ["planned"]

ACCESS = "approvals: [{jobs: [roll], targets: [pool:web]}]"


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with postgres() as url:
        yield url


@pytest.fixture
def stack(database: str) -> Iterator[Stack]:
    directory = Path(tempfile.mkdtemp(prefix="winch-"))
    made = Stack(directory, database_url=database)
    try:
        yield made.start()
    finally:
        made.stop()
        shutil.rmtree(directory)


@pytest.fixture
def api(stack: Stack) -> Iterator[Api]:
    with serving(stack, access=ACCESS) as served:
        yield served


def at_once(requests: list[Any]) -> list[httpx.Response]:
    together = threading.Barrier(len(requests))

    def send(request: Any) -> Any:
        together.wait(timeout=20)
        return request()

    with ThreadPoolExecutor(len(requests)) as threads:
        return list(threads.map(send, requests))


def test_keys_approvals_and_the_audit_stand_many_at_once(api: Api, planned: Any) -> None:
    alice = api.as_("alice", "operator")
    headers = {"Idempotency-Key": "k"}
    answers = at_once([lambda: alice.post("/runs", json=ROLL, headers=headers)] * 10)
    assert {answer.status_code for answer in answers} == {201}
    (run,) = {answer.json()["id"] for answer in answers}
    others = [api.as_(f"other{number}", "operator") for number in range(4)]
    approvals = at_once([lambda c=c: c.post(f"/runs/{run}/approve") for c in others])
    assert sorted(answer.status_code for answer in approvals) == [200, 409, 409, 409]
    at_once([lambda: alice.post("/runs", json=ROLL)] * 10)
    verdict = verify(api.stack.store)
    assert verdict.problem is None
    assert verdict.lines >= 5 + 2 * 11 + 1
    assert verify(api.stack.store, expect=verdict.head).problem is None


@pytest.mark.parametrize(
    "statement", ["UPDATE audit SET actor = 'x'", "DELETE FROM audit", "TRUNCATE audit"]
)
def test_the_database_itself_refuses_to_change_or_delete_a_line(
    stack: Stack, statement: str
) -> None:
    with stack.store.engine.connect() as connection:
        with pytest.raises(DatabaseError, match="append-only"):
            connection.execute(text(statement))
        connection.rollback()
