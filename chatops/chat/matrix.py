"""Matrix, by matrix-nio: `!winch …` in rooms to which somebody with a role has invited us.

Rooms may be encrypted where vodozemac is installed (`winch[matrix]`: wheels, no compiler). Keys
are kept in the state directory.
"""

from __future__ import annotations

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotInTime
from pathlib import Path
from typing import Any

from aiohttp import ClientError
from nio import (
    AsyncClient,
    AsyncClientConfig,
    ErrorResponse,
    InviteMemberEvent,
    LoginResponse,
    MegolmEvent,
    RoomMessageText,
    SyncResponse,
    WhoamiResponse,
)
from nio.crypto import ENCRYPTION_ENABLED
from nio.exceptions import LocalProtocolError, OlmUnverifiedDeviceError, SendRetryError

from chatops.chat.card import Card, note
from chatops.chat.config import MatrixConfig
from chatops.chat.courier import Courier
from chatops.chat.matrix_html import as_answer, as_edit, content_of, in_thread
from chatops.chat.network import Gone, NetworkError, TooFast
from chatops.chat.seen import MAX_AGE, Seen, read_cursor, write_cursor
from chatops.chat.talk import Asker, Talk
from worker.errors import ServiceError, UsageError, WinchError

log = logging.getLogger(__name__)

LEAD = "!winch"
DEVICE = "WINCH"
_POLL_MS = 30_000
_TIMEOUT = 30.0  # seconds of one call
_AWAY = (1.0, 60.0)  # seconds between two tries while the homeserver is away: first, most


class MatrixNetwork:
    """A homeserver, as `chatops.chat.courier` writes to it, from a thread of its own."""

    name = "matrix"
    pace = 0.3
    edit_pace = 3.0

    def __init__(self, client: AsyncClient, loop: asyncio.AbstractEventLoop) -> None:
        self._client = client
        self._loop = loop

    def post(self, channel: str, card: Card, *, thread: str | None, key: str) -> tuple[str, str]:
        """See `Network`. `key` is the transaction's: after a crash it is the same message."""
        content = content_of(card, lead=LEAD)
        if thread is not None:
            content = in_thread(content, thread)
        return channel, self._wait(channel, content, key)

    def edit(self, channel: str, message: str, card: Card) -> None:
        """See `Network`."""
        self._wait(channel, as_edit(content_of(card, lead=LEAD), message), None)

    def private(self, identity: str) -> str | None:
        """See `Network`: nobody is written to who did not invite us."""
        del identity
        return None

    def _wait(self, room: str, content: dict[str, Any], key: str | None) -> str:
        future = asyncio.run_coroutine_threadsafe(
            send(self._client, room, content, key), self._loop
        )
        try:
            return future.result(_TIMEOUT)
        except NotInTime:
            future.cancel()
            raise NetworkError(f"matrix: no answer within {_TIMEOUT:.0f} s") from None


async def send(
    client: AsyncClient, room: str, content: dict[str, Any], key: str | None = None
) -> str:
    """Send a message, encrypted where the room is. Returns the event's id.

    Raises:
        NetworkError: it was not taken.
    """
    try:
        answer = await client.room_send(
            room, "m.room.message", content, tx_id=key, ignore_unverified_devices=True
        )
    except (ClientError, OSError, TimeoutError, SendRetryError, OlmUnverifiedDeviceError) as error:
        raise NetworkError(f"matrix: no answer: {type(error).__name__}: {error}") from None
    except LocalProtocolError as error:
        raise Gone(f"matrix: {error}") from None
    if isinstance(answer, ErrorResponse):
        code = str(answer.status_code)
        if code in ("M_LIMIT_EXCEEDED", "429"):
            seconds = (answer.retry_after_ms or 5000) / 1000
            raise TooFast(f"matrix: too fast; again in {seconds:.0f} s", seconds)
        kind = Gone if code in ("M_FORBIDDEN", "M_NOT_FOUND") else NetworkError
        raise kind(f"matrix: {code}: {answer.message}")
    return str(answer.event_id)


