"""Who may do what: tables of principals, actions and scopes."""

from __future__ import annotations

import pytest

from chatops.authorise import (
    ACTIONS,
    ROLES,
    Principal,
    Role,
    allow,
    covers,
    parse_role,
    parse_scopes,
    scope_of,
    touches,
)
from worker.errors import UsageError


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_do_what_it_takes_and_what_lesser_ones_may(role: Role, action: str) -> None:
    enough = ROLES.index(role) >= ROLES.index(ACTIONS[action])
    decision = allow(Principal("http:x", role), action)
    assert decision.allowed == enough
    assert enough or ACTIONS[action] in decision.why


@pytest.mark.parametrize("action", ACTIONS)
def test_nobody_may_nothing(action: str) -> None:
    assert not allow(Principal("slack:U1", None), action).allowed


@pytest.mark.parametrize(
    ("scopes", "scope", "within"),
    [
        ([], "pool:web", True),
        ([], "", True),
        (["pool:web"], "pool:web", True),
        (["pool:web"], "pool:web2", False),
        (["pool:web"], "pair:web", False),
        (["pool:web"], "", False),
        (["pool:*"], "pool:anything", True),
        (["pool:*"], "pair:edge", False),
        (["pool:*"], "pool:", False),
        (["pair:*", "pool:web"], "pair:edge", True),
        (["balancer:lb1"], "balancer:lb1,lb2", False),
        (["balancer:lb1", "balancer:lb2"], "balancer:lb1, lb2", True),
    ],
)
def test_scopes_include_what_they_name_and_no_more(
    scopes: list[str], scope: str, within: bool
) -> None:
    assert covers(scopes, scope) == within
    assert allow(Principal("http:x", "admin", tuple(scopes)), "abort", scope).allowed == within


def test_a_policy_about_one_balancer_is_about_any_job_that_touches_it() -> None:
    assert touches(["balancer:lb1"], "balancer:lb1,lb2")
    assert not touches(["balancer:lb3"], "balancer:lb1,lb2")
    assert touches([], "")


@pytest.mark.parametrize("action", ["metrics", "audit"])
def test_what_is_about_everything_takes_a_role_without_scopes(action: str) -> None:
    assert allow(Principal("http:x", "admin"), action).allowed
    decision = allow(Principal("http:x", "admin", ("pool:*",)), action)
    assert not decision.allowed
    assert "pool:*" in decision.why


def test_a_higher_role_can_be_asked_for_than_is_usual() -> None:
    operator, admin = Principal("http:a", "operator"), Principal("http:b", "admin")
    assert not allow(operator, "approve", "pool:web", role="admin").allowed
    assert allow(admin, "approve", "pool:web", role="admin").allowed


def test_a_job_has_the_scope_of_its_target() -> None:
    assert scope_of("roll", "web") == "pool:web"
    assert scope_of("no such job", "web") == ""


def test_scopes_are_read_as_people_write_them() -> None:
    assert parse_scopes(["pool:web, pair:*", "pool:web"]) == ("pool:web", "pair:*")
    assert parse_scopes([]) == ()


@pytest.mark.parametrize(
    "text", ["web", "pool:", "pool:a b", "host:web1", "pool:we*", "*", "pool:*x"]
)
def test_what_is_no_scope_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no scope"):
        parse_scopes([text])


def test_what_is_no_role_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(UsageError, match="did you mean 'operator'"):
        parse_role("operater")
