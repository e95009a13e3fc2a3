"""Mattermost: slash commands and buttons in, message attachments out.

Mattermost does not sign what it sends. A slash command carries its token, compared in constant
time. A button carries a context that only servers see, and the question that it asks a state; both
are sealed with a key made of the bot's token. A state is bound to who pressed, holds for some
minutes, and is taken once. Commands and buttons carry a trigger, which says when and whose it is.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import logging
import secrets
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from typing import Any
from urllib.parse import parse_qs

import httpx
from starlette.responses import JSONResponse, PlainTextResponse, Response

from chatops.chat.card import Button, Card, button, read_value
from chatops.chat.config import MattermostConfig
from chatops.chat.courier import Courier
from chatops.chat.mattermost_blocks import escape, post_of
from chatops.chat.network import Gone, NetworkError, TooFast
from chatops.chat.seen import MAX_AGE, Seen
from chatops.chat.talk import Asker, Reply, Talk
from worker.errors import WinchError
from worker.report import run_document

log = logging.getLogger(__name__)

AT_ONCE = 2.0  # seconds: Mattermost gives up on an answer after some 3 to 30
_TIMEOUT = 10.0  # seconds of one call
_TRIGGER_PARTS = 4  # id:user:milliseconds:signature


class MattermostNetwork:
    """Mattermost's REST API, as `chatops.chat.courier` writes to it."""

    name = "mattermost"
    pace = 0.2  # seconds: 10 requests a second are let through by default
    edit_pace = 2.0

    def __init__(self, config: MattermostConfig) -> None:
        self._config = config
        self._seal = Seal(config)
        self._http = httpx.Client(
            base_url=f"{config.url}/api/v4",
            headers={"Authorization": f"Bearer {config.bot_token}"},
            timeout=_TIMEOUT,
        )

    def post(self, channel: str, card: Card, *, thread: str | None, key: str) -> tuple[str, str]:
        """See `Network`. `key` is the pending post's id: the server knows it for a while."""
        body = {"channel_id": channel, "pending_post_id": key, **self._drawn(card)}
        if thread is not None:
            body["root_id"] = thread
        made = self.call("POST", "/posts", body)
        return channel, str(made["id"])

    def edit(self, channel: str, message: str, card: Card) -> None:
        """See `Network`."""
        del channel
        self.call("PUT", f"/posts/{message}/patch", self._drawn(card))

    def private(self, identity: str) -> str | None:
        """See `Network`: the bot's direct channel with somebody."""
        user = identity.partition(":")[2]
        me = self.call("GET", "/users/me", None)
        made = self.call("POST", "/channels/direct", [me["id"], user])
        return str(made["id"])

    def ask(self, trigger: str, state: str, asked: Button) -> None:
        """Open a dialog that asks before a button acts.

        Raises:
            NetworkError: it did not open.
        """
        dialog = {
            "callback_id": "winch",
            "title": asked.label[:24],
            "introduction_text": escape(asked.question),
            "submit_label": asked.label[:24],
            "state": state,
            "elements": [],
        }
        body = {"trigger_id": trigger, "url": self._config.callback_url, "dialog": dialog}
        self.call("POST", "/actions/dialogs/open", body)

    def tell(self, channel: str, user: str, card: Card) -> None:
        """Say something that one person alone sees.

        Raises:
            NetworkError: it was not taken (a bot needs the right `create_post_ephemeral`).
        """
        post = {"channel_id": channel, **self._drawn(card)}
        self.call("POST", "/posts/ephemeral", {"user_id": user, "post": post})

    def respond(self, url: str, card: Card) -> None:
        """Answer late, by a command's response_url, if that is on our Mattermost.

        Raises:
            NetworkError: it was not taken.
        """
        if not url.startswith(f"{self._config.url}/"):
            raise NetworkError("mattermost: a response_url that is not on our Mattermost")
        self.call("POST", url, {"response_type": "ephemeral", **self._drawn(card)})

    def _drawn(self, card: Card) -> dict[str, Any]:
        return post_of(card, self._config.callback_url, self._seal.of_button)

    def call(self, method: str, path: str, body: Any) -> dict[str, Any]:
        """Call Mattermost; its errors become ours."""
        try:
            answer = self._http.request(method, path, json=body)
            if answer.status_code == 429:  # noqa: PLR2004
                after = answer.headers.get("x-ratelimit-reset", "2")
                seconds = min(60.0, float(after)) if after.isdigit() else 2.0
                raise TooFast(f"mattermost: too fast; again in {seconds:.0f} s", seconds)
            if answer.status_code >= 400:  # noqa: PLR2004
                kind = Gone if answer.status_code in (403, 404) else NetworkError
                raise kind(f"mattermost: {path.partition('?')[0]}: {answer.status_code}")
            found = answer.json()
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise NetworkError(f"mattermost: no answer: {type(error).__name__}") from None
        return found if isinstance(found, dict) else {}


