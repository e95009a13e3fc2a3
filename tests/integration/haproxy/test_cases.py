"""The cases that the fake HAProxy of the unit tests answers, asked of the real one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tasks.haproxy.client import Runtime, split_replies, talk
from tests.integration.haproxy.rig import Haproxy, LocalContext, new_address, stopping
from tests.unit.tasks.haproxy.cases import CASES, Case


@pytest.fixture(scope="module")
def proxies() -> Iterator[dict[str, Haproxy]]:
    def start(algorithm: str) -> Haproxy:
        lines = [f"  server {n} {new_address()}:80 weight {w}" for n, w in (("a", 100), ("b", 50))]
        return Haproxy("\n".join(["backend web_servers", f"  balance {algorithm}", *lines]))

    started = {name: start(name) for name in sorted({case.algorithm for case in CASES})}
    with stopping(*started.values()):
        yield started


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_haproxy_answers_as_the_fake_does(
    proxies: dict[str, Haproxy], context: LocalContext, case: Case
) -> None:
    haproxy = proxies[case.algorithm]
    haproxy.say("set server web_servers/a state ready; set weight web_servers/a 100%")
    runtime = Runtime(context.on("lb1"), haproxy.sockets[0])
    result = runtime.host.act(talk(runtime.socket, case.tell))
    replies = split_replies(result.stdout)
    assert len(replies) == len(case.says)
    for reply, says in zip(replies, case.says, strict=True):
        assert reply.startswith(says)
        assert bool(reply) == bool(says)
    a = haproxy.server("a")
    assert (a["status"], int(a["admin"]), int(a["uweight"])) == case.after
