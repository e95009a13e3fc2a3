"""Sessions of browsers: a token is pasted once, and a cookie stands for it from then on.

The database keeps a hash of what the cookie holds, so that reading it lets nobody in, and a session
works at every web process and through restarts. It ends with its token.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass

from sqlalchemy import delete
from sqlmodel import col

from chatops.authorise import ROLES
from chatops.tokens import Known
from worker.audit import record
from worker.models import Token, WebSession
from worker.store import Store

LASTS = 12 * 3600.0  # seconds: a working day
_LONGEST = 100  # characters of a cookie that is looked at


@dataclass(frozen=True)
class Opened:
    """A new session: what the cookie is to hold, and for how many seconds."""

    secret: str
    lasts: float = LASTS


def open_session(store: Store, known: Known) -> Opened:
    """Begin a session for the owner of a token; sessions that are over are cleared away."""
    secret = secrets.token_urlsafe(32)
    now = store.now()
    with store.write() as session:
        session.exec(delete(WebSession).where(col(WebSession.expires_at) <= now))
        session.add(
            WebSession(
                hash=_hash(secret), token_id=known.id, created_at=now, expires_at=now + LASTS
            )
        )
        record(session, now, f"http:{known.name}", "login", "board", None, "granted")
    return Opened(secret)


def find_session(store: Store, secret: str) -> Known | None:
    """Find out whose session that is; None: nobody's, it is over, or its token was revoked."""
    if not secret or len(secret) > _LONGEST or not secret.isascii():
        return None
    with store.read() as session:
        row = session.get(WebSession, _hash(secret))
        token = None if row is None else session.get(Token, row.token_id)
    if row is None or token is None or token.id is None:
        return None
    if row.expires_at <= store.now() or token.revoked_at is not None:
        return None
    role = next((role for role in ROLES if role == token.role), None)
    return None if role is None else Known(token.id, token.name, role, tuple(token.scopes))


def close_session(store: Store, secret: str) -> None:
    """End a session; the cookie is worth nothing from then on."""
    known = find_session(store, secret)
    if known is None:
        return
    with store.write() as session:
        session.exec(delete(WebSession).where(col(WebSession.hash) == _hash(secret)))
        record(session, store.now(), f"http:{known.name}", "logout", "board", None, "granted")


def csrf_token(secret: str) -> str:
    """Derive what a page must send back, in a header, with everything that changes something."""
    return hmac.new(secret.encode(), b"winch csrf", hashlib.sha256).hexdigest()


def csrf_holds(secret: str, sent: str | None) -> bool:
    """Whether a request carries the token of its own session."""
    expected = csrf_token(secret)
    return hmac.compare_digest(expected.encode(), (sent or "").encode(errors="replace"))


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("ascii")).hexdigest()
