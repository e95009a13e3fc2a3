"""Freezes and later starts in chat: the talk that all networks share, over a real engine."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlmodel import col, select

from chatops.chat.talk import Asker, Talk
from chatops.desk import Desk
from tests.integration.chat.conftest import ACCESS
from tests.kit.plans import Work
from tests.kit.stack import Stack
from worker.models import Audit

ALICE, BOB, VERA, ROOT = "slack:UALICE", "slack:UBOB", "slack:UVERA", "slack:UROOT"
WEB_ONLY = "slack:UWEB"


@pytest.fixture
def talk(desk: Desk, access: Path) -> Talk:
    more = (
        "people:\n"
        f'  root: {{role: admin, identities: ["{ROOT}"]}}\n'
        f'  wendy: {{role: operator, scopes: [pool:db], identities: ["{WEB_ONLY}"]}}\n'
    )
    access.write_text(ACCESS.replace("people:\n", more, 1))
    return Talk(desk, "slack")


def say(talk: Talk, identity: str, text: str) -> str:
    reply = talk.say(Asker(identity, "C1"), text)
    return "\n".join(filter(None, [reply.card.title, *reply.card.lines]))


def test_a_freeze_is_made_asked_for_told_and_lifted(talk: Talk, stack: Stack) -> None:
    assert say(talk, VERA, "freeze") == "nothing is frozen"
    made = say(talk, ALICE, 'freeze pool:web until=2h reason="the sale"')
    assert made.startswith("❄️ pool:web is frozen until 20")
    listed = say(talk, VERA, "freeze")
    assert listed.startswith("Frozen\n`pool:web` until 20")
    assert listed.endswith("by slack:UALICE · the sale")
    refused = say(talk, BOB, "roll web version=2")
    assert "roll web: pool:web is frozen by slack:UALICE until 20" in refused
    assert 'override-freeze reason="…" (admin)' in refused
    assert "it takes admin for `unfreeze`" in say(talk, BOB, "unfreeze pool:web")
    assert say(talk, ALICE, "unfreeze pool:web").startswith("👍 pool:web is frozen by slack:UALICE")
    assert say(talk, VERA, "freeze") == "nothing is frozen"
    with stack.store.read() as session:
        lines = session.exec(select(Audit).order_by(col(Audit.id))).all()
    assert [(line.actor, line.action, line.outcome) for line in lines] == [
        (ALICE, "freeze", "granted"),
        (BOB, "start", "refused"),
        (BOB, "unfreeze", "refused"),
        (ALICE, "unfreeze", "granted"),
    ]


@pytest.mark.parametrize(
    ("who", "text", "said"),
    [
        (VERA, "freeze until=2h reason=x", "it takes operator for `freeze`"),
        (WEB_ONLY, "freeze until=2h reason=x", "bound to pool:db"),
        (ALICE, "freeze pool:web", "reason= TEXT: who is stopped is told both"),
        (ALICE, "freeze until=soon reason=x", "until: 'soon' is no time"),
        (ALICE, "freeze pool:wbe until=2h reason=x", "did you mean 'web'?"),
        (ALICE, "freeze web until=2h reason=x", "'web' is no scope"),
        (ALICE, "freeze pool:web pool:db until=2h reason=x", "freeze [SCOPE] until=TIME"),
        (ALICE, "unfreeze", "everything is not frozen as such"),
    ],
)
def test_what_may_not_be_or_cannot_be_meant_freezes_nothing(
    talk: Talk, who: str, text: str, said: str
) -> None:
    assert said in say(talk, who, text)
    assert say(talk, VERA, "freeze") == "nothing is frozen"


def test_an_override_takes_an_admin_and_a_reason(talk: Talk, stack: Stack) -> None:
    say(talk, ALICE, "freeze until=2h reason=sale")
    refused = say(talk, BOB, "roll web version=2 override-freeze reason=INC-7")
    assert "it takes admin for `override freeze`" in refused
    silent = say(talk, ROOT, "roll web version=2 override-freeze")
    assert 'override-freeze takes reason="…"' in silent
    stack.worker()
    assert "run 1: roll web" in say(talk, ROOT, "roll web version=2 override-freeze reason=INC-7")
    assert stack.ended(1)["status"] == "succeeded"


def test_a_retry_in_a_freeze_takes_one_too(talk: Talk, stack: Stack, work: Work) -> None:
    work.flag("broken-web1").touch()
    stack.worker()
    say(talk, ALICE, "roll web limit=web1 version=2")
    stack.ended(1)
    work.flag("broken-web1").unlink()
    say(talk, ALICE, "freeze pool:* until=2h reason=sale")
    assert "retry run 1: pool:* is frozen by slack:UALICE" in say(talk, BOB, "retry 1")
    assert "admin" in say(talk, BOB, 'retry 1 override-freeze reason="INC-7"')
    assert "goes on with web1" in say(talk, ROOT, 'retry 1 override-freeze reason="INC-7"')
    assert stack.ended(1)["status"] == "succeeded"


def test_a_job_is_asked_for_later(talk: Talk, stack: Stack) -> None:
    said = say(talk, ALICE, 'roll web version=2 at="tomorrow 06:00"')
    assert "run 1: roll web of web1, web2" in said
    assert "starts at 20" in said
    assert stack.document(1)["status"] == "queued"
    assert "at: 'yesterday' is no time" in say(talk, ALICE, "roll web version=2 at=yesterday")
    assert "aborted" in say(talk, ALICE, "abort 1")
    assert stack.document(1)["status"] == "aborted"


def test_help_offers_it_to_who_may(talk: Talk) -> None:
    assert "freeze [SCOPE] until=TIME" in say(talk, ALICE, "help")
    assert "freeze [SCOPE] until" not in say(talk, VERA, "help")
