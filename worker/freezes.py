"""Freezes: no job starts in a scope until a time. They end by themselves.

Whether a run may start is looked at in the transaction that creates it, and again in the one that
starts its first host; so of a freeze and a start at the same instant one is first, and the other
is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import text
from sqlmodel import Session, col, select

from worker.audit import record
from worker.models import Freeze, Run
from worker.report import iso, moment
from worker.rows import row_id
from worker.scopes import EVERYTHING, touches
from worker.store import Store


def freeze(
    store: Store, scope: str, until: float, reason: str, actor: str, *, person: str | None = None
) -> tuple[int, list[Run]]:
    """Let no job start in a scope until a time (epoch seconds).

    Returns the freeze's number, and the runs that are to start while it lasts: each is refused
    then, unless the freeze has been lifted.
    """
    with store.write() as session:
        now = store.now()
        row = Freeze(
            scope=scope,
            reason=reason,
            created_by=actor,
            person=person or actor,
            created_at=now,
            until=until,
        )
        session.add(row)
        session.flush()
        queued = session.exec(
            select(Run)
            .where(
                Run.status == "queued",
                col(Run.start_at) < until,
                col(Run.override_freeze).is_(False),
            )
            .order_by(col(Run.start_at))
        )
        caught = [run for run in queued if touches(scope, run.scope)]
        detail = f"until {moment(until)}: {reason}"
        record(session, now, actor, "freeze", scope, None, "granted", detail)
        return row_id(row.id), caught


def unfreeze(store: Store, scope: str, actor: str, ids: Sequence[int]) -> list[Freeze]:
    """Lift freezes by their numbers. Returns those that were in force still."""
    with store.write() as session:
        now = store.now()
        rows = session.exec(
            select(Freeze)
            .where(col(Freeze.id).in_(ids), col(Freeze.lifted_at).is_(None), Freeze.until > now)
            .with_for_update()
        ).all()
        for row in rows:
            row.lifted_at, row.lifted_by = now, actor
            session.add(row)
        if rows:
            detail = "; ".join(said(row) for row in rows)
            record(session, now, actor, "unfreeze", scope, None, "granted", detail)
        return list(rows)


def in_force(session: Session, at: float) -> list[Freeze]:
    """List the freezes that hold at a time, the first to be made first."""
    return list(
        session.exec(
            select(Freeze)
            .where(col(Freeze.lifted_at).is_(None), Freeze.until > at)
            .order_by(col(Freeze.id))
        )
    )


def freezing(session: Session, scope: str, at: float) -> Freeze | None:
    """Find what keeps a job of that scope from starting at a time: the one that lasts longest.

    Nobody can freeze anything between this look and the end of the transaction.
    """
    if session.get_bind().dialect.name == "postgresql":  # SQLite has one writer anyway
        session.execute(text("LOCK TABLE freezes IN SHARE MODE"))
    found = [row for row in in_force(session, at) if touches(row.scope, scope)]
    return max(found, key=lambda row: row.until, default=None)


def why(what: str, row: Freeze) -> str:
    """Say that something is refused: who froze, until when, why, and what to do."""
    lift = "winch unfreeze" if row.scope == EVERYTHING else f"winch unfreeze {row.scope}"
    return (
        f"{what}: {said(row)}; nothing was changed; wait (--at takes a time), lift it (`{lift}`) "
        "or use --override-freeze --reason TEXT (admin)"
    )


def said(row: Freeze) -> str:
    """Say a freeze in words."""
    about = "everything" if row.scope == EVERYTHING else row.scope
    return f"{about} is frozen by {row.created_by} until {moment(row.until)} ({row.reason})"


def freeze_document(row: Freeze) -> dict[str, Any]:
    """Write a freeze as a document."""
    return {
        "id": row.id,
        "scope": row.scope,
        "reason": row.reason,
        "by": row.created_by,
        "since": iso(row.created_at),
        "until": iso(row.until),
    }


def freeze_list(store: Store) -> list[dict[str, Any]]:
    """List the freezes that hold now."""
    with store.read() as session:
        return [freeze_document(row) for row in in_force(session, store.now())]
