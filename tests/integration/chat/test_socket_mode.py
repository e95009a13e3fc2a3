"""Slack's Socket Mode: requests come through a connection that we have opened ourselves."""

from __future__ import annotations

import asyncio
import json
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp import WSMsgType, web

from chatops.chat.run import run_slack
from chatops.chat.slack import SlackNetwork
from chatops.desk import Desk
from tests.kit.stack import Stack, until
from worker.report import run_list


class Slack:
    """Slack's Web API and its socket, on loopback."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.answers: dict[str, dict[str, Any]] = {}
        self.sockets: list[web.WebSocketResponse] = []
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._run()))
        self._thread.start()
        assert self._ready.wait(10)

    async def _run(self) -> None:
        app = web.Application()
        app.router.add_post("/api/{name}", self._api)
        app.router.add_get("/socket", self._socket)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.port = runner.addresses[0][1]
        self._ready.set()
        await self._stop.wait()
        for socket in self.sockets:
            await socket.close()
        await runner.cleanup()

    async def _api(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        text = await request.text()
        self.calls.append((name, json.loads(text) if text.startswith("{") else {}))
        data = {"ok": True, "channel": "C1", "ts": "1.1", "user_id": "U1"}
        if name == "apps.connections.open":
            data["url"] = f"ws://127.0.0.1:{self.port}/socket"
        return web.json_response(data)

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_json({"type": "hello", "connection_info": {"app_id": "A1"}})
        self.sockets.append(socket)
        async for message in socket:
            if message.type == WSMsgType.TEXT and message.data.startswith("{"):
                data = json.loads(message.data)
                self.answers[data["envelope_id"]] = data.get("payload", {})
        return socket

    def send(self, text: str, *, trigger: str = "") -> dict[str, Any]:
        envelope = uuid.uuid4().hex
        payload = {
            "command": "/winch", "text": text, "user_id": "UALICE", "channel_id": "C1",
            "team_id": "T1", "trigger_id": trigger or uuid.uuid4().hex,
            "response_url": f"http://127.0.0.1:{self.port}/api/response",
        }  # fmt: skip
        data = {
            "type": "slash_commands", "envelope_id": envelope, "payload": payload,
            "accepts_response_payload": True,
        }  # fmt: skip
        asyncio.run_coroutine_threadsafe(self.sockets[-1].send_json(data), self._loop).result(10)
        until(lambda: envelope in self.answers, what="an acknowledgement")
        return self.answers[envelope]

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20)
        self._loop.close()


@pytest.fixture
def slack() -> Iterator[Slack]:
    made = Slack()
    yield made
    made.close()


def test_a_run_is_asked_for_and_an_envelope_that_comes_twice_does_nothing(
    slack: Slack, desk: Desk, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SlackNetwork, "pace", 0.02)
    monkeypatch.setenv("WINCH_SLACK_API_URL", f"http://127.0.0.1:{slack.port}/api/")
    monkeypatch.setenv("WINCH_SLACK_BOT_TOKEN", "xoxb-1")
    monkeypatch.setenv("WINCH_SLACK_APP_TOKEN", "xapp-1")
    stack.worker()
    stopping = threading.Event()
    thread = threading.Thread(target=run_slack, args=(desk, stopping))
    thread.start()
    try:
        until(lambda: slack.sockets, what="a connection")
        answer = slack.send("roll web version=1", trigger="once")
        assert "run 1: roll web" in answer["text"]
        assert slack.send("roll web version=1", trigger="once") == {}
        assert stack.ended(1)["status"] == "succeeded"
        assert len(run_list(stack.store)) == 1
        until(lambda: [c for c in slack.calls if c[0] == "chat.postMessage"], what="the message")
    finally:
        stopping.set()
        thread.join(30)
    assert not thread.is_alive()
