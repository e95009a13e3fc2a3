from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlmodel import select

from chatops import tokens
from chatops.board.sessions import (
    LASTS,
    close_session,
    csrf_holds,
    csrf_token,
    find_session,
    open_session,
)
from chatops.tokens import Known
from worker.models import Audit, WebSession
from worker.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(f"sqlite:///{tmp_path / 'winch.db'}")
    made.migrate()
    yield made
    made.close()


@pytest.fixture
def bob(store: Store) -> Known:
    token = tokens.create_token(store, "bob", "operator", ["pool:web"], by="test")
    known = tokens.recognise(store, token)
    assert known is not None
    return known


def test_a_session_is_its_tokens_owner_with_role_and_scopes(store: Store, bob: Known) -> None:
    assert find_session(store, open_session(store, bob).secret) == bob


def test_the_database_does_not_hold_what_the_cookie_holds(store: Store, bob: Known) -> None:
    secret = open_session(store, bob).secret
    with store.read() as session:
        row = session.exec(select(WebSession)).one()
    assert secret not in row.hash
    assert find_session(store, row.hash) is None


@pytest.mark.parametrize("secret", ["", "x", "ü" * 43, "A" * 43, "A" * 5000, "\x00"])
def test_what_is_no_session_is_nobody(store: Store, bob: Known, secret: str) -> None:
    open_session(store, bob)
    assert find_session(store, secret) is None


def test_a_session_ends_with_its_token(store: Store, bob: Known) -> None:
    secret = open_session(store, bob).secret
    tokens.revoke_token(store, "bob", by="test")
    assert find_session(store, secret) is None


def test_a_session_ends_when_it_is_closed_and_no_other_does(store: Store, bob: Known) -> None:
    here, there = open_session(store, bob).secret, open_session(store, bob).secret
    close_session(store, here)
    close_session(store, here)
    assert find_session(store, here) is None
    assert find_session(store, there) == bob


def test_a_session_ends_by_itself_and_is_cleared_away(
    store: Store, bob: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = open_session(store, bob).secret
    later = store.now() + LASTS
    monkeypatch.setattr(store, "now", lambda: later)
    assert find_session(store, secret) is None
    open_session(store, bob)
    with store.read() as session:
        assert len(session.exec(select(WebSession)).all()) == 1


def test_logins_and_logouts_are_in_the_audit(store: Store, bob: Known) -> None:
    close_session(store, open_session(store, bob).secret)
    with store.read() as session:
        lines = session.exec(select(Audit).where(Audit.actor == "http:bob")).all()
    assert [line.action for line in lines] == ["login", "logout"]


def test_a_csrf_token_holds_for_its_own_session_only() -> None:
    assert csrf_holds("mine", csrf_token("mine"))
    for sent in (None, "", csrf_token("yours"), "mine", "ü"):
        assert not csrf_holds("mine", sent)
