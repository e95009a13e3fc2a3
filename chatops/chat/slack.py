"""Slack, by slack-bolt: `/winch …` and buttons in, Block Kit out.

Bolt verifies signature and age of what comes over HTTP; what was there before is refused here.
Socket Mode needs no address that Slack can reach.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from typing import Any
from urllib.error import URLError

from slack_bolt import Ack, App, BoltRequest, BoltResponse, Respond
from slack_bolt.authorization import AuthorizeResult
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError

from chatops.chat.card import Card, read_value
from chatops.chat.config import SlackConfig
from chatops.chat.courier import Courier
from chatops.chat.network import Gone, NetworkError, TooFast
from chatops.chat.seen import Seen
from chatops.chat.slack_blocks import blocks_of, escape
from chatops.chat.talk import Asker, Reply, Talk
from worker.errors import WinchError

log = logging.getLogger(__name__)

PREFIX = "winch_"  # of the buttons' action ids
AT_ONCE = 2.0  # seconds: Slack gives up on an answer after 3
_TIMEOUT = 10  # seconds of one call
_GONE = frozenset(
    {
        "channel_not_found", "not_in_channel", "is_archived", "message_not_found",
        "cant_update_message", "restricted_action", "account_inactive", "edit_window_closed",
        "posting_to_general_channel_denied", "user_not_found", "cannot_dm_bot",
    }
)  # fmt: skip


class SlackNetwork:
    """Slack's Web API, as `chatops.chat.courier` writes to it."""

    name = "slack"
    pace = 1.2  # seconds: chat.update is let through some 50 times a minute
    edit_pace = 3.0

    def __init__(self, client: WebClient) -> None:
        self._client = client

    def post(self, channel: str, card: Card, *, thread: str | None, key: str) -> tuple[str, str]:
        """See `Network`. Slack knows no keys: after a crash just here, a message is there twice."""
        del key
        answer = _called(
            lambda: self._client.chat_postMessage(
                channel=channel,
                text=escape(card.text)[:3000],
                blocks=blocks_of(card),
                thread_ts=thread,
                unfurl_links=False,
                unfurl_media=False,
            )
        )
        return str(answer["channel"]), str(answer["ts"])

    def edit(self, channel: str, message: str, card: Card) -> None:
        """See `Network`."""
        _called(
            lambda: self._client.chat_update(
                channel=channel,
                ts=message,
                text=escape(card.text)[:3000],
                blocks=blocks_of(card),
            )
        )

    def private(self, identity: str) -> str | None:
        """See `Network`: a user's id opens a direct message."""
        return identity.partition(":")[2] or None


def _called(call: Callable[[], Any]) -> Any:
    """Call Slack; its errors become ours."""
    try:
        return call()
    except SlackApiError as error:
        code = str(error.response.get("error", "")) if error.response is not None else ""
        if code in ("ratelimited", "rate_limited"):
            after = str(error.response.headers.get("Retry-After", "5"))
            seconds = float(after) if after.isdigit() else 5.0
            raise TooFast(f"slack: too fast; again in {seconds:.0f} s", seconds) from None
        kind = Gone if code in _GONE else NetworkError
        raise kind(f"slack: {code or 'an answer that is none'}") from None
    except (SlackClientError, URLError, OSError, ValueError) as error:
        raise NetworkError(f"slack: no answer: {type(error).__name__}: {error}") from None


def make_client(config: SlackConfig) -> WebClient:
    """Make the client of Slack's Web API."""
    return WebClient(token=config.bot_token, base_url=config.api_url, timeout=_TIMEOUT)


class Slack:
    """The app: what people write and press. `app` is Bolt's."""

    def __init__(self, talk: Talk, config: SlackConfig, courier: Courier) -> None:
        self.talk = talk
        self.courier = courier
        self._seen = Seen(talk.desk.store, "slack")
        self._pool = ThreadPoolExecutor(8, thread_name_prefix="slack")

        def authorize() -> AuthorizeResult:  # one workspace: nothing to ask Slack for
            return AuthorizeResult(enterprise_id=None, team_id=None, bot_token=config.bot_token)

        self.app = App(
            client=WebClient(base_url=config.api_url, timeout=_TIMEOUT),
            # Without a secret (Socket Mode alone) nothing that comes over HTTP can be valid.
            signing_secret=config.signing_secret or secrets.token_hex(32),
            authorize=authorize,
            listener_executor=ThreadPoolExecutor(8, thread_name_prefix="slack-listener"),
        )
        self.app.middleware(self._once)
        self.app.command("/winch")(self._command)
        for action in ("approve", "pause", "resume", "retry", "skip", "abort"):
            self.app.action(f"{PREFIX}{action}")(self._pressed)

    def _once(
        self,
        request: BoltRequest,
        body: dict[str, Any],
        next: Callable[[], BoltResponse],  # noqa: A002 - Bolt's name
    ) -> BoltResponse:
        """Refuse what has been here before; signature and age are verified already."""
        key = str(body.get("trigger_id") or request.raw_body)
        try:
            if self._seen.first(key):
                return next()
        except WinchError as error:
            log.warning("slack: %s", error)
            return BoltResponse(status=503, body="")
        log.warning("slack: a request came twice; the second one is refused")
        replayed = request.mode != "socket_mode"  # there, an acknowledgement may have been lost
        return BoltResponse(status=409 if replayed else 200, body="")

    def _command(self, body: dict[str, Any], ack: Ack, respond: Respond) -> None:
        asker = Asker(
            f"slack:{body['user_id']}", str(body["channel_id"]), str(body.get("trigger_id", ""))
        )
        text = str(body.get("text") or "")
        text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
        future = self._pool.submit(self.talk.say, asker, text)
        self._answer(future, asker, ack, respond)

    def _pressed(self, body: dict[str, Any], ack: Ack, respond: Respond) -> None:
        ack()  # a button's answer goes to its response_url
        pressed = body["actions"][0]
        action = str(pressed["action_id"]).removeprefix(PREFIX)
        try:
            run, hosts = read_value(str(pressed.get("value", "")))
        except ValueError:
            log.warning("slack: a button with a value that is none of ours")
            return
        channel = str((body.get("channel") or {}).get("id", ""))
        asker = Asker(f"slack:{body['user']['id']}", channel, str(body.get("trigger_id", "")))
        reply = self.talk.press(asker, action, run, hosts)
        self._follow(reply, asker)
        _respond(respond, reply.card)

    def _answer(self, future: Future[Reply], asker: Asker, ack: Ack, respond: Respond) -> None:
        """Answer within Slack's 3 s; what takes longer is said when it is there."""
        try:
            reply = future.result(AT_ONCE)
        except NotYet:
            ack(text="One moment …", response_type="ephemeral")
            reply = future.result()
            self._follow(reply, asker)
            _respond(respond, reply.card)
            return
        ack(text=escape(reply.card.text), blocks=blocks_of(reply.card), response_type="ephemeral")
        self._follow(reply, asker)

    def _follow(self, reply: Reply, asker: Asker) -> None:
        if reply.follow is not None and asker.channel:
            self.courier.follow(asker.channel, reply.follow, asker.identity)

    def close(self) -> None:
        """End its threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _respond(respond: Respond, card: Card) -> None:
    try:
        respond(
            text=escape(card.text),
            blocks=blocks_of(card),
            response_type="ephemeral",
            replace_original=False,
        )
    except (SlackClientError, URLError, OSError, ValueError) as error:
        log.warning("slack: an answer was not taken: %s", error)
