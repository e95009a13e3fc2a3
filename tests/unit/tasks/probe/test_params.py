from __future__ import annotations

import pytest
from pydantic import ValidationError

from tasks.probe.params import Check, CommandProbe, Http, Tcp


@pytest.mark.parametrize(
    "url",
    [
        *("", "192.0.2.1", "ftp://192.0.2.1/", "http://", "http:///path", "file:///etc/passwd"),
        *("http://192.0.2.1/a b", "http://192.0.2.1/\n", "http://192.0.2.1:99999/"),
        *("http://user:secret@192.0.2.1/", "http://[::1/", "-o/etc/passwd"),
    ],
)
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        Http(url=url)


@pytest.mark.parametrize(
    "url", ["http://192.0.2.1/", "https://[2001:db8::1]:8443/health?full=1", "http://app.example"]
)
def test_usual_urls_pass(url: str) -> None:
    assert Http(url=url).url == url


@pytest.mark.parametrize("headers", [{"a b": "x"}, {"": "x"}, {"A": "x\r\nB: y"}, {"A:": "x"}])
def test_a_header_cannot_bring_another_one(headers: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        Http(url="http://192.0.2.1/", headers=headers)


@pytest.mark.parametrize("address", ["", "-x", "a b", "a;b", "$(a)", "a\n"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ValidationError):
        Tcp(port=80, address=address)


def test_a_body_cannot_be_searched_without_one() -> None:
    with pytest.raises(ValidationError, match="use method GET"):
        Http(url="http://192.0.2.1/", method="HEAD", contains="x")


def test_more_successes_than_attempts_cannot_be_asked_for() -> None:
    with pytest.raises(ValidationError, match="3 consecutive successes"):
        Tcp(port=80, attempts=2, consecutive=3)


def test_exactly_one_probe_makes_a_check() -> None:
    with pytest.raises(ValidationError, match="exactly one of http, tcp, command"):
        Check()
    with pytest.raises(ValidationError, match="got tcp, command"):
        Check(tcp=Tcp(port=80), command=CommandProbe(run="true"))
    assert Check(tcp=Tcp(port=80)).probe == Tcp(port=80)
