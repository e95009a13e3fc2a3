"""Mattermost: slash commands, buttons and their questions; a stand-in of its API receives ours."""

from __future__ import annotations

import base64
import time
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from chatops.chat.config import MattermostConfig
from chatops.chat.mattermost import MattermostNetwork
from chatops.chat.web import install
from chatops.desk import Desk
from tests.integration.chat.served import served
from tests.integration.chat.stand_in import Call, StandIn
from tests.kit.plans import Work
from tests.kit.stack import Stack, until

TOKEN = "token-of-the-command"  # noqa: S105
CALLBACK = "https://winch.example.org/chatops/mattermost"
ROOM = "room1"


def answer(call: Call) -> tuple[int, dict[str, str], Any]:
    return 200, {}, {"id": uuid.uuid4().hex}


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    monkeypatch.setattr(MattermostNetwork, "edit_pace", 0.1)
    stand_in = StandIn(answer)
    yield stand_in
    stand_in.close()


def trigger(user: str, age: float = 0.0) -> str:
    at = int((time.time() - age) * 1000)
    return base64.b64encode(f"{uuid.uuid4().hex}:{user}:{at}:c2ln".encode()).decode()


class Room:
    """Mattermost, as somebody in a room uses it."""

    def __init__(self, client: httpx.Client, api: StandIn) -> None:
        self.client = client
        self.api = api

    def send(self, user: str, text: str, **more: str) -> httpx.Response:
        form = {
            "command": "/winch", "text": text, "user_id": user, "channel_id": ROOM,
            "token": TOKEN, "trigger_id": trigger(user), "response_url": f"{self.api.url}/hooks/x",
        }  # fmt: skip
        return self.client.post("/chatops/mattermost", data=form | more)

    def say(self, user: str, text: str) -> str:
        sent = self.send(user, text)
        assert sent.status_code == 200, sent.text
        shown = sent.json()
        assert shown["response_type"] == "ephemeral"
        titles = [a["title"] + a["text"] for a in shown["attachments"]]
        return "\n".join([shown["text"], *titles])

    def attachment(self) -> dict[str, Any]:
        """The room's message as it is now."""
        shown = [
            c.data["props"]["attachments"]
            for c in self.api.calls
            if "/posts" in c.path and "root_id" not in c.data and "props" in c.data
        ]
        return dict(shown[-1][0]) if shown and shown[-1] else {}

    def button(self, name: str) -> dict[str, Any]:
        actions = self.attachment().get("actions", [])
        found = [one for one in actions if one["name"] == name]
        assert found, actions
        assert found[0]["integration"]["url"] == CALLBACK
        return dict(found[0]["integration"]["context"])

    def press(self, user: str, context: dict[str, Any], **more: Any) -> httpx.Response:
        body = {"user_id": user, "channel_id": ROOM, "post_id": "p", "context": context,
                "trigger_id": trigger(user), "type": "button"}  # fmt: skip
        return self.client.post("/chatops/mattermost", json=body | more)

    def confirm(self, user: str, state: str, **more: Any) -> httpx.Response:
        body = {"type": "dialog_submission", "callback_id": "winch", "state": state,
                "user_id": user, "channel_id": ROOM, "cancelled": False}  # fmt: skip
        return self.client.post("/chatops/mattermost", json=body | more)


@pytest.fixture
def room(desk: Desk, api: StandIn) -> Iterator[Room]:
    app = FastAPI()
    install(app, desk, mattermost=MattermostConfig(api.url, "bot", (TOKEN,), CALLBACK))
    with served(app) as client:
        yield Room(client, api)


def test_a_run_is_asked_for_approved_by_a_button_and_followed(
    room: Room, stack: Stack, work: Work
) -> None:
    stack.worker()
    assert "drains are looked at by two" in room.say("alice1", "drain web web1 reason=@channel")
    until(room.attachment, what="the message")
    assert "@channel" not in str(room.attachment())
    context = room.button("Approve")
    refused = room.press("vera1", context).json()["ephemeral_text"]
    assert "it takes operator for" in refused
    assert not room.api.of("/dialogs/open")
    assert room.press("bob1", context).status_code == 200
    asked = room.api.of("/dialogs/open")[-1].data
    assert asked["url"] == CALLBACK
    assert "Let run 1" in asked["dialog"]["introduction_text"]
    assert stack.document(1)["status"] == "waiting"  # it only asked
    state = asked["dialog"]["state"]
    assert room.confirm("vera1", state).status_code == 401  # the question was bob's
    assert room.confirm("bob1", state, cancelled=True).status_code == 200
    assert stack.document(1)["status"] == "waiting"
    assert room.confirm("bob1", state).status_code == 200
    assert room.confirm("bob1", state).status_code == 409
    assert "approved" in room.api.of("/posts/ephemeral")[-1].data["post"]["message"]
    assert stack.ended(1)["status"] == "succeeded"
    until(lambda: "succeeded" in room.attachment()["title"], what="the end")
    assert "actions" not in room.attachment()
    posts = [c for c in room.api.of("/posts") if "root_id" not in c.data]
    assert len(posts) == 1
    until(lambda: [c for c in room.api.of("/posts") if "root_id" in c.data], what="the thread")


def test_forged_stale_replayed_and_oversized_requests_are_refused(room: Room, stack: Stack) -> None:
    assert room.send("alice1", "status", token="guessed").status_code == 401  # noqa: S106
    assert room.send("alice1", "status", token="").status_code == 401
    old = trigger("alice1", age=400)
    assert room.send("alice1", "roll web", trigger_id=old).status_code == 401
    assert room.send("alice1", "roll web", trigger_id=trigger("bob1")).status_code == 401
    assert room.send("alice1", "roll web", trigger_id="nonsense").status_code == 401
    once = trigger("alice1")
    assert room.send("alice1", "status", trigger_id=once).status_code == 200
    assert room.send("alice1", "status", trigger_id=once).status_code == 409
    assert room.send("alice1", "x" * 300_000).status_code == 413
    assert room.press("alice1", {"seal": "e30=.00"}).status_code == 401
    assert room.press("alice1", {"do": "abort", "of": "1"}).status_code == 401
    assert room.confirm("alice1", "e30=.00").status_code == 401
    post = room.client.post
    for body in (b"[", b"[]", b"\xff", b"{}"):
        headers = {"content-type": "application/json"}
        assert post("/chatops/mattermost", content=body, headers=headers).status_code in (400, 401)


def test_help_is_the_askers_own(room: Room) -> None:
    assert "roll POOL" in room.say("alice1", "help")
    assert "roll POOL" not in room.say("vera1", "help")
    assert "has no role here" in room.say("eve1", "help")


def test_networks_that_are_not_configured_answer_404(room: Room) -> None:
    assert room.client.post("/chatops/slack", content=b"").status_code == 404
