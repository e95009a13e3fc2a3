"""The events of a run: resumed where they were left, shared by many, ended with the run."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from chatops.events import Hub
from chatops.tokens import revoke_token
from tests.kit.api import Api, events_of, serving
from tests.kit.plans import Work
from tests.kit.stack import Stack, until

pytestmark = pytest.mark.timeout(90)  # a stream that never ends has heartbeats, and no deadline


@pytest.fixture
def held(work: Work) -> Any:
    """A flag that holds the first host's second step."""
    hold = work.flag("hold")
    hold.touch()
    return hold


def start(api: Api, work: Work, held: Any, hosts: int = 2) -> int:
    plan = work.plan(
        [f"web{n}" for n in range(1, hosts + 1)], options={"web1.two": {"hold_after": str(held)}}
    )
    return api.stack.run(plan)


def test_a_watcher_sees_each_change_and_the_end(api: Api, work: Work, held: Any) -> None:
    api.stack.worker()
    run = start(api, work, held)
    client = api.as_("watcher", "viewer")
    with client.stream("GET", f"/runs/{run}/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        events = events_of(answer.iter_lines())
        first, kind, document = next(events)
        assert kind == "snapshot"
        assert [host["name"] for host in document["hosts"]] == ["web1", "web2"]
        held.unlink()
        rest = list(events)
    ids = [int(event_id.removesuffix(".end")) for event_id, _, _ in rest]
    assert ids == sorted(set(ids))
    assert ids[0] > int(first)
    last_id, kind, end = rest[-1]
    assert kind == "end"
    assert end["status"] == "succeeded"
    hosts = {data["name"]: data["status"] for _, kind, data in rest if kind == "host"}
    assert hosts["web1"] == hosts["web2"] == "succeeded"
    again = client.get(f"/runs/{run}/events", headers={"Last-Event-ID": last_id})
    assert again.status_code == 204


def test_a_watcher_that_comes_again_misses_nothing_and_hears_nothing_twice(
    api: Api, work: Work, held: Any
) -> None:
    api.stack.worker()
    run = start(api, work, held)
    client = api.as_("watcher", "viewer")
    with client.stream("GET", f"/runs/{run}/events") as steady:
        all_of_it = events_of(steady.iter_lines())
        seen = [next(all_of_it)]
        with client.stream("GET", f"/runs/{run}/events") as other:
            left = next(events_of(other.iter_lines()))
        held.unlink()
        seen += list(all_of_it)
        # The stream of the run is gone with its last watcher; so come while one is here.
    with api.client(None) as stranger:
        assert stranger.get(f"/runs/{run}/events").status_code == 401
    late = list(follow(client, run, last_id=left[0]))
    assert late[0][1] == "snapshot"  # nobody kept the events for it
    assert late[-1][1] == "end"
    assert late[0][2]["status"] == "succeeded"


def follow(client: httpx.Client, run: int, last_id: str | None = None) -> Any:
    headers = {} if last_id is None else {"Last-Event-ID": last_id}
    with client.stream("GET", f"/runs/{run}/events", headers=headers) as answer:
        yield from events_of(answer.iter_lines())


def test_while_others_watch_one_goes_on_exactly_where_it_was(
    api: Api, work: Work, held: Any
) -> None:
    run = start(api, work, held)
    client = api.as_("watcher", "operator")
    with client.stream("GET", f"/runs/{run}/events") as steady:
        events = events_of(steady.iter_lines())
        next(events)
        client.post(f"/runs/{run}/pause")
        paused = next(events)
        assert paused[2]["status"] == "paused"
        client.post(f"/runs/{run}/resume")
        resumed = next(events)
        behind = follow(client, run, last_id=paused[0])
        assert next(behind) == resumed
        behind.close()
        foreign = follow(client, run, last_id="12")
        assert next(foreign)[1] == "snapshot"
        foreign.close()


def test_one_look_serves_all_watchers_and_ends_with_the_last(
    stack: Stack, work: Work, held: Any
) -> None:
    hub = Hub(stack.store)
    with serving(stack, hub=hub) as api:
        run = start(api, work, held)
        token = api.token("watcher", "viewer")
        streams = []
        for _ in range(5):
            watching = follow(api.client(token), run)
            assert next(watching)[1] == "snapshot"
            streams.append(watching)
        assert hub.watchers == 5
        assert len(hub._streams) == 1
        for watching in streams:
            watching.close()
        until(lambda: hub.watchers == 0 and not hub._streams, what="the stream is given up")


def test_a_silent_run_is_kept_alive_and_a_revoked_token_is_let_go(
    stack: Stack, work: Work, held: Any
) -> None:
    with serving(stack, hub=Hub(stack.store, heartbeat=0.2)) as api:
        run = start(api, work, held)
        client = api.as_("watcher", "viewer")
        with client.stream("GET", f"/runs/{run}/events") as answer:
            lines = answer.iter_lines()
            until(lambda: next(lines).startswith(": "), what="a heartbeat")
            revoke_token(stack.store, "watcher", by="test")
            for line in lines:  # ends by itself
                assert not line.startswith("data:")


def test_no_more_may_watch_than_the_process_can_serve(stack: Stack, work: Work, held: Any) -> None:
    with serving(stack, hub=Hub(stack.store, most=1)) as api:
        run = start(api, work, held)
        token = api.token("watcher", "viewer")
        first = follow(api.client(token), run)
        next(first)
        answer = api.client(token).get(f"/runs/{run}/events")
        assert answer.status_code == 503
        assert answer.headers["content-type"] == "application/problem+json"
        first.close()
