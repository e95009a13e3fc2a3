"""The bench itself runs: on three hosts, without a look at how long anything takes."""

from __future__ import annotations

import json

import pytest

from tests.bench import roll
from tests.needs import needs_program


@pytest.fixture
def row() -> roll.Row:
    for program in ("haproxy", "socat", "sshd"):
        needs_program(program)
    return roll.bench(3, 1)


def test_every_column_is_measured(row: roll.Row) -> None:
    header, line = roll.table([row]).splitlines()
    columns = dict(zip(header.split(), map(float, line.split()), strict=True))
    assert columns["hosts"] == 3
    assert columns["s/host"] > columns["floor"] > 0
    assert columns["cpu-s/host"] > 0
    assert columns["messages/host"] >= 3
    assert columns["kB/host"] > 0
    told = json.loads(json.dumps(row.as_json()))
    assert set(told["steps"]) == {
        "haproxy.drain",
        "deploy.redeploy",
        "probe.verify",
        "haproxy.enable",
    }
    assert told["steps"]["deploy.redeploy"]["commands"] == 1
