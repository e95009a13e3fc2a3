"""What is still to be sent, in SQL: collected from the audit, claimed, settled, looked at.

For each event and receiver there is one row. It is claimed, and that is committed, before the
message is sent; so a sender that dies in between has perhaps told somebody, and nobody tries again
(`unknown`). Never twice is worth more here than always: the run board and the audit have it all.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, update
from sqlalchemy import select as columns
from sqlmodel import Session, col, select

from chatops.notify.events import Event, event_of
from worker.models import UNSENT, Audit, AuditHead, Notification, NotifyCursor, Run
from worker.report import iso
from worker.store import Store

log = logging.getLogger(__name__)

CURSOR = "audit"
AT_ONCE = 200  # lines of the audit
STALE = 3600.0  # seconds after which an event is no news
MOST_QUEUED = 200  # of one receiver; then the oldest go
LOST_AFTER = 90.0  # seconds after which a claim is taken for a sender's that has died
KEEP = 30 * 24 * 3600.0  # seconds that what was sent is remembered
RETRY_AFTER = (5.0, 30.0, 120.0, 600.0)  # seconds before the next try

Tell = Callable[[Event], Iterable[tuple[str, str, str]]]


@dataclass(frozen=True)
class Claimed:
    """A message that this process, and no other, may send once."""

    id: int
    receiver: str
    event: str
    title: str
    body: str
    attempt: int
    at: float


def collect(store: Store, tell: Tell) -> int:
    """Read on in the audit, and queue what is to be told. Returns the number of lines read.

    `tell` says of an event whom to tell what: (receiver, title, body). The first time of all, the
    audit is taken as read.
    """
    now = store.now()
    with store.read() as session:
        cursor = session.get(NotifyCursor, CURSOR)
        head = session.get(AuditHead, 1)
        end = 0 if head is None else head.last_id
        if cursor is not None and cursor.last_id >= end:
            return 0
    with store.write() as session:
        cursor = session.get(NotifyCursor, CURSOR, with_for_update=True)
        if cursor is None:
            session.add(NotifyCursor(name=CURSOR, last_id=end))
            return 0
        lines = session.exec(
            select(Audit)
            .where(col(Audit.id) > cursor.last_id)
            .order_by(col(Audit.id))
            .limit(AT_ONCE)
        ).all()
        runs = _runs(session, lines)
        stale = 0
        for line in lines:
            event = event_of(line, runs.get(line.run_id or 0))
            if event is not None and event.at < now - STALE:
                stale += 1
            elif event is not None:
                _queue(session, event, tell(event), now)
            cursor.last_id = line.id or cursor.last_id
        session.add(cursor)
    if stale:
        log.warning("%d events are older than an hour: nobody is told of them now", stale)
    return len(lines)


def _runs(session: Session, lines: Sequence[Audit]) -> dict[int, Run]:
    ids = {line.run_id for line in lines if line.run_id is not None}
    if not ids:
        return {}
    return {run.id or 0: run for run in session.exec(select(Run).where(col(Run.id).in_(ids)))}


def _queue(
    session: Session, event: Event, messages: Iterable[tuple[str, str, str]], now: float
) -> None:
    for receiver, title, body in messages:
        session.add(
            Notification(
                event_id=event.id,
                receiver=receiver,
                event=event.kind,
                run_id=event.run_id,
                title=title,
                body=body,
                at=event.at,
                due_at=now,
                changed_at=now,
            )
        )


def claim(store: Store, receiver: str, me: str) -> Claimed | None:
    """Take the oldest message for a receiver that is due; None: there is none."""
    now = store.now()
    with store.read() as session:
        ids = session.exec(
            select(Notification.id)
            .where(
                Notification.receiver == receiver,
                Notification.state == "queued",
                col(Notification.due_at) <= now,
            )
            .order_by(col(Notification.event_id))
            .limit(1)
        ).all()
    for row_id in ids:
        with store.write() as session:
            taken = session.exec(
                update(Notification)
                .where(col(Notification.id) == row_id, col(Notification.state) == "queued")
                .values(
                    state="sending",
                    claimed_by=me,
                    changed_at=now,
                    attempts=col(Notification.attempts) + 1,
                )
            )
            if taken.rowcount != 1:
                continue  # another process was faster
            row = session.get_one(Notification, row_id, populate_existing=True)
            return Claimed(
                row_id or 0, receiver, row.event, row.title, row.body, row.attempts, row.at
            )
    return None


def settle(store: Store, claimed: Claimed, me: str, state: str, detail: str = "") -> bool:
    """Write how sending ended. False: it was too late, and is `unknown` by now."""
    with store.write() as session:
        written = session.exec(
            update(Notification)
            .where(*_mine(claimed, me))
            .values(state=state, changed_at=store.now(), detail=detail or None, claimed_by=None)
        )
        return int(written.rowcount) == 1


def put_back(store: Store, claimed: Claimed, me: str, detail: str) -> bool:
    """Queue a message again of which it is certain that it told nobody. False: that is enough."""
    now = store.now()
    if claimed.attempt > len(RETRY_AFTER):
        return False
    with store.write() as session:
        session.exec(
            update(Notification)
            .where(*_mine(claimed, me))
            .values(
                state="queued",
                due_at=now + RETRY_AFTER[claimed.attempt - 1],
                changed_at=now,
                claimed_by=None,
                detail=detail,
            )
        )
    return True


def _mine(claimed: Claimed, me: str) -> tuple[Any, ...]:
    return (
        col(Notification.id) == claimed.id,
        col(Notification.state) == "sending",
        col(Notification.claimed_by) == me,
        col(Notification.attempts) == claimed.attempt,
    )


def tidy(store: Store, known: Iterable[str]) -> None:
    """End what can no longer be sent: too old, too many, claimed by a sender that died.

    `known`: the receivers that there are.
    """
    now = store.now()
    states: list[tuple[str, str, tuple[Any, ...]]] = [
        (
            "unknown",
            "the sender ended before it knew; perhaps it was told",
            (col(Notification.state) == "sending", col(Notification.changed_at) < now - LOST_AFTER),
        ),
        (
            "expired",
            "it could not be sent within an hour",
            (col(Notification.state) == "queued", col(Notification.at) < now - STALE),
        ),
    ]
    with store.read() as session:
        some = session.exec(
            select(Notification.id).where(col(Notification.state).in_(UNSENT))
        ).first()
        old = session.exec(
            select(Notification.id).where(col(Notification.changed_at) < now - KEEP)
        ).first()
    if some is None and old is None:
        return
    with store.write() as session:
        for state, detail, where in states:
            session.exec(
                update(Notification)
                .where(*where)
                .values(state=state, detail=detail, changed_at=now, claimed_by=None)
            )
        for receiver in known:
            _bound(session, receiver, now)
        session.exec(delete(Notification).where(col(Notification.changed_at) < now - KEEP))


def _bound(session: Session, receiver: str, now: float) -> None:
    beyond = session.exec(
        select(Notification.id)
        .where(Notification.receiver == receiver, Notification.state == "queued")
        .order_by(col(Notification.event_id).desc())
        .offset(MOST_QUEUED)
    ).all()
    if beyond:
        session.exec(
            update(Notification)
            .where(col(Notification.id).in_(beyond))
            .values(state="dropped", detail=f"more than {MOST_QUEUED} were queued", changed_at=now)
        )


def standing(store: Store) -> dict[str, dict[str, int]]:
    """Count by receiver and state."""
    counts: dict[str, dict[str, int]] = {}
    with store.read() as session:
        for receiver, state, number in session.connection().execute(
            columns(col(Notification.receiver), col(Notification.state), func.count()).group_by(
                col(Notification.receiver), col(Notification.state)
            )
        ):
            counts.setdefault(receiver, {})[state] = number
    return counts


def recent(store: Store, limit: int) -> list[dict[str, Any]]:
    """The last messages, the newest first."""
    with store.read() as session:
        rows = session.exec(
            select(Notification).order_by(col(Notification.id).desc()).limit(limit)
        ).all()
    return [
        {
            "event_id": row.event_id,
            "event": row.event,
            "receiver": row.receiver,
            "run": row.run_id,
            "title": row.title,
            "at": iso(row.at),
            "state": row.state,
            "attempts": row.attempts,
            "changed_at": iso(row.changed_at),
            "detail": row.detail,
        }
        for row in rows
    ]
