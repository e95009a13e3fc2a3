"""What is written in chat rooms."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatops.chat.grammar import parse
from chatops.chat.requests import Ask, Freeze, Mistake, Start, Status, Steer
from chatops.orders import Override
from worker.errors import UsageError


@pytest.mark.parametrize(
    ("text", "request_"),
    [
        ("", Ask("help")),
        ("help", Ask("help")),
        ("?", Ask("help")),
        ("leases", Ask("leases")),
        ("status", Status(None)),
        ("runs", Status(None)),
        ("status 12", Status(12)),
        ("/winch status #12", Status(12)),
        ("STATUS 12", Status(12)),
        ("retry 12", Steer("retry", 12)),
        ("retry 12 web1 web2 web1", Steer("retry", 12, ("web1", "web2"))),
        ("skip 12 web1", Steer("skip", 12, ("web1",))),
        ("approve 12", Steer("approve", 12)),
        ("freeze", Freeze()),
        ("freeze pool:web until=18:00 reason=sale", Freeze("pool:web", "18:00", "sale")),
        ("unfreeze pool:web", Freeze("pool:web", lift=True)),
        (
            'retry 12 web1 override-freeze reason="INC-7"',
            Steer("retry", 12, ("web1",), Override(True, "INC-7")),
        ),
        ("approve 12 --override_freeze reason=x", Steer("approve", 12, (), Override(True, "x"))),
    ],
)
def test_commands(text: str, request_: object) -> None:
    assert parse(text) == request_


def test_a_job_takes_hosts_options_variables_and_a_reason() -> None:
    asked = parse(
        'roll web web2 version=1.26 limit=web1 max-unavailable=25% reason="a CVE" stages=1,50%'
    )
    assert isinstance(asked, Start)
    order = asked.order
    assert (order.job, order.target, order.hosts) == ("roll", "web", ("web2",))
    assert order.options.limit == ("web1",)
    assert order.options.vars == {"version": "1.26"}
    assert order.options.max_unavailable == "25%"
    assert order.options.stages == ("1", "50%")
    assert order.reason == "a CVE"


def test_a_job_takes_a_time_and_an_override() -> None:
    asked = parse('roll web cat=1 at="tomorrow 06:00" override-freeze reason=INC-7')
    assert isinstance(asked, Start)
    order = asked.order
    assert (order.at, order.override_freeze, order.reason) == ("tomorrow 06:00", True, "INC-7")
    assert order.options.vars == {"cat": "1"}
    assert order.hosts == ()


@pytest.mark.parametrize(
    "text",
    ["retry 12 override-freeze", "retry 12 reason=x", "retry 12 version=1", "abort 12 reason=x",
     "pause 12 override-freeze", "retry 12 override-freeze=maybe reason=x"],
)  # fmt: skip
def test_what_overrides_nothing_is_a_mistake(text: str) -> None:
    with pytest.raises(UsageError):
        parse(text)


def test_the_quotes_of_telephones_are_quotes() -> None:
    asked = parse("roll web reason=\u201ca CVE\u201d")
    assert isinstance(asked, Start)
    assert asked.order.reason == "a CVE"


def test_an_nginx_upgrade_takes_a_package() -> None:
    asked = parse("nginx upgrade edge-nginx package=1.26.3")
    assert isinstance(asked, Start)
    assert (asked.order.job, asked.order.target) == ("nginx.upgrade", "edge-nginx")
    assert asked.order.options.nginx.package == "1.26.3"


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("rol web version=2", "did you mean `/winch roll web version=2`?"),
        ("web roll version=1", "did you mean `/winch roll web version=1`?"),
        ("12 retry", "did you mean `/winch retry 12`?"),
        ("aprove 12", "did you mean `/winch approve 12`?"),
        ("stop 12", "did you mean `/winch abort 12`?"),
        ("ngnix upgrade edge", "did you mean `/winch nginx upgrade edge`?"),
        ("nginx upgrad edge package=1", "did you mean `/winch nginx upgrade edge package=1`?"),
        ("nginx", "nginx takes one of upgrade, rollback"),
        ("upgrade edge", "`/winch nginx upgrade GROUP package=VERSION`"),
        ("rol", "did you mean `/winch roll POOL [version=…] [limit=HOST,…]`?"),
        ("roll", "`/winch roll POOL [version=…] [limit=HOST,…]`"),
        ("retry", "retry which run? `/winch retry RUN [HOST…]`"),
        ("retry web1", "'web1' is no run's number: `/winch retry RUN [HOST…]`"),
        ("skip 12", "`/winch skip 12 HOST`"),
        ("pause 12 web1", "`/winch pause 12`"),
        ("roll web limt=web1", "did you mean `limit=web1`?"),
        ("roll web --limit web1", "write key=value"),
        ("roll web limit=a limit=b", "twice"),
        ("roll web 'a", "a quote is not closed"),
        ("frobnicate", "`/winch help` lists what there is"),
        ("roll web max_unavailable=0", "max_unavailable: must be at least 1, not 0"),
        ("roll web name=x", "each host's own"),
        ("roll web a-b=x", "no name of a variable"),
        ("nginx upgrade edge package=1;2", "package='1;2': must be a version"),
        ("roll web version=a\nb", "one line, please"),
        ("roll web version=a\x1bb", "one line, please"),
        ("status 99999999999999999999", "no run's number"),
        ("x" * 3000, "at most 2000"),
    ],
)
def test_a_mistake_gets_the_nearest_right_command(text: str, meant: str) -> None:
    with pytest.raises(Mistake) as caught:
        parse(text)
    assert meant in str(caught.value)


def test_suggestions_are_written_as_they_are_in_that_network() -> None:
    with pytest.raises(Mistake, match="`!winch roll web`"):
        parse("!winch rol web", lead="!winch")


def understood(text: str) -> bool:
    try:
        parse(text)
    except Mistake as mistake:
        return "\n" not in str(mistake)
    return True


@given(st.text(max_size=200))
def test_whatever_is_written_it_is_a_request_or_a_mistake(text: str) -> None:
    assert understood(text)


WORDS = ["roll", "nginx", "upgrade", "retry", "12", "web", "limit=", "=", "'", '"', "--", "-x"]


@given(st.lists(st.sampled_from(WORDS)))
def test_words_in_any_order_are_a_request_or_a_mistake(words: list[str]) -> None:
    assert understood(" ".join(words))
