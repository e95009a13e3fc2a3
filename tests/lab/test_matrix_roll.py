"""A whole roll of whole hosts, carried by a real Matrix homeserver from the asking to the end."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatops.metrics import Metrics
from tests.integration.chat.bot import listening
from tests.integration.chat.homeserver import Homeserver, Person, homeserver
from tests.integration.chat.test_matrix import board, make_room, number_in
from tests.kit.stack import Stack, until
from tests.lab import nginx
from tests.lab.farm import Farm
from tests.lab.load import Ab, Download, KeepAlive
from tests.lab.waiting import wait_for

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def server() -> Iterator[Homeserver]:
    directory = Path(tempfile.mkdtemp(prefix="winch-matrix-"))
    try:
        with homeserver(directory) as made:
            made.register("winch", "the password of winch")
            yield made
    finally:
        shutil.rmtree(directory)


@pytest.fixture(scope="module")
def people(server: Homeserver) -> dict[str, Person]:
    return {name: server.register(name) for name in ("alice", "bob", "vera", "eve")}


@pytest.fixture
def stack(farm: Farm) -> Iterator[Stack]:
    directory = Path(tempfile.mkdtemp(prefix="winch-"))
    made = Stack(directory)
    made.environment["WINCH_FLEET"] = str(farm.fleet())
    try:
        yield made.start()
    finally:
        made.stop()
        shutil.rmtree(directory)


def followed_to_its_end(person: Person, room: str, run: int) -> list[str]:
    """Read the room's one message about a run as it changes. Returns all that it said."""
    seen: list[str] = []

    def ended() -> bool:
        text = board(person, room, run)[0]
        if not seen or seen[-1] != text:
            seen.append(text)
        return text.partition("\n")[0].split()[-1] in ("succeeded", "failed", "back")

    try:
        until(ended, seconds=120, every=0.2)
    except AssertionError:
        raise AssertionError(f"the room was told no end: {seen}") from None
    return seen


def test_a_roll_is_asked_followed_approved_by_a_second_person_and_refused_to_a_third(
    farm: Farm, stack: Stack, server: Homeserver, people: dict[str, Person]
) -> None:
    alice, bob, vera, eve = (people[name] for name in ("alice", "bob", "vera", "eve"))
    before = farm.settings()
    stack.worker()
    metrics = Metrics(stack.store)
    metrics.text()  # counting begins
    with listening(stack, server):
        room = make_room(people)
        assert "has no role here" in eve.ask(room, "!winch roll web version=1.26")
        assert "it takes operator for `start`" in vera.ask(room, "!winch roll web version=1.26")
        said = alice.ask(room, "!winch roll web version=1.26 reason=CVE-1")
        run = number_in(said)
        until(lambda: "waiting" in board(alice, room, run)[0], what="the room's message")
        # Refused to the asker, to one who may only look, and to one whom nobody knows.
        assert "approval of another person" in alice.ask(room, f"!winch approve {run}")
        assert "it takes operator for `approve`" in vera.ask(room, f"!winch approve {run}")
        assert "@eve:chat.test has no role here" in eve.ask(room, f"!winch approve {run}")
        assert stack.document(run)["status"] == "waiting"
        assert set(farm.versions().values()) == {"1.25"}
        assert farm.settings() == before

        # Round robin, and nobody else yet: each server gets one through each balancer.
        downloads = [Download(lb.address).start() for lb in farm.balancers for _ in farm.servers]
        wait_for(lambda: all(d.begun for d in downloads), "all downloads have begun")
        with Ab(farm.urls[0]) as load, KeepAlive(farm.balancers[1].address) as client:
            assert "approved" in bob.ask(room, f"!winch approve {run}")
            seen = followed_to_its_end(alice, room, run)
            for download in downloads:
                download.wait()
                assert download.complete, download
        assert load.result.lost == 0, load.result
        assert client.counts.lost == 0, client.counts
        until(lambda: any("✅" in line for line in board(alice, room, run)[1]), what="the thread")
        text, thread = board(alice, room, run)

    document = stack.document(run)
    assert document["status"] == "succeeded"
    assert document["requested_by"] == "matrix:@alice:chat.test"
    assert document["approval"]["approved_by"] == "matrix:@bob:chat.test"
    assert set(farm.versions().values()) == {"1.26"}
    assert farm.settings() == before
    assert "4 of 4 hosts" in text
    hosts = [f"web{number}" for number in range(1, 5)]
    assert [sum(f"{host} succeeded" in line for line in thread) for host in hosts] == [1] * 4
    followed = [number for number in range(1, 4) if any(f"{number} of 4 hosts" in s for s in seen)]
    assert followed, seen  # it was kept up to date on the way
    measured = metrics.text().decode()
    assert "winch_drain_sessions_count 4.0" in measured
    assert 'winch_drained_sessions_total{end="itself"}' in measured
    ended = next(line for line in measured.splitlines() if 'sessions_total{end="itself"}' in line)
    assert float(ended.split()[-1]) >= 1, "a download was under way when the first server left"
    assert 'winch_drained_sessions_total{end="shut"} 0.0' in measured


def test_a_failure_is_retried_from_the_room_where_it_was_shown(
    farm: Farm, stack: Stack, server: Homeserver, people: dict[str, Person]
) -> None:
    alice, bob = people["alice"], people["bob"]
    nginx.sabotage(farm.servers[0], "1.26")
    before = farm.settings()
    stack.worker()
    with listening(stack, server), Ab(farm.urls[0]) as load:
        room = make_room(people)
        run = number_in(alice.ask(room, "!winch roll web version=1.26"))
        assert "approved" in bob.ask(room, f"!winch approve {run}")
        until(
            lambda: "rolled back" in board(alice, room, run)[0], seconds=90, what="it is put back"
        )
        assert f"!winch retry {run}" in board(alice, room, run)[0]
        nginx.mend(farm.servers[0])
        assert "goes on" in bob.ask(room, f"!winch retry {run}")
        until(lambda: "succeeded" in board(alice, room, run)[0], seconds=120, what="the end")
    assert load.result.lost == 0, load.result
    assert set(farm.versions().values()) == {"1.26"}
    assert farm.settings() == before
