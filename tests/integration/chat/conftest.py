"""A desk over a real engine, and people with roles."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chatops import desk as module
from chatops.access import AccessFile
from chatops.chat.slack import SlackNetwork
from chatops.desk import Desk
from tests.integration.chat.homeserver import Homeserver, Person, homeserver
from tests.integration.chat.stand_in import StandIn, slack_answer
from tests.integration.cli.conftest import machine
from tests.kit.fixtures import stack
from tests.kit.plans import Work
from tests.kit.stack import Stack
from worker.plan import Plan

__all__ = ["machine", "stack"]

FLEET = """
hosts: {lb1: {address: 127.0.0.1}, web1: {address: 127.0.0.1}, web2: {address: 127.0.0.1}}
balancers: {lb1: {sockets: [/run/haproxy.sock]}}
pools:
  web:
    balancers: [lb1]
    backends: [web]
    servers: {web1: {}, web2: {}}
    redeploy: {command: {run: "echo {version}"}}
"""
ACCESS = """
people:
  alice: {role: operator, identities: ["slack:UALICE", "mattermost:alice1", "cli:alice"]}
  bob: {role: operator, identities: ["slack:UBOB", "mattermost:bob1"]}
  vera: {role: viewer, identities: ["slack:UVERA", "mattermost:vera1"]}
approvals:
  - {jobs: [drain], why: drains are looked at by two}
"""


@pytest.fixture
def work(stack: Stack) -> Work:
    """Where effects show. Leases are called like it: no other test here may have the same ones."""
    directory = stack.directory / stack.directory.name
    directory.mkdir()
    return Work(directory)


@pytest.fixture
def access(stack: Stack) -> Path:
    path = stack.directory / "access.yaml"
    path.write_text(ACCESS)
    return path


@pytest.fixture
def desk(stack: Stack, work: Work, access: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A desk whose jobs are made of the kit's steps; what was asked is planned for real before."""
    fleet = stack.directory / "fleet.yaml"
    fleet.write_text(FLEET)
    monkeypatch.setenv("WINCH_DATABASE_URL", stack.database_url)
    real: Callable[..., Plan] = module.plan_job

    def plan_job(*arguments: Any) -> Plan:
        planned = real(*arguments)
        hosts = [lane.host for lane in planned.lanes if not lane.gate]
        held = {f"{host}.one": {"hold_before": str(work.flag("hold"))} for host in hosts}
        broken = {
            f"{host}.two": {"fails_while": str(work.flag(f"broken-{host}"))} for host in hosts
        }
        made = work.plan(hosts, options=held | broken)
        return made.model_copy(
            update={
                "job": planned.job,
                "target": planned.target,
                "vars": planned.vars,
                "policy": made.policy.model_copy(update={"on_failure": "stop"}),
            }
        )

    monkeypatch.setattr(module, "plan_job", plan_job)
    return Desk(stack.engine, AccessFile(access), fleet)


@pytest.fixture
def slack_api(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """Slack's Web API, and its response_urls."""
    monkeypatch.setattr(SlackNetwork, "pace", 0.02)
    monkeypatch.setattr(SlackNetwork, "edit_pace", 0.1)
    api = StandIn(slack_answer)
    yield api
    api.close()


@pytest.fixture(scope="session")
def server() -> Iterator[Homeserver]:
    directory = Path(tempfile.mkdtemp(prefix="winch-matrix-"))
    try:
        with homeserver(directory) as made:
            made.register("winch", "the password of winch")
            yield made
    finally:
        shutil.rmtree(directory)


@pytest.fixture(scope="session")
def people(server: Homeserver) -> dict[str, Person]:
    return {name: server.register(name) for name in ("alice", "bob", "vera", "eve")}
