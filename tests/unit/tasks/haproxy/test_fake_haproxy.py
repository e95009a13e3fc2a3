"""The fake HAProxy answers the cases that the real one answers."""

from __future__ import annotations

import pytest

from tasks.haproxy.client import split_replies, talk
from tests.unit.tasks.haproxy.cases import CASES, Case
from tests.unit.tasks.haproxy.fake_haproxy import SOCKET, FakeHaproxy, FakeServer


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_fake_answers_as_haproxy_does(case: Case) -> None:
    servers = [FakeServer("a", health=None), FakeServer("b", health=None, weight=50, initial=50)]
    fake = FakeHaproxy(servers, algorithm=case.algorithm)
    replies = split_replies(str(fake.answer(talk(SOCKET, case.tell))))
    assert len(replies) == len(case.says)
    for reply, says in zip(replies, case.says, strict=True):
        assert reply.startswith(says)
        assert bool(reply) == bool(says)
    a = fake["a"]
    assert (a.status, a.admin, a.weight) == case.after
