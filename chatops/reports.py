"""How runs look: from the database, or from a Winch elsewhere (WINCH_URL), all the same."""

from __future__ import annotations

from typing import Any

from sqlmodel import col, select

from chatops import services
from chatops.far import Far, far
from worker import report
from worker.models import Audit
from worker.store import Store, store

Source = Store | Far


def source() -> Source:
    """Say where the command line looks."""
    return far() or store()


def run_document(where: Source, run_id: int) -> dict[str, Any]:
    """See `worker.report.run_document`."""
    if isinstance(where, Far):
        document: dict[str, Any] = where.get(f"/runs/{run_id}")
        return document
    return report.run_document(where, run_id)


def run_list(where: Source, *, limit: int) -> list[dict[str, Any]]:
    """See `worker.report.run_list`."""
    if isinstance(where, Far):
        return list(where.pages("/runs", "runs", limit))
    return report.run_list(where, limit=limit)


def run_commands(where: Source, run_id: int, host: str | None) -> list[dict[str, Any]]:
    """See `worker.report.run_commands`."""
    if isinstance(where, Far):
        return list(where.pages(f"/runs/{run_id}/logs", "commands", host=host))
    return report.run_commands(where, run_id, host)


def lease_list(where: Source) -> list[dict[str, Any]]:
    """See `worker.report.lease_list`."""
    if isinstance(where, Far):
        return list(where.get("/leases")["leases"])
    return report.lease_list(where)


def audit_lines(where: Source, limit: int) -> list[dict[str, Any]]:
    """The last lines of the audit, newest first."""
    if isinstance(where, Far):
        return list(where.pages("/audit", "lines", limit))
    with where.read() as session:
        rows = session.exec(select(Audit).order_by(col(Audit.id).desc()).limit(limit)).all()
    return [audit_line(row) for row in rows]


def audit_line(row: Audit) -> dict[str, Any]:
    """Write a line of the audit as a document."""
    return {
        "id": row.id,
        "at": report.iso(row.at),
        "actor": row.actor,
        "action": row.action,
        "target": row.target,
        "run": row.run_id,
        "outcome": row.outcome,
        "detail": row.detail,
        "hash": row.hash,
    }


def unserved(where: Source, run_id: int) -> list[str]:
    """See `chatops.services.unserved`; of a Winch elsewhere only whether anybody works."""
    if isinstance(where, Far):
        return [services.DEFAULT_QUEUE] if where.get("/healthz")["workers"] == 0 else []
    return services.unserved(where, run_id)
