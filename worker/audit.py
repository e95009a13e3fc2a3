"""The audit: who asked for what, from where, and what came of it.

Each line carries a hash over itself and the hash of the line before, so that a line which is
changed, taken out or put in shows (`verify`). Who can write the whole database can also write a
whole new chain: keep the last hash somewhere else now and then, and compare.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from sqlmodel import Session, col, select

from worker.models import Audit, AuditHead
from worker.store import Store

GENESIS = "0" * 64  # the hash before the first line
_AT_ONCE = 1000  # lines


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
    """Append a line, in the caller's transaction; best at its end: others wait for the chain."""
    head = session.get_one(AuditHead, 1, with_for_update=True, populate_existing=True)
    line = Audit(
        id=head.last_id + 1,
        at=now,
        actor=actor,
        action=action,
        target=target,
        run_id=run_id,
        outcome=outcome,
        detail=detail,
        prev_hash=head.hash,
        hash="",
    )
    line.hash = hash_of(line)
    head.last_id, head.hash = head.last_id + 1, line.hash
    session.add_all((line, head))
    session.flush()


def hash_of(line: Audit) -> str:
    """Hash a line as canonical JSON: sorted keys, no spaces, ASCII."""
    content = {
        "id": line.id,
        "at": line.at,
        "actor": line.actor,
        "action": line.action,
        "target": line.target,
        "run_id": line.run_id,
        "outcome": line.outcome,
        "detail": line.detail,
        "prev_hash": line.prev_hash,
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


@dataclass(frozen=True)
class Verdict:
    """What became of the chain: how many lines hold, the last hash, and the first thing wrong."""

    lines: int
    head: str
    problem: str | None = None


def verify(store: Store, *, expect: str | None = None) -> Verdict:
    """Walk the chain from its first line. `expect`: a hash that must be in it."""
    count, last = 0, GENESIS
    met = expect is None
    with store.read() as session:
        head = session.get(AuditHead, 1)
        end = 0 if head is None else head.last_id
        while True:
            lines = session.exec(
                select(Audit)
                .where(col(Audit.id) > count, col(Audit.id) <= end)
                .order_by(col(Audit.id))
                .limit(_AT_ONCE)
            ).all()
            for line in lines:
                problem = _problem(line, count + 1, last)
                if problem is not None:
                    return Verdict(count, last, problem)
                count, last = count + 1, line.hash
                met = met or last == expect
            session.expunge_all()
            if not lines:
                break
        beyond = session.exec(select(Audit.id).where(col(Audit.id) > end).limit(1)).first()
    problem = None
    if head is None:
        problem = "the record of the last line is missing"
    elif count < end:
        problem = f"line {count + 1} is missing: the audit has had {end} lines"
    elif head.hash != last:
        problem = f"line {count} is not the one that was written last"
    elif beyond is not None:
        problem = f"line {beyond} was put in behind the end of the chain"
    elif not met:
        problem = f"no line has the hash {expect}: the chain is another one"
    return Verdict(count, last, problem)


def _problem(line: Audit, expected: int, last: str) -> str | None:
    if line.id != expected:
        return f"line {expected} is missing"
    if line.prev_hash != last:
        return f"line {expected} does not follow the one before it"
    if line.hash != hash_of(line):
        return f"line {expected} was changed: its hash does not fit"
    return None
