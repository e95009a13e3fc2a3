"""From lines of the audit to what people are told."""

from __future__ import annotations

import pytest

from chatops.notify.config import NotifyTable
from chatops.notify.events import Event, concerns, event_of
from chatops.notify.message import body, title
from worker.models import Audit, Run

RUN = Run(
    id=12,
    job="roll",
    target="web",
    requested_by="slack:U1",
    reason="CVE-1",
    created_at=0.0,
    scope="pool:web",
)


def line(actor: str, action: str, target: str, outcome: str, detail: str | None = None) -> Audit:
    run_id = None if action == "worker lost" or "freeze" in action else 12
    return Audit(
        id=7,
        at=1.0,
        actor=actor,
        action=action,
        target=target,
        run_id=run_id,
        outcome=outcome,
        detail=detail,
        prev_hash="",
        hash="",
    )


def event(*words: str) -> Event:
    found = event_of(line(*words), RUN)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (("engine", "roll", "web", "failed"), "failed"),
        (("engine", "roll", "web", "rolled_back"), "rolled_back"),
        (("engine", "roll", "web", "succeeded"), "succeeded"),
        (("engine", "roll", "web", "aborted"), "aborted"),
        (("engine", "roll", "web", "waiting", "waiting for approval: the shop"), "approval"),
        (("engine", "roll", "web", "waiting", "web1: waiting for approval: soaked"), "approval"),
        (("engine", "roll", "web", "waiting", "until 18:00"), None),
        (("cli:ops", "lease break", "host:web1", "granted"), "lease_broken"),
        (("cli:ops", "lease break", "host:web1", "refused"), None),
        (("steward", "worker lost", "box:1:2", "lost"), "worker_lost"),
        (("steward", "take over", "box:1:2", "lost"), None),
        (("cli:ops", "roll", "web", "asked"), None),
        (("cli:ops", "abort", "web", "granted"), None),
        (("cli:ops", "freeze", "pool:web", "granted"), "frozen"),
        (("cli:ops", "unfreeze", "pool:web", "granted"), "unfrozen"),
        (("cli:ops", "freeze", "pool:web", "refused"), None),
    ],
)
def test_a_line_of_the_audit_is_an_event_or_nothing(words: tuple[str, ...], kind: str) -> None:
    found = event_of(line(*words), RUN)
    assert (None if found is None else found.kind) == kind


def test_a_failure_is_told_in_two_lines_with_the_host_and_a_link() -> None:
    failed = event("engine", "roll", "web", "failed", "web1: probe.verify: GET / said 500")
    assert title(failed) == "Winch: run 12 failed: roll web"
    assert body(failed, "https://winch.example.org/") == (
        "web1: probe.verify: GET / said 500\n"
        "asked for by slack:U1 (CVE-1) · https://winch.example.org/runs/12"
    )
    assert body(failed).endswith("· winch show 12")


def test_what_looks_like_a_secret_and_what_is_no_text_does_not_go_out() -> None:
    failed = event("engine", "roll", "web", "failed", "a\n--token=hunter2 \x1b[31m" + "x" * 999)
    said = body(failed)
    assert "hunter2" not in said
    assert "\x1b" not in said
    assert len(said.splitlines()) == 2
    assert max(map(len, said.splitlines())) <= 400


def test_a_broken_lease_and_a_dead_worker_are_named() -> None:
    broken = event("cli:ops", "lease break", "host:web1", "granted", "host is gone")
    assert title(broken) == "Winch: lease host:web1 of run 12 was broken"
    assert "broken by cli:ops" in body(broken)
    lost = event("steward", "worker lost", "box:1:2", "lost", "silent for 12 s")
    assert title(lost) == "Winch: worker box:1:2 is gone"
    assert body(lost) == "silent for 12 s"


def test_a_freeze_says_what_it_covers() -> None:
    frozen = event("cli:ops", "freeze", "pool:web", "granted", "until …: Black Friday")
    assert title(frozen) == "Winch: pool:web is frozen"
    assert title(event("cli:ops", "freeze", "*", "granted")) == "Winch: everything is frozen"
    assert body(frozen) == "until …: Black Friday\nby cli:ops"


FAILED = Event(1, "failed", 0.0, "engine", "web", job="roll", run_id=12, scope="pool:web")
DONE = Event(2, "succeeded", 0.0, "engine", "web", job="roll", run_id=12, scope="pool:web")
FROZEN = Event(4, "frozen", 0.0, "cli:ops", "*")
POOL_FROZEN = Event(5, "frozen", 0.0, "cli:ops", "pool:web", scope="pool:web")
LOST = Event(3, "worker_lost", 0.0, "steward", "box:1:2")


@pytest.mark.parametrize(
    ("event", "kinds", "scopes", "jobs", "expected"),
    [
        (FAILED, [], [], [], True),
        (DONE, [], [], [], False),  # who wants to hear of successes says so
        (DONE, ["succeeded"], [], [], True),
        (FAILED, ["succeeded"], [], [], False),
        (FAILED, [], ["pool:web"], [], True),
        (FAILED, [], ["pool:*"], ["roll"], True),
        (FAILED, [], ["pool:db"], [], False),
        (FAILED, [], [], ["drain"], False),
        (LOST, [], [], [], True),
        (LOST, [], ["pool:web"], [], False),
        (LOST, [], [], ["roll"], False),
        (FROZEN, [], ["pool:web"], [], True),
        (POOL_FROZEN, [], ["pool:web"], [], True),
        (POOL_FROZEN, [], ["pool:db"], [], False),
    ],
)
def test_a_route_is_about_an_event_or_not(
    event: Event, kinds: list[str], scopes: list[str], jobs: list[str], expected: bool
) -> None:
    assert concerns(event, kinds, scopes, jobs) is expected


def test_a_receiver_in_two_routes_is_told_once() -> None:
    table = NotifyTable.model_validate(
        {
            "receivers": {"a": {"url_env": "A"}, "b": {"url_env": "B"}},
            "routes": [{"to": ["a", "b"]}, {"to": ["a"], "events": ["failed"]}],
        }
    )
    assert table.receivers_of(FAILED) == ["a", "b"]
    assert table.receivers_of(DONE) == []