class Matrix:
    """Our user on a homeserver. `run` until `stop`."""

    def __init__(self, talk: Talk, config: MatrixConfig, directory: Path) -> None:
        self.talk = talk
        self._config = config
        self._store = talk.desk.store
        self._seen = Seen(self._store, "matrix")
        self._pool = ThreadPoolExecutor(4, thread_name_prefix="matrix")
        self._stopping = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.client = AsyncClient(
            config.homeserver,
            config.user,
            device_id=DEVICE,
            store_path=str(directory) if ENCRYPTION_ENABLED else "",
            config=AsyncClientConfig(
                max_limit_exceeded=0,
                max_timeouts=0,
                request_timeout=_TIMEOUT,
                encryption_enabled=ENCRYPTION_ENABLED,
            ),
        )
        self.courier: Courier | None = None

    def stop(self) -> None:
        """Ask `run` to end."""
        self._stopping.set()

    async def run(self) -> None:
        """Log in, listen and answer, until `stop`.

        Raises:
            UsageError: the homeserver refuses us.
            ServiceError: the homeserver is not there, at the first try.
        """
        loop = asyncio.get_running_loop()
        try:
            await self._login()
            self.courier = Courier(self.talk, MatrixNetwork(self.client, loop))
            self.courier.start()
            await self._listen()
        finally:
            if self.courier is not None:
                await loop.run_in_executor(None, self.courier.stop)
            self._pool.shutdown(wait=False, cancel_futures=True)
            await self.client.close()

    async def _login(self) -> None:
        where = f"{self._config.user} at {self._config.homeserver}"
        try:
            if self._config.access_token is not None:
                self.client.access_token = self._config.access_token
                answer = await self.client.whoami()
                if isinstance(answer, WhoamiResponse):
                    device = answer.device_id or DEVICE
                    self.client.restore_login(answer.user_id, device, self._config.access_token)
            else:
                answer = await self.client.login(self._config.password, device_name="Winch")
        except (ClientError, OSError, TimeoutError) as error:
            raise ServiceError(
                f"matrix: {where} does not answer: {error}; is WINCH_MATRIX_HOMESERVER right?"
            ) from None
        if not isinstance(answer, LoginResponse | WhoamiResponse):
            raise UsageError(f"matrix: {where} is refused: {answer.message}")
        log.info("matrix: %s is logged in", where)

    async def _listen(self) -> None:
        cursor = await self._in_thread(read_cursor, self._store, "matrix")
        first, wait = True, _AWAY[0]
        while not self._stopping.is_set():
            answer = await self._sync(cursor, first=first)
            if not isinstance(answer, SyncResponse):
                if answer is not None and answer.status_code in ("M_UNKNOWN_TOKEN", "M_FORBIDDEN"):
                    raise UsageError(f"matrix: we are not let in any more: {answer.message}")
                await self._sleep(wait)
                wait = min(_AWAY[1], wait * 2)
                continue
            wait = _AWAY[0]
            try:
                await self._take(answer, old=cursor is None)
                await self._in_thread(write_cursor, self._store, "matrix", answer.next_batch)
            except WinchError as error:  # the database is away: the same events come again
                log.warning("matrix: %s", error)
                await self._sleep(wait)
                continue
            cursor, first = answer.next_batch, False
            await self._mind_keys()

    async def _sync(self, cursor: str | None, *, first: bool) -> Any:
        """Ask for what is new; None: there was no answer, or we are to stop."""
        sync = asyncio.ensure_future(
            self.client.sync(0 if first else _POLL_MS, since=cursor, full_state=first)
        )
        stop = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait((sync, stop), return_when=asyncio.FIRST_COMPLETED)
            if not sync.done():
                sync.cancel()
                return None
            return sync.result()
        except (ClientError, OSError, TimeoutError) as error:
            log.warning("matrix: no answer: %s: %s", type(error).__name__, error)
            return None
        finally:
            stop.cancel()

    async def _take(self, answer: SyncResponse, *, old: bool) -> None:
        """Look at what is new. `old`: it is from before we have ever listened."""
        for room, invited in answer.rooms.invite.items():
            await self._invited(room, invited.invite_state)
        if old:
            return
        for room, joined in answer.rooms.join.items():
            for event in joined.timeline.events:
                if isinstance(event, MegolmEvent):
                    log.warning("matrix: %s: a message that we cannot decrypt", room)
                elif isinstance(event, RoomMessageText):
                    await self._written(room, event)

    async def _invited(self, room: str, state: list[Any]) -> None:
        """Join where somebody with a role has invited us."""
        for event in state:
            if (
                isinstance(event, InviteMemberEvent)
                and event.state_key == self.client.user_id
                and event.membership == "invite"
            ):
                principal = self.talk.principal(f"matrix:{event.sender}")
                if principal.role is None:
                    log.warning("matrix: %s has no role; not joining %s", event.sender, room)
                    await self.client.room_leave(room)
                else:
                    log.info("matrix: %s has invited us to %s", event.sender, room)
                    await self.client.join(room)

    async def _written(self, room: str, event: RoomMessageText) -> None:
        """Answer a command, once, if it is one and not too old."""
        content = event.source.get("content", {})
        text = str(event.body).strip()
        command = text.split(maxsplit=1)[0].lower() if text else ""
        if event.sender == self.client.user_id or command not in (LEAD, "/winch"):
            return
        if (content.get("m.relates_to") or {}).get("rel_type") == "m.replace":
            return  # what was asked for once is not asked for again by mending its words
        if not await self._in_thread(self._seen.first, event.event_id):
            return
        task = asyncio.ensure_future(self._answer(room, event, text))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, room: str, event: RoomMessageText, text: str) -> None:
        asker = Asker(f"matrix:{event.sender}", room, event.event_id)
        age = time.time() - event.server_timestamp / 1000
        if abs(age) > MAX_AGE:
            card = note(f"⚠️ that was written {age / 60:.0f} min ago: nothing was done; ask again")
        else:
            reply = await self._in_thread(self.talk.say, asker, text)
            card = reply.card
            if reply.follow is not None and self.courier is not None:
                await self._in_thread(self.courier.follow, room, reply.follow, asker.identity)
        content = as_answer(content_of(card, lead=LEAD), event.event_id)
        for _ in range(5):
            try:
                await send(self.client, room, content, f"answer-{event.event_id}")
            except TooFast as error:
                await self._sleep(error.seconds)
            except NetworkError as error:
                log.warning("matrix: an answer was not taken: %s", error)
                return
            else:
                return

    async def _mind_keys(self) -> None:
        """Do what end-to-end encryption needs between two syncs."""
        if not ENCRYPTION_ENABLED:
            return
        try:
            await self.client.send_to_device_messages()
            if self.client.should_upload_keys:
                await self.client.keys_upload()
            if self.client.should_query_keys:
                await self.client.keys_query()
            if self.client.should_claim_keys:
                await self.client.keys_claim(self.client.get_users_for_key_claiming())
        except (ClientError, OSError, TimeoutError, LocalProtocolError) as error:
            log.warning("matrix: keys: %s: %s", type(error).__name__, error)

    async def _in_thread(self, function: Any, *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)

    async def _sleep(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return
