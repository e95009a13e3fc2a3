"""Slack: the official SDK signs the requests, a stand-in of its Web API receives ours."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from fastapi import FastAPI
from slack_sdk.signature import SignatureVerifier
from sqlmodel import col, select

from chatops.chat.config import SlackConfig
from chatops.chat.web import install
from chatops.desk import Desk
from tests.integration.chat.served import served
from tests.integration.chat.stand_in import StandIn
from tests.kit.plans import Work
from tests.kit.stack import Stack, until
from worker import control
from worker.control import NotNow
from worker.models import Audit, ChatMessage

SECRET = "8f742231b10e8888abcd99yyyzzz85a5"  # noqa: S105
ROOM = "C0ROOM"


class Room:
    """Slack, as somebody in a room uses it."""

    def __init__(self, client: httpx.Client, api: StandIn) -> None:
        self.client = client
        self.api = api

    def send(self, body: str, *, age: float = 0.0, secret: str = SECRET) -> httpx.Response:
        stamp = str(int(time.time() - age))
        signature = SignatureVerifier(secret).generate_signature(timestamp=stamp, body=body)
        return self.client.post(
            "/chatops/slack",
            content=body,
            headers={
                "content-type": "application/x-www-form-urlencoded",
                "x-slack-request-timestamp": stamp,
                "x-slack-signature": str(signature),
            },
        )

    def command(self, user: str, text: str, trigger: str | None = None) -> str:
        return urlencode(
            {
                "command": "/winch",
                "text": text,
                "user_id": user,
                "user_name": user.lower(),
                "channel_id": ROOM,
                "team_id": "T1",
                "response_url": f"{self.api.url}/response",
                "trigger_id": trigger or uuid.uuid4().hex,
            }
        )

    def say(self, user: str, text: str) -> str:
        """Write a command; the answer's text."""
        answer = self.send(self.command(user, text))
        assert answer.status_code == 200, answer.text
        document = answer.json()
        assert document["response_type"] == "ephemeral"
        return str(document["text"])

    def press(self, user: str, action: str, value: str) -> str:
        """Press a button; the answer's text."""
        before = len(self.api.of("/response"))
        payload = {
            "type": "block_actions",
            "user": {"id": user},
            "team": {"id": "T1"},
            "channel": {"id": ROOM},
            "trigger_id": uuid.uuid4().hex,
            "response_url": f"{self.api.url}/response",
            "actions": [{"type": "button", "action_id": f"winch_{action}", "value": value,
                         "block_id": "b", "action_ts": "1"}],
        }  # fmt: skip
        answer = self.send(urlencode({"payload": json.dumps(payload)}))
        assert answer.status_code == 200, answer.text
        until(lambda: len(self.api.of("/response")) > before, what="the answer to a button")
        return str(self.api.of("/response")[-1].data["text"])

    def message(self) -> dict[str, Any]:
        """The room's message as it is now."""
        shown = [c for c in self.api.calls if "chat." in c.path and "thread_ts" not in c.data]
        return shown[-1].data if shown else {}

    def buttons(self) -> list[str]:
        blocks = self.message().get("blocks", [])
        found = [one for block in blocks for one in block.get("elements", [])]
        assert all("confirm" in one for one in found)  # each asks before it acts
        return [one["action_id"].removeprefix("winch_") for one in found]

    def thread(self) -> list[str]:
        return [c.data["text"] for c in self.api.of("chat.postMessage") if "thread_ts" in c.data]


def app_of(desk: Desk, api: StandIn) -> FastAPI:
    app = FastAPI()
    config = SlackConfig("xoxb-1", SECRET, None, f"{api.url}/api/")
    install(app, desk, slack=config)
    return app


@pytest.fixture
def room(desk: Desk, slack_api: StandIn) -> Iterator[Room]:
    with served(app_of(desk, slack_api)) as client:
        yield Room(client, slack_api)