class Seal:
    """Seals what buttons and dialogs carry, and opens it again."""

    def __init__(self, config: MattermostConfig) -> None:
        self._key = hashlib.sha256(f"winch buttons\0{config.bot_token}".encode()).digest()

    def of_button(self, asked: Button) -> str:
        """Seal a button: what it does. The same button has the same seal: messages can be told."""
        return self.close({"do": asked.action, "of": asked.value})

    def close(self, data: Mapping[str, Any]) -> str:
        """Seal data."""
        text = base64.urlsafe_b64encode(json.dumps(data, sort_keys=True).encode()).decode()
        return f"{text}.{self._mac(text)}"

    def open(self, sealed: object) -> dict[str, Any] | None:
        """Open what was sealed; None: it was not, or not by us."""
        if not isinstance(sealed, str) or not sealed.isascii():
            return None
        text, _, mac = sealed.partition(".")
        if not hmac.compare_digest(mac, self._mac(text)):
            return None
        found = json.loads(base64.urlsafe_b64decode(text))
        return dict(found)

    def _mac(self, text: str) -> str:
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()


class Mattermost:
    """What people write and press."""

    def __init__(
        self, talk: Talk, config: MattermostConfig, courier: Courier, network: MattermostNetwork
    ) -> None:
        self.talk = talk
        self.courier = courier
        self._config = config
        self._network = network
        self._seal = Seal(config)
        self._seen = Seen(talk.desk.store, "mattermost")
        self._pool = ThreadPoolExecutor(8, thread_name_prefix="mattermost")

    def handle(self, body: bytes, headers: Mapping[str, str]) -> Response:
        """Answer one request: a slash command, a button, or a dialog that was sent off."""
        try:
            text = body.decode("utf-8")
            if "application/json" in headers.get("content-type", ""):
                data = json.loads(text)
                if not isinstance(data, dict):
                    return _refused(400, "no object")
                if data.get("type") == "dialog_submission":
                    return self._confirmed(data)
                return self._pressed(data)
            form = {name: values[0] for name, values in parse_qs(text, max_num_fields=50).items()}
            return self._command(form, headers)
        except WinchError as error:
            log.warning("mattermost: %s", error)
            return _refused(503, "try again later")
        except (ValueError, RecursionError):
            return _refused(400, "it cannot be read")

    def _command(self, form: Mapping[str, str], headers: Mapping[str, str]) -> Response:
        given = headers.get("authorization", "").removeprefix("Token ") or form.get("token", "")
        if not self._is_ours(given):
            return _refused(401, "the token is not that of the slash command")
        user, channel = form.get("user_id", ""), form.get("channel_id", "")
        trigger = form.get("trigger_id", "")
        refusal = self._stale(trigger, user)
        if refusal is not None:
            return refusal
        asker = Asker(f"mattermost:{user}", channel, trigger)
        future = self._pool.submit(self.talk.say, asker, form.get("text", ""))
        try:
            reply = future.result(AT_ONCE)
        except NotYet:
            url = form.get("response_url", "")
            self._pool.submit(lambda: self._late(future.result(), asker, url))
            return JSONResponse({"response_type": "ephemeral", "text": "One moment …"})
        self._follow(reply, asker)
        drawn = post_of(reply.card, self._config.callback_url, self._seal.of_button)
        answer = {"response_type": "ephemeral", "text": drawn["message"], **drawn["props"]}
        return JSONResponse(answer)

    def _late(self, reply: Reply, asker: Asker, url: str) -> None:
        self._follow(reply, asker)
        try:
            self._network.respond(url, reply.card)
        except NetworkError as error:
            log.warning("%s", error)

    def _is_ours(self, given: str) -> bool:
        """Compare with all tokens, in constant time."""
        found = False
        for token in self._config.tokens:
            found |= hmac.compare_digest(given.encode(), token.encode())
        return found

    def _stale(self, trigger: str, user: str) -> Response | None:
        """Refuse what is old, somebody else's, or here again: a trigger says when and whose."""
        try:
            parts = base64.b64decode(trigger, validate=True).decode("ascii").split(":")
            at = int(parts[2]) / 1000
        except (binascii.Error, ValueError, IndexError):
            return _refused(401, "no trigger_id of Mattermost")
        if len(parts) != _TRIGGER_PARTS or parts[1] != user:
            return _refused(401, "the trigger_id is another person's")
        if abs(self.talk.desk.store.now() - at) > MAX_AGE:
            return _refused(401, "the request is too old")
        if not self._seen.first(trigger):
            return _refused(409, "the request was here before")
        return None

    def _pressed(self, data: Mapping[str, Any]) -> Response:
        """Ask, before a button acts."""
        context = data.get("context")
        opened = self._seal.open(context.get("seal") if isinstance(context, dict) else None)
        if opened is None or "do" not in opened:
            return _refused(401, "no button of ours")
        user, trigger = str(data.get("user_id", "")), str(data.get("trigger_id", ""))
        refusal = self._stale(trigger, user)
        if refusal is not None:
            return refusal
        action, (run, hosts) = str(opened["do"]), read_value(str(opened["of"]))
        asker = Asker(f"mattermost:{user}", str(data.get("channel_id", "")), trigger)
        why = self.talk.may_press(asker, action, run)
        if why is not None:
            return JSONResponse({"ephemeral_text": escape(f"🚫 {why}")})
        asked = button(run_document(self.talk.desk.store, run), action, *hosts)
        now = self.talk.desk.store.now()
        state = self._seal.close(
            {"sure": action, "of": opened["of"], "who": user, "at": now, "n": secrets.token_hex(8)}
        )
        self._network.ask(trigger, state, asked)
        return JSONResponse({})

    def _confirmed(self, data: Mapping[str, Any]) -> Response:
        """Act, after a question was answered."""
        opened = self._seal.open(data.get("state"))
        user, channel = str(data.get("user_id", "")), str(data.get("channel_id", ""))
        if opened is None or "sure" not in opened or opened["who"] != user:
            return _refused(401, "no question of ours to that person")
        if data.get("cancelled"):
            return JSONResponse({})
        if abs(self.talk.desk.store.now() - float(opened["at"])) > MAX_AGE:
            return JSONResponse({"error": "that was asked too long ago; press the button again"})
        if not self._seen.first(str(data.get("state"))):
            return _refused(409, "the request was here before")
        run, hosts = read_value(str(opened["of"]))
        asker = Asker(f"mattermost:{user}", channel, "")
        reply = self.talk.press(asker, str(opened["sure"]), run, hosts)
        self._follow(reply, asker)
        try:
            self._network.tell(channel, user, reply.card)
        except NetworkError as error:
            log.info("%s; it is said in the dialog only", error)
            if reply.follow is None:
                return JSONResponse({"error": reply.card.text})
        return JSONResponse({})

    def _follow(self, reply: Reply, asker: Asker) -> None:
        if reply.follow is not None and asker.channel:
            self.courier.follow(asker.channel, reply.follow, asker.identity)


def _refused(status: int, why: str) -> Response:
    log.warning("mattermost: a request is refused: %s", why)
    return PlainTextResponse(why, status)
