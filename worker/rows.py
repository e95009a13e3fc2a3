"""Small helpers for rows, used wherever rows are written."""

from __future__ import annotations

from sqlmodel import Session

from worker.models import Audit


def record(
    session: Session,
    now: float,
    actor: str,
    action: str,
    target: str,
    run_id: int | None,
    outcome: str,
    detail: str | None = None,
) -> None:
    """Write a line of the audit."""
    session.add(
        Audit(
            at=now,
            actor=actor,
            action=action,
            target=target,
            run_id=run_id,
            outcome=outcome,
            detail=detail,
        )
    )


def row_id(value: int | None) -> int:
    if value is None:
        raise RuntimeError("a row without its id: it was not flushed")
    return value