def test_a_run_is_asked_for_followed_and_done(room: Room, stack: Stack, work: Work) -> None:
    stack.worker()
    work.flag("hold").touch()
    begun = time.monotonic()
    said = room.say("UALICE", "roll web version=1.26 reason=“CVE <!channel>”")
    assert time.monotonic() - begun < 3
    assert "run 1: roll web of web1, web2" in said
    until(lambda: room.message() and "◌" not in room.message()["text"], what="a first message")
    assert room.message()["channel"] == ROOM
    until(lambda: "held by hold" in room.message()["text"], what="the step now")
    assert "<!channel>" not in json.dumps(room.message())
    assert room.buttons() == ["pause", "abort"]
    work.flag("hold").unlink()
    stack.ended(1)
    until(lambda: "succeeded" in room.message()["text"], what="the end")
    assert "2 of 2 hosts" in room.message()["text"]
    assert room.buttons() == []
    until(lambda: "✅ succeeded" in "\n".join(room.thread()), what="the end in the thread")
    told = "\n".join(room.thread())
    assert told.count("web1 succeeded") == told.count("web2 succeeded") == 1
    posts = [c for c in room.api.of("chat.postMessage") if "thread_ts" not in c.data]
    assert len(posts) == 1  # one message a run


def test_a_run_is_approved_by_another_person_and_refused_to_others(
    room: Room, stack: Stack, work: Work
) -> None:
    stack.worker()
    assert "drains are looked at by two" in room.say("UALICE", "drain web web1")
    until(lambda: "approve" in room.buttons(), what="the button")
    assert "takes the approval of another" in room.say("UALICE", "approve 1")
    assert "it takes operator for `approve`" in room.press("UVERA", "approve", "1")
    assert "slack:UEVE has no role here" in room.press("UEVE", "approve", "1")
    assert "`slack:UEVE` in the access file" in room.say("UEVE", "help")
    assert stack.document(1)["status"] == "waiting"
    assert "approved" in room.press("UBOB", "approve", "1")
    assert stack.ended(1)["status"] == "succeeded"
    with stack.store.read() as session:
        lines = session.exec(
            select(Audit).where(Audit.action == "approve").order_by(col(Audit.id))
        ).all()
    assert [(line.actor, line.outcome) for line in lines] == [
        ("slack:UALICE", "refused"),
        ("slack:UVERA", "refused"),
        ("slack:UEVE", "refused"),
        ("slack:UBOB", "granted"),
    ]


def test_of_two_approvals_at_once_one_wins_and_the_other_is_told(
    room: Room, stack: Stack, desk: Desk
) -> None:
    room.say("UALICE", "drain web web1")
    control.approve(stack.engine, 1, "cli:bob")  # at the instant before
    said = room.press("UBOB", "approve", "1")
    assert "nothing of it waits for an approval" in said
    assert "cli:bob was faster" in said


def test_of_an_approval_in_chat_and_one_at_the_command_line_exactly_one_wins(
    room: Room, stack: Stack, desk: Desk
) -> None:
    for run in range(1, 6):
        room.say("UALICE", "drain web web1")
        together = threading.Barrier(2)

        def at_the_command_line(run: int = run, together: threading.Barrier = together) -> str:
            together.wait()
            try:
                control.approve(stack.engine, run, "cli:carol")
            except NotNow as error:
                return str(error)
            return "approved"

        def in_chat(run: int = run, together: threading.Barrier = together) -> str:
            together.wait()
            return room.press("UBOB", "approve", str(run))

        with ThreadPoolExecutor(2) as pool:
            said = list(pool.map(lambda one: one(), (at_the_command_line, in_chat)))
        assert sum("nothing of it waits for an approval" in one for one in said) == 1, said
        assert sum("approved" in one for one in said) == 1, said
        control.abort(stack.engine, run, "test")
        with stack.store.read() as session:
            granted = select(Audit).where(
                Audit.action == "approve", Audit.run_id == run, Audit.outcome == "granted"
            )
            assert len(session.exec(granted).all()) == 1


def test_forged_stale_replayed_and_oversized_requests_are_refused(room: Room, desk: Desk) -> None:
    body = room.command("UALICE", "roll web version=1")
    assert room.send(body, secret="guessed").status_code == 401  # noqa: S106
    assert room.send(body, age=400).status_code == 401
    assert room.send(body, age=-400).status_code == 401
    unsigned = room.client.post(
        "/chatops/slack",
        content=body,
        headers={"content-type": "application/x-www-form-urlencoded"},
    )
    assert unsigned.status_code == 401
    assert room.send("x" * 300_000).status_code == 413
    chunked = room.client.post("/chatops/slack", content=(b"x" * 65536 for _ in range(20)))
    assert chunked.status_code == 413
    assert room.client.post("/chatops/slack", content=b"\xff\xfe").status_code in (400, 401)
    with desk.store.read() as session:
        assert session.exec(select(ChatMessage)).all() == []
    assert room.send(body).status_code == 200
    assert room.send(body).status_code == 409
    assert "run 2" not in room.say("UALICE", "status")


