"""A receiver by Apprise: which URLs it takes, what a failure means, and that it tells no secret."""

from __future__ import annotations

import logging
import socket

import pytest

from chatops.notify.receiver import AppriseReceiver, verdict
from worker.errors import UsageError

UUID = "643e69f8-3c89-4443-8d68-119179a10a64"
URLS = {
    "Slack": "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/",
    "Power Automate / Workflows (for MSTeams)": (
        f"workflows://prod-01.westus.logic.azure.com:443/{UUID.replace('-', '')}/KODuebbbGYFGS/"
    ),
    "DingTalk": f"dingtalk://{'a' * 64}",
    "Feishu": f"feishu://{'b' * 32}",
    "WeCom Bot": f"wecombot://{UUID}",
    "Telegram": "tgram://123456789:alphanumeric-token_abcdefghijklmnop_abc/12315544/",
    "E-Mail": "mailtos://user:password@mail.example.org?to=ops@example.org",
    "JSON": "jsons://hooks.example.org/winch",
    "Mattermost": "mmosts://chat.example.org/3ccdd113474722377935511fc85d3dd4",
}


@pytest.mark.parametrize(("service", "url"), URLS.items())
def test_the_usual_services_are_accepted(service: str, url: str) -> None:
    receiver = AppriseReceiver("x", url, 5.0)
    assert receiver.service == service
    assert receiver.repeatable


def test_a_url_that_leads_to_several_is_never_tried_twice() -> None:
    url = "mailtos://user:password@mail.example.org?to=a@example.org,b@example.org"
    assert not AppriseReceiver("x", url, 5.0).repeatable


@pytest.mark.parametrize("url", ["nope://hunter2", "slack://hunter2", "hunter2", "json://"])
def test_what_apprise_does_not_know_is_refused_without_a_word_of_it(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(UsageError, match="receiver ops") as error:
        AppriseReceiver("ops", url, 5.0)
    assert "hunter2" not in str(error.value) + caplog.text


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (["Failed to send JSON POST notification: Too Many Requests, error=429."], "again"),
        (["Failed to send JSON POST notification: error=503."], "again"),
        (["Failed to send JSON POST notification: Not Found, error=404."], "failed"),
        (["Failed to send JSON POST notification: Internal Server Error, error=500."], "unknown"),
        (["Failed to send JSON POST notification: Bad Gateway, error=502."], "unknown"),
        (["A Connection error", "Socket Exception: NewConnectionError(… refused)"], "again"),
        (["A Connection error", "Socket Exception: ConnectTimeout(…)"], "again"),
        (["A Connection error", "Socket Exception: NameResolutionError(…)"], "again"),
        (["A Connection error", "Socket Exception: … Read timed out. (read timeout=1)"], "unknown"),
        (["A Connection error", "Socket Exception: ('Connection aborted.', …)"], "unknown"),
        (["Connection error", "Socket Exception: (451, b'4.3.0 later')"], "again"),
        (["Connection error", "Socket Exception: {'a@b': (550, b'no such user')}"], "failed"),
        (["Connection error", "Socket Exception: timed out"], "unknown"),
        ([], "unknown"),
    ],
)
def test_it_is_tried_again_only_if_it_is_certain_that_nobody_was_told(
    said: list[str], expected: str
) -> None:
    assert verdict(said) == expected


@pytest.mark.parametrize(
    "url",
    [
        "json://hunter2:hunter3@127.0.0.1:{port}/hunter4/?-key=hunter5&+X-Token=hunter6",
        "mailto://hunter2:hunter3@example.org?smtp=127.0.0.1&port={port}&to=hunter4@example.org",
    ],
)
def test_no_part_of_the_url_is_in_what_is_kept_or_logged(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        receiver = AppriseReceiver("x", url.format(port=closed.getsockname()[1]), 2.0)
        done = receiver.send("title", "body")
    assert done.result == "again"
    assert done.detail
    apprise = [record for record in caplog.records if record.name.startswith("apprise")]
    assert apprise == []
    assert "hunter" not in done.detail
    assert "hunter" not in caplog.text
