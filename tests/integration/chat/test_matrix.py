"""A whole roll by way of a real Matrix homeserver, a real HAProxy and `winch chat matrix`."""

from __future__ import annotations

import json
import time
from typing import Any

from tests.integration.chat.bot import BOT, listening
from tests.integration.chat.homeserver import Homeserver, Person
from tests.integration.cli.conftest import Machine
from tests.kit.stack import until


def make_room(people: dict[str, Person], **more: Any) -> str:
    alice = people["alice"]
    others = [person for name, person in people.items() if name != "alice"]
    room = alice.create_room(BOT, *(person.user for person in others), **more)
    for person in others:
        person.join(room)
    until(lambda: BOT in alice.members(room), seconds=30, what="winch joins", every=0.1)
    return room


def board(person: Person, room: str, run: int) -> tuple[str, list[str]]:
    """The room's one message about a run as it is now, and what its thread says."""
    root, text, thread = "", "", []
    for event in person.events(room):
        content = event["content"]
        relation = content.get("m.relates_to", {})
        if event["sender"] != BOT:
            continue
        if not relation and f"run {run} " in content["body"]:
            assert not root, "one message a run"
            root, text = event["event_id"], content["body"]
        elif relation.get("rel_type") == "m.replace" and relation["event_id"] == root:
            text = content["m.new_content"]["body"]
        elif relation.get("rel_type") == "m.thread" and relation["event_id"] == root:
            thread += content["body"].splitlines()
    return text, thread


def number_in(text: str) -> int:
    return int(text.partition("run ")[2].partition(":")[0])


def document(machine: Machine, run: int) -> dict[str, Any]:
    return dict(json.loads(machine.winch("show", str(run), "--json").stdout))


def test_a_whole_roll_is_asked_for_followed_approved_and_refused(
    machine: Machine, server: Homeserver, people: dict[str, Person]
) -> None:
    alice, bob, vera, eve = (people[name] for name in ("alice", "bob", "vera", "eve"))
    with listening(machine, server):
        room = make_room(people)
        begun = time.monotonic()
        said = alice.ask(room, '!winch roll web version=7 reason="a <b>CVE</b>"')
        assert time.monotonic() - begun < 3
        run = number_in(said)
        assert "rolls are looked at by two" in said
        until(lambda: "waiting" in board(alice, room, run)[0], what="the room's message")
        assert f"!winch approve {run}" in board(alice, room, run)[0]
        assert "it takes the approval of another person" in alice.ask(room, f"!winch approve {run}")
        assert "it takes operator for `approve`" in vera.ask(room, f"!winch approve {run}")
        assert "@eve:chat.test has no role here" in eve.ask(room, f"!winch approve {run}")
        assert document(machine, run)["status"] == "waiting"
        assert "approved" in bob.ask(room, f"!winch approve {run}")
        again = bob.ask(room, f"!winch approve {run}")
        assert "matrix:@bob:chat.test was faster" in again
        until(lambda: "succeeded" in board(alice, room, run)[0], seconds=60, what="the end")
        text, thread = board(alice, room, run)
        assert "3 of 3 hosts" in text
        until(lambda: any("✅" in line for line in board(alice, room, run)[1]), what="the thread")
        thread = board(alice, room, run)[1]
        assert sum("web1 succeeded" in line for line in thread) == 1
        assert any("approved by matrix:@bob" in line for line in thread)
        assert document(machine, run)["requested_by"] == "matrix:@alice:chat.test"
        assert (machine.directory / "web2.version").read_text() == "7\n"


def test_a_restart_goes_on_with_the_message_and_does_nothing_twice(
    machine: Machine, server: Homeserver, people: dict[str, Person]
) -> None:
    alice, bob = people["alice"], people["bob"]
    with listening(machine, server):
        room = make_room(people)
        run = number_in(alice.ask(room, "!winch roll web version=8 limit=web1"))
        until(lambda: "waiting" in board(alice, room, run)[0], what="the room's message")
    before = len(json.loads(machine.winch("runs", "--json").stdout))
    late = bob.write(room, f"!winch approve {run}")  # while nobody listens
    with listening(machine, server):
        assert "approved" in bob.answer_to(room, late)
        until(lambda: "succeeded" in board(alice, room, run)[0], seconds=60, what="the end")
        assert "did you mean `!winch roll web`?" in alice.ask(room, "!winch rol web")
        first = alice.write(room, "hello")
        alice.write(
            room,
            "* !winch roll web version=9",
            **{
                "m.new_content": {"msgtype": "m.text", "body": "!winch roll web version=9"},
                "m.relates_to": {"rel_type": "m.replace", "event_id": first},
            },
        )
        alice.ask(room, "!winch status")  # what was before it has been looked at
        assert len(json.loads(machine.winch("runs", "--json").stdout)) == before


def test_an_invitation_of_somebody_without_a_role_is_declined(
    machine: Machine, server: Homeserver, people: dict[str, Person]
) -> None:
    eve = people["eve"]
    with listening(machine, server) as log:
        room = eve.create_room(BOT)
        until(lambda: "has no role; not joining" in log.read_text(), what="it is declined")
        assert BOT not in eve.members(room)
