"""The web's part of chat: POST /chatops/slack and /chatops/mattermost."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse, Response

from chatops.chat.config import MattermostConfig, SlackConfig, mattermost_config, slack_config
from chatops.chat.courier import Courier
from chatops.chat.talk import Talk
from chatops.desk import Desk
from worker.errors import UsageError

if TYPE_CHECKING:
    from chatops.chat.mattermost import Mattermost
    from chatops.chat.slack import Slack

log = logging.getLogger(__name__)

MAX_BODY = 256 * 1024  # bytes; a button's request holds the message that it is under


@dataclass
class Chat:
    """What of chat this web process serves."""

    slack: Slack | None = None
    mattermost: Mattermost | None = None
    couriers: list[Courier] = field(default_factory=list)


def install(
    app: FastAPI,
    desk: Desk,
    *,
    slack: SlackConfig | None = None,
    mattermost: MattermostConfig | None = None,
) -> Chat:
    """Add the routes of the networks that are configured; their messages are kept up to date.

    Raises:
        UsageError: a library is missing.
    """
    chat = Chat()
    if slack is not None and slack.signing_secret is not None:
        chat.slack = make_slack(desk, slack)
        chat.couriers.append(chat.slack.courier)
    if mattermost is not None:
        chat.mattermost = make_mattermost(desk, mattermost)
        chat.couriers.append(chat.mattermost.courier)
    _routes(app, chat)
    before = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(served: FastAPI) -> AsyncIterator[None]:
        async with before(served):
            for courier in chat.couriers:
                courier.start()
            try:
                yield
            finally:
                for courier in chat.couriers:
                    await run_in_threadpool(courier.stop)

    app.router.lifespan_context = lifespan
    return chat


def install_configured(app: FastAPI, desk: Desk) -> Chat:
    """Add what the environment configures.

    Raises:
        UsageError: it configures something by half.
    """
    return install(app, desk, slack=slack_config(), mattermost=mattermost_config())


def make_slack(desk: Desk, config: SlackConfig) -> Slack:
    """Make Slack's app and its courier.

    Raises:
        UsageError: slack-bolt is not installed.
    """
    try:
        from chatops.chat.slack import Slack, SlackNetwork, make_client  # noqa: PLC0415 - optional
    except ModuleNotFoundError as error:
        raise UsageError(f"Slack needs {error.name}: pip install 'winch[slack]'") from None
    talk = Talk(desk, "slack")
    return Slack(talk, config, Courier(talk, SlackNetwork(make_client(config))))


def make_mattermost(desk: Desk, config: MattermostConfig) -> Mattermost:
    """Make Mattermost's app and its courier."""
    from chatops.chat.mattermost import Mattermost, MattermostNetwork  # noqa: PLC0415 - optional

    talk = Talk(desk, "mattermost")
    network = MattermostNetwork(config)
    return Mattermost(talk, config, Courier(talk, network), network)


def _routes(app: FastAPI, chat: Chat) -> None:
    @app.post("/chatops/slack", include_in_schema=False)
    async def slack(request: Request) -> Response:
        adapter = chat.slack
        if adapter is None:
            return _off("Slack", "WINCH_SLACK_BOT_TOKEN and WINCH_SLACK_SIGNING_SECRET")
        body = await _body(request)
        if isinstance(body, Response):
            return body
        from slack_bolt.adapter.starlette.handler import (  # noqa: PLC0415 - optional
            to_bolt_request,
            to_starlette_response,
        )

        try:
            bolt = to_bolt_request(request, body)
        except UnicodeDecodeError:
            return PlainTextResponse("the body is no text", 400)
        return to_starlette_response(await run_in_threadpool(adapter.app.dispatch, bolt))

    @app.post("/chatops/mattermost", include_in_schema=False)
    async def mattermost(request: Request) -> Response:
        adapter = chat.mattermost
        if adapter is None:
            return _off("Mattermost", "WINCH_MATTERMOST_URL, _TOKEN and _BOT_TOKEN")
        body = await _body(request)
        if isinstance(body, Response):
            return body
        headers = dict(request.headers)
        return await run_in_threadpool(adapter.handle, body, headers)


def _off(name: str, variables: str) -> Response:
    return PlainTextResponse(f"{name} is not configured: {variables}", 404)


async def _body(request: Request) -> bytes | Response:
    """Read a body that is not too large."""
    length = request.headers.get("content-length", "0")
    too_large = PlainTextResponse("the body is too large", 413, {"Connection": "close"})
    if not length.isdigit() or int(length[:20]) > MAX_BODY:
        return too_large
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_BODY:
            return too_large
        parts.append(part)
    return b"".join(parts)
