"""A run as a stream of events, for many watchers at once: browsers, command lines, chats.

One look at the database a run and an interval serves all who watch it, and costs the steps
nothing: they write no events. What is sent are states, not differences: the whole run first
(`snapshot`), then each host that has changed (`host`), the run without its hosts (`run`), and
`end`. Ids are milliseconds by the database's clock and only grow, so that a watcher goes on where
it was, also at another web process; who was away for too long gets a snapshot again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from sqlalchemy import select
from sqlmodel import col

from chatops.stream import Document, Stream
from worker.errors import ServiceError, UsageError
from worker.models import Lane, Run, Step
from worker.report import run_document
from worker.store import Store

log = logging.getLogger(__name__)

POLL = 0.25  # seconds between two looks
POLL_CROWD = 1.0  # each look may be written to every watcher
POLL_MANY = 1.0
_MANY = 200  # hosts
_CROWD = 50  # watchers
_AWAY = 2.0  # seconds between two looks while the database is away
HEARTBEAT = 15.0  # seconds of silence
RETRY_MS = 2000  # after which a browser connects again
_LOOKERS = 4  # threads


class TooMany(ServiceError):
    """As many watch already as this process can serve."""


class Hub:
    """All streams of a process."""

    def __init__(self, store: Store, *, most: int = 1000, heartbeat: float = HEARTBEAT) -> None:
        self._store = store
        self._most = most
        self._heartbeat = heartbeat
        self._streams: dict[int, Stream] = {}
        self._threads = ThreadPoolExecutor(_LOOKERS, thread_name_prefix="events")
        self._closing = False
        self.watchers = 0

    def check_room(self) -> None:
        """See that one more may watch.

        Raises:
            TooMany: as many watch as this process can serve.
        """
        if self.watchers >= self._most or self._closing:
            raise TooMany(f"{self.watchers} watch already; try again, or watch with `winch watch`")

    async def watch(
        self,
        run_id: int,
        *,
        last_id: int | None = None,
        scoped: bool = False,
        still_allowed: Callable[[], bool] = lambda: True,
    ) -> AsyncIterator[bytes]:
        """Yield a run's events as text/event-stream, until it has ended or nobody listens.

        `still_allowed` is asked at every heartbeat, in a thread: a token may be revoked.
        """
        self.watchers += 1
        stream = self._streams.get(run_id)
        if stream is None or stream.ended:  # it may have begun again: a retry
            stream = self._streams[run_id] = Stream(run_id)
        stream.watchers += 1
        try:
            await self._begin(stream)
            async for chunk in self._follow(stream, last_id, scoped, still_allowed):
                yield chunk
        finally:
            self.watchers -= 1
            stream.watchers -= 1
            if stream.watchers == 0:
                if stream.task is not None:
                    stream.task.cancel()
                if stream.heart is not None:
                    stream.heart.cancel()
                if self._streams.get(run_id) is stream:
                    del self._streams[run_id]

    async def _begin(self, stream: Stream) -> None:
        if stream.task is None:
            stream.task = asyncio.create_task(self._look_again_and_again(stream))
            self._beat(stream)
        while stream.document is None and not stream.task.done():
            with suppress(TimeoutError):
                await asyncio.wait_for(stream.wake.wait(), 1.0)

    def _beat(self, stream: Stream) -> None:
        """Wake all watchers now and then, so that they say that they are there."""
        stream.notify()
        loop = asyncio.get_running_loop()
        stream.heart = loop.call_later(self._heartbeat / 2, self._beat, stream)

    async def _follow(
        self,
        stream: Stream,
        last_id: int | None,
        scoped: bool,
        still_allowed: Callable[[], bool],
    ) -> AsyncIterator[bytes]:
        yield f"retry: {RETRY_MS}\n\n".encode()
        cursor = stream.place(last_id)
        loop = asyncio.get_running_loop()
        checked = said = loop.time()
        while not self._closing and stream.document is not None:
            wake = stream.wake
            behind = None if cursor is None else stream.after(cursor, scoped=scoped)
            if behind is None:
                cursor, chunk = stream.snapshot(scoped=scoped)
                yield chunk
                continue
            if behind[1]:
                cursor, chunk = behind
                yield chunk
                said = loop.time()
                continue
            if stream.ended or stream.task is None or stream.task.done():
                return
            await wake.wait()  # without a timer of its own: there may be a thousand of these
            if loop.time() - said >= self._heartbeat:
                said = loop.time()
                yield b": still here\n\n"
            if loop.time() - checked >= self._heartbeat:
                checked = loop.time()
                if not await loop.run_in_executor(self._threads, still_allowed):
                    return

    async def _look_again_and_again(self, stream: Stream) -> None:
        loop = asyncio.get_running_loop()
        seen: object = None
        while not self._closing:
            wait = POLL if stream.watchers < _CROWD else POLL_CROWD
            try:
                seen, document, now = await loop.run_in_executor(
                    self._threads, look, self._store, stream.run_id, seen
                )
                if document is not None:
                    stream.take(document, now)
                if stream.ended:
                    return
                if stream.document is not None and len(stream.document["hosts"]) > _MANY:
                    wait = POLL_MANY
            except UsageError:
                return  # the run is gone
            except ServiceError as error:
                log.warning("the events of run %s: %s", stream.run_id, error)
                wait = _AWAY
            except Exception:
                log.exception("the events of run %s broke; they are looked at again", stream.run_id)
                wait = _AWAY
            await asyncio.sleep(wait)

    def close(self) -> None:
        """Let all watchers go: they come again, perhaps to another process."""
        self._closing = True
        for stream in self._streams.values():
            stream.notify()

    def shut_down(self) -> None:
        """Give the threads back."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def look(store: Store, run_id: int, seen: object) -> tuple[object, Document | None, float]:
    """Read a run if it is not as it was `seen`. Returns what is seen, the document, and when."""
    now = store.now()
    state = _state(store, run_id)
    if state == seen:
        return seen, None, now
    return state, run_document(store, run_id), now


def _state(store: Store, run_id: int) -> object:
    """Everything of a run that may change, as cheaply as it can be read."""
    with store.read() as session:
        ask = session.connection().execute
        run = ask(
            select(
                col(Run.status),
                col(Run.paused),
                col(Run.needs_approval),
                col(Run.start_at),
                col(Run.detail),
                col(Run.ended_at),
            ).where(col(Run.id) == run_id)
        ).first()
        lanes = ask(
            select(
                col(Lane.id),
                col(Lane.status),
                col(Lane.waiting_for),
                col(Lane.detail),
                col(Lane.outcome),
            )
            .where(col(Lane.run_id) == run_id)
            .order_by(col(Lane.id))
        )
        steps = ask(
            select(
                col(Step.id),
                col(Step.status),
                col(Step.attempts),
                col(Step.started_at),
                col(Step.ended_at),
                col(Step.detail),
            )
            .where(col(Step.run_id) == run_id)
            .order_by(col(Step.id))
        )
        return (run, tuple(lanes), tuple(steps))
