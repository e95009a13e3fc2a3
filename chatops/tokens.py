"""Bearer tokens of the HTTP API: made, listed, revoked, recognised.

A token is 256 random bits, so a plain SHA-256 of it tells nothing about it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import update
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select

from chatops.authorise import ROLES, Role
from worker.audit import record
from worker.errors import UsageError
from worker.models import Token
from worker.report import iso
from worker.store import Store
from workflows.values import shown

PREFIX = "winch_"
_LONGEST = 200  # characters of what is looked at as a token
_USED_EVERY = 60.0  # seconds between two notes of the last use: a request is no reason to write
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,62}", re.ASCII)


@dataclass(frozen=True)
class Known:
    """A token that was recognised."""

    id: int
    name: str
    role: Role
    scopes: tuple[str, ...]


def create_token(store: Store, name: str, role: Role, scopes: Sequence[str], *, by: str) -> str:
    """Make a token and return it: the one time that it is to be seen.

    Raises:
        UsageError: the name cannot be one, or a token in use has it.
    """
    if _NAME.fullmatch(name) is None:
        raise UsageError(
            f"{shown(name)} is no name for a token: letters, digits, '_', '.', '@' and '-' only"
        )
    token = PREFIX + secrets.token_urlsafe(32)
    now = store.now()
    try:
        with store.write() as session:
            row = Token(
                name=name,
                hash=_hash(token),
                role=role,
                scopes=list(scopes),
                created_by=by,
                created_at=now,
            )
            session.add(row)
            session.flush()
            what = f"{role}, {', '.join(scopes) or 'everything'}"
            record(session, now, by, "token create", name, None, "granted", what)
    except IntegrityError:
        raise UsageError(
            f"there is a token {name} already; `winch token revoke {name}` ends it"
        ) from None
    return token


def revoke_token(store: Store, name: str, *, by: str) -> None:
    """End a token; the next request with it is refused.

    Raises:
        UsageError: no token in use has that name.
    """
    now = store.now()
    with store.write() as session:
        row = session.exec(
            select(Token)
            .where(Token.name == name, col(Token.revoked_at).is_(None))
            .with_for_update()
        ).first()
        if row is None:
            raise UsageError(f"there is no token {shown(name)} in use; `winch token list`")
        row.revoked_at = now
        session.add(row)
        record(session, now, by, "token revoke", name, None, "granted")


def list_tokens(store: Store) -> list[dict[str, Any]]:
    """All tokens, revoked ones too, without anything that could be used."""
    with store.read() as session:
        rows = session.exec(select(Token).order_by(col(Token.id))).all()
    return [
        {
            "name": row.name,
            "role": row.role,
            "scopes": row.scopes,
            "created_by": row.created_by,
            "created_at": iso(row.created_at),
            "used_at": iso(row.used_at),
            "revoked_at": iso(row.revoked_at),
        }
        for row in rows
    ]


def recognise(store: Store, token: str) -> Known | None:
    """Find out whose token that is; None: nobody's, or it was revoked."""
    if not token.startswith(PREFIX) or len(token) > _LONGEST or not token.isascii():
        return None
    wanted = _hash(token)
    with store.read() as session:
        row = session.exec(select(Token).where(Token.hash == wanted)).first()
    if row is None or not hmac.compare_digest(row.hash, wanted) or row.revoked_at is not None:
        return None
    role = next((role for role in ROLES if role == row.role), None)
    if role is None or row.id is None:
        return None
    now = store.now()
    if row.used_at is None or now - row.used_at > _USED_EVERY:
        with store.write() as session:
            _note_use(session, row.id, now)
    return Known(row.id, row.name, role, tuple(row.scopes))


def _note_use(session: Session, token_id: int, now: float) -> None:
    session.exec(update(Token).where(col(Token.id) == token_id).values(used_at=now))


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("ascii")).hexdigest()
