"""One run's events as its watchers see them: what was sent, what comes behind, and snapshots."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from dataclasses import dataclass
from typing import Any

from chatops.redact import redacted
from worker.models import ACTIVE, Run

Document = dict[str, Any]

_MAX_EVENTS = 2000  # of a run, kept for those who come again
_MARGIN_MS = 1500  # another process may have seen the same change that much later
_END = ".end"  # marks the id of a run's end, so that who has seen it is told no more
_LONGEST_ID = 15  # digits


@dataclass(frozen=True)
class Event:
    """One event; `data` is JSON data."""

    id: int
    kind: str
    data: Document

    def encoded(self, *, scoped: bool) -> bytes:
        """Write it as text/event-stream has it."""
        data = redacted(self.data) if scoped else self.data
        text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
        number = f"{self.id}{_END}" if self.kind == "end" else str(self.id)
        return f"id: {number}\nevent: {self.kind}\ndata: {text}\n\n".encode(errors="replace")


class Stream:
    """One run's events, as all its watchers see them. Used by the event loop alone."""

    def __init__(self, run_id: int) -> None:
        self.run_id = run_id
        self.watchers = 0
        self.document: Document | None = None
        self.ended = False
        self.last_id = 0
        self.base_id = 0  # all that came after it is in `events`
        self.events: deque[tuple[Event, dict[bool, bytes]]] = deque()
        self.wake = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        self.heart: asyncio.TimerHandle | None = None
        self._behind: tuple[int, dict[tuple[int, bool], tuple[int, bytes] | None]] = (0, {})
        self._snapshot: tuple[int, dict[bool, bytes]] = (0, {})

    def take(self, document: Document, now: float) -> None:
        """Turn what was seen into events."""
        before, self.document = self.document, document
        self.ended = document["ended_at"] is not None
        if before is None:
            self.last_id = self.base_id = int(now * 1000)
        else:
            known = {host["name"]: host for host in before["hosts"]}
            for host in document["hosts"]:
                if known.get(host["name"]) != host:
                    self._add("host", host, now)
            summary, was = _summary(document), _summary(before)
            if summary != was:
                self._add("run", summary, now)
        if self.ended and (before is None or before["ended_at"] is None):
            said = {key: document[key] for key in ("id", "status", "exit_code", "detail")}
            self._add("end", said, now)
        self.notify()

    def _add(self, kind: str, data: Document, now: float) -> None:
        self.last_id = max(self.last_id + 1, int(now * 1000))
        self.events.append((Event(self.last_id, kind, data), {}))
        while len(self.events) > max(_MAX_EVENTS, 3 * len((self.document or {})["hosts"])):
            self.base_id = self.events.popleft()[0].id

    def notify(self) -> None:
        """Wake all watchers."""
        self.wake.set()
        self.wake = asyncio.Event()

    def place(self, last_id: int | None) -> int | None:
        """Find where a watcher goes on; None: with a snapshot."""
        if last_id is None:
            return None
        if any(event.id == last_id for event, _ in self.events):
            return last_id
        cursor = min(last_id, self.last_id) - _MARGIN_MS
        return cursor if cursor >= self.base_id else None

    def after(self, cursor: int, *, scoped: bool) -> tuple[int, bytes] | None:
        """Return where the events behind a cursor end, and them; None: some of them are gone.

        Most watchers are at the same place, so it is looked up and written once for all of them.
        """
        if self._behind[0] != self.last_id:
            self._behind = (self.last_id, {})
        known = self._behind[1]
        if (cursor, scoped) not in known:
            known[cursor, scoped] = self._after(cursor, scoped=scoped)
        return known[cursor, scoped]

    def _after(self, cursor: int, *, scoped: bool) -> tuple[int, bytes] | None:
        if cursor < self.base_id:
            return None
        end = cursor
        found = []
        for event, encoded in reversed(self.events):
            if event.id <= cursor:
                break
            if scoped not in encoded:
                encoded[scoped] = event.encoded(scoped=scoped)
            found.append(encoded[scoped])
            end = max(end, event.id)
        return end, b"".join(reversed(found))

    def snapshot(self, *, scoped: bool) -> tuple[int, bytes]:
        """Return how the run stands, and behind which event; written once for all who ask."""
        # Before `end`, which is the last event then: who comes late is told of the end, too.
        at = self.last_id - 1 if self.ended else self.last_id
        if self._snapshot[0] != at:
            self._snapshot = (at, {})
        encoded = self._snapshot[1]
        if scoped not in encoded:
            encoded[scoped] = Event(at, "snapshot", self.document or {}).encoded(scoped=scoped)
        return at, encoded[scoped]


@dataclass(frozen=True)
class Place:
    """What a watcher has seen, as it says in Last-Event-ID."""

    id: int
    was_end: bool = False

    @classmethod
    def parse(cls, text: str | None) -> Place | None:
        """Read a Last-Event-ID; one that is not ours is none."""
        digits = (text or "").removesuffix(_END)
        if not (digits.isascii() and digits.isdigit() and len(digits) <= _LONGEST_ID):
            return None
        return cls(int(digits), digits != text)

    def is_last_of(self, run: Run) -> bool:
        """Whether there is nothing to come for who has seen this."""
        ended = run.ended_at if run.status not in ACTIVE else None
        return self.was_end and ended is not None and self.id >= int(ended * 1000)


def _summary(document: Document) -> Document:
    return {key: value for key, value in document.items() if key != "hosts"}