def test_help_and_mistakes(room: Room) -> None:
    said = room.say("UVERA", "help")
    assert "status [RUN]" in said
    assert "roll" not in said
    assert "abort" not in said
    assert "roll POOL" in room.say("UALICE", "")
    assert "did you mean `/winch roll web version=2`?" in room.say("UALICE", "rol web version=2")
    assert "did you mean 'web'" in room.say("UALICE", "roll wbe version=1")
    assert "vera" not in room.say("UVERA", "roll web").lower().replace("slack:uvera", "")
    assert "it takes operator for `start`" in room.say("UVERA", "roll web version=1")


def test_a_status_has_the_buttons_of_the_one_who_looks(
    room: Room, stack: Stack, work: Work
) -> None:
    stack.worker()
    work.flag("broken-web1").touch()
    room.say("UALICE", "roll web version=1 limit=web1")
    assert stack.ended(1)["status"] == "failed"
    shown = room.send(room.command("UALICE", "status 1")).json()["blocks"]
    labels = [e["text"]["text"] for b in shown for e in b.get("elements", [])]
    assert labels == ["Retry", "Skip web1", "Abort"]
    shown = room.send(room.command("UVERA", "status 1")).json()["blocks"]
    assert not [e for b in shown for e in b.get("elements", [])]
    work.flag("broken-web1").unlink()
    until(lambda: "failed" in room.message()["text"], what="the failure is shown")
    assert "goes on with web1" in room.press("UBOB", "retry", "1")
    assert stack.ended(1)["status"] == "succeeded"
    until(lambda: "succeeded" in room.message()["text"], what="the end after a retry")


def test_another_process_goes_on_with_the_same_message(
    desk: Desk, slack_api: StandIn, stack: Stack, work: Work
) -> None:
    stack.worker()
    work.flag("hold").touch()
    with served(app_of(desk, slack_api)) as client:
        room = Room(client, slack_api)
        room.say("UALICE", "roll web version=1")
        until(lambda: "held by hold" in room.message().get("text", ""), what="a message")
    work.flag("hold").unlink()
    stack.ended(1)
    assert "succeeded" not in room.message()["text"]
    with served(app_of(desk, slack_api)):
        until(lambda: "succeeded" in room.message()["text"], what="the other process's edit")
    posts = [c for c in slack_api.of("chat.postMessage") if "thread_ts" not in c.data]
    assert len(posts) == 1


def test_slack_that_says_too_fast_is_left_alone(
    desk: Desk, slack_api: StandIn, stack: Stack, work: Work
) -> None:
    stack.worker()
    refused: list[float] = []
    usual = slack_api.answer

    def busy(call: Any) -> Any:
        if call.path.endswith("chat.postMessage") and not refused:
            refused.append(time.monotonic())
            return 429, {"retry-after": "1"}, {"ok": False, "error": "ratelimited"}
        refused.append(time.monotonic())
        return usual(call)

    slack_api.answer = busy
    with served(app_of(desk, slack_api)) as client:
        room = Room(client, slack_api)
        room.say("UALICE", "roll web version=1")
        until(lambda: len(slack_api.of("chat.postMessage")) > 1, what="a second try")
    assert refused[1] - refused[0] >= 1.0


def test_a_room_that_we_may_not_write_to_is_answered_in_private(
    desk: Desk, slack_api: StandIn, stack: Stack
) -> None:
    usual = slack_api.answer

    def closed(call: Any) -> Any:
        if call.data.get("channel") == ROOM:
            return 200, {}, {"ok": False, "error": "not_in_channel"}
        return usual(call)

    slack_api.answer = closed
    with served(app_of(desk, slack_api)) as client:
        room = Room(client, slack_api)
        room.say("UALICE", "roll web version=1")
        until(
            lambda: [c for c in slack_api.of("chat.postMessage") if c.data["channel"] == "UALICE"],
            what="a direct message",
        )
