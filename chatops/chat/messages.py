"""The messages of one chat network in the database, and which process keeps each of them."""

from __future__ import annotations

import logging

from sqlalchemy import or_, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select

from worker.errors import WinchError
from worker.models import ACTIVE, ChatMessage, Run
from worker.store import Store

log = logging.getLogger(__name__)

OWNED = 15.0  # seconds for which a message is one process's


class Messages:
    """One network's messages, as the process `owner` sees them."""

    def __init__(self, store: Store, network: str, owner: str) -> None:
        self._store = store
        self._network = network
        self._owner = owner

    def add(self, channel: str, run: int, asked_by: str) -> None:
        """Tell a room of a run from now on; again is the same."""
        row = ChatMessage(network=self._network, channel=channel, run_id=run, asked_by=asked_by)
        try:
            with self._store.write() as session:
                session.add(row)
        except IntegrityError:  # it is followed there already
            log.debug("run %s is followed in %s already", run, channel)

    def due(self) -> list[ChatMessage]:
        """The messages about runs that go on, or whose last end is not shown yet."""
        with self._store.read() as session:
            return list(
                session.exec(
                    select(ChatMessage)
                    .join(Run, col(Run.id) == col(ChatMessage.run_id))
                    .where(
                        ChatMessage.network == self._network,
                        col(ChatMessage.gone).is_(None),
                        or_(
                            col(Run.status).in_(ACTIVE),
                            col(ChatMessage.settled_at).is_(None),
                            col(Run.ended_at) != col(ChatMessage.settled_at),
                            col(Run.status) != col(ChatMessage.settled),
                        ),
                    )
                    .order_by(col(ChatMessage.shown_at))
                )
            )

    def take(self, row: ChatMessage) -> bool:
        """Take a message, or keep it; return whether it is ours now."""
        now = self._store.now()
        if row.owner == self._owner and row.owned_until > now + OWNED / 2:
            return True
        with self._store.write() as session:
            taken = session.exec(
                update(ChatMessage)
                .where(
                    col(ChatMessage.id) == row.id,
                    or_(
                        col(ChatMessage.owner).is_(None),
                        col(ChatMessage.owner) == self._owner,
                        col(ChatMessage.owned_until) < now,
                    ),
                )
                .values(owner=self._owner, owned_until=now + OWNED)
            ).rowcount
        return taken == 1

    def keep(self, row: ChatMessage, **values: object) -> None:
        """Write down what has become of a message."""
        for name, value in values.items():
            setattr(row, name, value)
        with self._store.write() as session:
            session.exec(update(ChatMessage).where(col(ChatMessage.id) == row.id).values(**values))

    def settle(self, row: ChatMessage, run: Run) -> None:
        """Leave a message that shows the end of its run; a new end is due again."""
        self.keep(row, settled=run.status, settled_at=run.ended_at, owner=None, owned_until=0.0)

    def give_up(self, row: ChatMessage, why: str) -> None:
        """Leave a message for good."""
        log.warning("%s: run %s is not followed any more: %s", self._network, row.run_id, why)
        self.keep(row, gone=why[:500], owner=None, owned_until=0.0)

    def leave(self) -> None:
        """Leave all messages to other processes."""
        try:
            with self._store.write() as session:
                session.exec(
                    update(ChatMessage)
                    .where(col(ChatMessage.owner) == self._owner)
                    .values(owner=None, owned_until=0.0)
                )
        except WinchError as error:
            log.debug("messages stay ours for %s s: %s", OWNED, error)
