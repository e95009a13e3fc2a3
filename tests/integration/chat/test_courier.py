"""Messages are kept up to date by one process at a time, whatever the network does."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from sqlmodel import select

from chatops.authorise import Principal
from chatops.chat.card import Card
from chatops.chat.courier import Courier
from chatops.chat.network import Gone, NetworkError, TooFast
from chatops.chat.talk import Talk
from chatops.desk import Desk
from chatops.orders import Order
from tests.kit.plans import Work
from tests.kit.stack import Stack
from worker import control
from worker.models import ChatMessage
from workflows.options import Options

ALICE = Principal("slack:UALICE", "operator", (), "alice")


@dataclass
class FakeNetwork:
    """Remembers what it was told; `errors` are raised first, one a call."""

    name: str = "slack"
    pace: float = 0.0
    edit_pace: float = 0.0
    said: list[tuple[str, str, str]] = field(default_factory=list)
    errors: list[NetworkError] = field(default_factory=list)
    alone: str | None = None

    def post(self, channel: str, card: Card, *, thread: str | None, key: str) -> tuple[str, str]:
        self._fail()
        self.said.append(("reply" if thread else "post", channel, card.text))
        return channel, f"m{len(self.said)}"

    def edit(self, channel: str, message: str, card: Card) -> None:
        self._fail()
        self.said.append(("edit", channel, card.text))

    def private(self, identity: str) -> str | None:
        return self.alone

    def _fail(self) -> None:
        if self.errors:
            raise self.errors.pop(0)

    def kinds(self) -> list[str]:
        return [kind for kind, _, _ in self.said]


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def network() -> FakeNetwork:
    return FakeNetwork()


def a_run(desk: Desk, *courier: Courier) -> int:
    order = Order("roll", "web", options=Options(vars={"version": "1"}))
    run = desk.ask(ALICE, order).run_id
    for one in courier:
        one.follow("room", run, ALICE.name)
    return run


def row(desk: Desk) -> ChatMessage:
    with desk.store.read() as session:
        return session.exec(select(ChatMessage)).one()


def test_of_two_processes_one_keeps_a_message_and_the_other_takes_over(
    desk: Desk, network: FakeNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk = Talk(desk, "slack")
    one, other = Courier(talk, network), Courier(talk, network)
    run = a_run(desk, one, other)
    for _ in range(3):
        one.tick()
        other.tick()
    assert network.kinds() == ["post"]
    control.pause(desk.engine, run, "test")
    other.tick()
    assert network.kinds() == ["post"]  # it is not the other's
    monkeypatch.setattr(desk.store, "_offset", 60.0)  # the first one is not heard of any more
    other.tick()
    assert network.kinds() == ["post", "edit"]
    assert "paused" in network.said[-1][2]
    one.tick()
    assert network.kinds() == ["post", "edit"]


def test_a_network_that_fails_is_tried_again_after_a_while_that_grows(
    desk: Desk, network: FakeNetwork
) -> None:
    clock = Clock()
    courier = Courier(Talk(desk, "slack"), network, clock=clock)
    a_run(desk, courier)
    network.errors = [NetworkError("away"), NetworkError("away")]
    courier.tick()
    courier.tick()
    assert len(network.errors) == 1
    clock.now += 2.1
    courier.tick()
    clock.now += 2.1
    courier.tick()
    assert network.said == []  # the second time it waits for longer
    clock.now += 2.0
    courier.tick()
    assert network.kinds() == ["post"]


def test_too_fast_rests_the_whole_network(desk: Desk, network: FakeNetwork) -> None:
    clock = Clock()
    courier = Courier(Talk(desk, "slack"), network, clock=clock)
    a_run(desk, courier)
    a_run(desk, courier)
    network.errors = [TooFast("slow down", 30.0)]
    courier.tick()
    clock.now += 29
    courier.tick()
    assert network.said == []
    clock.now += 2
    courier.tick()
    assert network.kinds() == ["post", "post"]


def test_a_room_that_is_gone_is_given_up(desk: Desk, network: FakeNetwork) -> None:
    courier = Courier(Talk(desk, "slack"), network)
    a_run(desk, courier)
    network.errors = [Gone("slack: is_archived")]
    courier.tick()
    courier.tick()
    assert network.said == []
    assert row(desk).gone == "slack: is_archived"


def test_edits_keep_a_distance_but_ends_are_told_at_once(
    desk: Desk, network: FakeNetwork, stack: Stack, work: Work
) -> None:
    network.edit_pace = 3600.0
    courier = Courier(Talk(desk, "slack"), network)
    run = a_run(desk, courier)
    courier.tick()
    control.pause(desk.engine, run, "test")
    courier.tick()
    assert network.kinds() == ["post", "edit"]
    control.resume(desk.engine, run, "test")
    courier.tick()
    assert network.kinds() == ["post", "edit"]  # that can wait
    control.abort(desk.engine, run, "test")
    courier.tick()
    assert network.kinds()[:3] == ["post", "edit", "edit"]
    assert "aborted" in network.said[2][2]
    before = list(network.said)
    for _ in range(3):
        courier.tick()
    assert network.said == before
    assert row(desk).settled == "aborted"


def test_a_run_that_is_tried_again_is_followed_again(desk: Desk, network: FakeNetwork) -> None:
    courier = Courier(Talk(desk, "slack"), network)
    run = a_run(desk, courier)
    courier.tick()
    control.abort(desk.engine, run, "cli:ops")
    courier.tick()
    control.retry(desk.engine, run, [], "cli:ops")
    courier.tick()
    assert network.said[-1][0] == "edit"
    assert "aborted" not in network.said[-1][2].splitlines()[0]
