"""One message a run in each room that follows it, kept up to date; its thread tells the details.

What was posted where is in the database, so that another process goes on after a restart. One
process at a time keeps a message (`owner`, for some seconds). A run that is tried again after its
end is followed again, whoever asked for that, and from wherever.

Networks limit how often they are called: edits of one message keep a distance, all calls another
one, and a network that says "later" is left alone until then. What is new for people (a first
message, an end, an approval that is waited for) goes before what is only further on.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.exc import IntegrityError

from chatops.chat.card import Card, milestones, note
from chatops.chat.messages import Messages
from chatops.chat.network import Gone, Network, NetworkError, TooFast
from chatops.chat.talk import Talk
from chatops.redact import redacted
from chatops.render.words import ENDED, Document
from worker.errors import WinchError
from worker.models import ChatMessage, Run
from worker.report import run_document
from worker.store import Store

log = logging.getLogger(__name__)

TICK = 0.5  # seconds between two looks
_BACKOFF, _BACKOFF_MOST = 2.0, 120.0  # seconds after a network has failed
_SLOW = 0.05  # seconds: a look at a run that takes longer is taken more seldom,
_SELDOM = 20  # so many times as long as it takes
_MOST_LINES = 30  # of one message in a thread
_SETTLED = frozenset({"failed", "rolled_back", "aborted", "succeeded", "paused", "waiting"})


@dataclass
class _Trouble:
    until: float = 0.0
    seconds: float = 0.0


class Courier:
    """Keeps one network's messages up to date. `tick` does one round; `start` a thread of them."""

    def __init__(
        self,
        talk: Talk,
        network: Network,
        *,
        clock: Callable[[], float] = time.monotonic,
        owner: str | None = None,
    ) -> None:
        self.talk = talk
        self.network = network
        self._store: Store = talk.desk.store
        self._clock = clock
        self._messages = Messages(self._store, network.name, owner or uuid.uuid4().hex)
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._troubles: dict[int | None, _Trouble] = {}  # by message; None: the network
        self._next_call = 0.0
        self._next_look: dict[int, float] = {}  # by run

    def follow(self, channel: str, run: int, asked_by: str) -> None:
        """Tell a room of a run from now on; again is the same."""
        self._messages.add(channel, run, asked_by)
        self._wake.set()

    def start(self) -> None:
        """Begin to work in a thread."""
        self._thread = threading.Thread(
            target=self._work, name=f"courier-{self.network.name}", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """End the thread, and leave the messages to others."""
        self._stopping.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(20.0)
        self._messages.leave()

    def _work(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                self.tick()
            except WinchError as error:
                log.warning("%s: %s", self.network.name, error)
                self._stopping.wait(_BACKOFF)
            except Exception:
                log.exception("%s: a round broke", self.network.name)
                self._stopping.wait(_BACKOFF)
            self._wake.wait(TICK)

    def tick(self) -> None:
        """Look at every run that is followed, and say what is new."""
        if self._resting(None):
            return
        due = self._messages.due()
        rows = [row for row in due if not self._resting(row.id) and self._messages.take(row)]
        # What people wait for first: messages that are not there, then ends and questions.
        for row, document in sorted(self._looks(rows), key=lambda look: _urgency(*look)):
            if self._stopping.is_set() or self._resting(None):
                return
            try:
                self._update(row, document)
                self._troubles.pop(row.id, None)
            except TooFast as error:
                self._rest(None, error.seconds)
            except Gone as error:
                self._messages.give_up(row, str(error))
            except NetworkError as error:
                before = self._troubles.get(row.id, _Trouble()).seconds
                seconds = min(_BACKOFF_MOST, before * 2 or _BACKOFF)
                log.warning("%s: run %s: %s", self.network.name, row.run_id, error)
                self._rest(row.id, seconds)
            except WinchError:
                raise
            except Exception:  # a defect must not post again and again
                log.exception("%s: run %s is left alone", self.network.name, row.run_id)
                self._rest(row.id, _BACKOFF_MOST)

    def _looks(self, rows: list[ChatMessage]) -> list[tuple[ChatMessage, Document]]:
        """Read the runs that messages are about; large ones not every time."""
        documents: dict[int, Document] = {}
        found = []
        for row in rows:
            begun = self._clock()
            if row.message is not None and begun < self._next_look.get(row.run_id, 0.0):
                continue
            if row.run_id not in documents:
                documents[row.run_id] = run_document(self._store, row.run_id)
                cost = self._clock() - begun
                self._next_look[row.run_id] = begun + (_SELDOM * cost if cost > _SLOW else 0.0)
            found.append((row, documents[row.run_id]))
        self._next_look = {row.run_id: self._next_look.get(row.run_id, 0.0) for row in rows}
        return found

    def _update(self, row: ChatMessage, document: Document) -> None:
        card = self.talk.shared_card(document)
        digest = _digest(card)
        if row.message is None:
            self._post(row, card, digest)
        elif digest != row.shown and self._may_edit(row, document):
            self._pace()
            self.network.edit(row.channel, row.message, card)
            self._messages.keep(row, shown=digest, shown_at=self._store.now())
        self._tell(row, document)
        current = row.shown == digest and set(_keys(document)) <= set(row.told)
        if document["status"] in ENDED and current:
            self._settle(row)

    def _post(self, row: ChatMessage, card: Card, digest: str) -> None:
        key = f"winch-{row.id}"
        try:
            self._pace()
            channel, message = self.network.post(row.channel, card, thread=None, key=key)
        except Gone as error:
            private = self.network.private(row.asked_by)
            if private is None or private == row.channel:
                raise
            log.info("%s: %s; the asker is told alone", self.network.name, error)
            self._pace()
            channel, message = self.network.post(private, card, thread=None, key=key)
        now = self._store.now()
        try:
            self._messages.keep(row, channel=channel, message=message, shown=digest, shown_at=now)
        except IntegrityError:  # that one is told of this run already, by way of another room
            raise Gone(f"run {row.run_id} is followed in {channel} already") from None

    def _may_edit(self, row: ChatMessage, document: Document) -> bool:
        if document["status"] in ENDED or document["status"] == "paused":
            return True
        return self._store.now() - row.shown_at >= self.network.edit_pace

    def _tell(self, row: ChatMessage, document: Document) -> None:
        """Tell the thread what has come to an end since."""
        told = set(row.told)
        new = [(key, line) for key, line in milestones(redacted(document)) if key not in told]
        if not new or row.message is None:
            return
        key = f"winch-{row.id}-{len(row.told)}"
        batch = new[:_MOST_LINES]
        self._pace()
        lines = note(*(line for _, line in batch))
        self.network.post(row.channel, lines, thread=row.message, key=key)
        self._messages.keep(row, told=[*row.told, *(name for name, _ in batch)])

    def _settle(self, row: ChatMessage) -> None:
        """Leave a run that has ended, unless it goes on again meanwhile."""
        with self._store.read() as session:
            run = session.get_one(Run, row.run_id)
        if run.status in ENDED:
            document = run_document(self._store, row.run_id)
            if _digest(self.talk.shared_card(document)) == row.shown:
                self._messages.settle(row, run)

    def _pace(self) -> None:
        wait = self._next_call - self._clock()
        if wait > 0:
            self._stopping.wait(wait)
        self._next_call = self._clock() + self.network.pace

    def _resting(self, what: int | None) -> bool:
        trouble = self._troubles.get(what)
        return trouble is not None and self._clock() < trouble.until

    def _rest(self, what: int | None, seconds: float) -> None:
        self._troubles[what] = _Trouble(self._clock() + seconds, seconds)


def _urgency(row: ChatMessage, document: Document) -> tuple[int, float]:
    if row.message is None:
        return 0, row.shown_at
    return (1 if document["status"] in _SETTLED else 2), row.shown_at


def _keys(document: Document) -> list[str]:
    return [key for key, _ in milestones(document)]


def _digest(card: Card) -> str:
    """Digest what a card shows, but for the time that goes on by itself."""
    fields = [one for one in card.fields if one[0] not in ("since", "left")]
    text = repr((card.title, card.bar, card.lines, fields, card.buttons))
    return hashlib.sha256(text.encode()).hexdigest()[:32]
