"""The notify file: what is wrong is said with file, line and key, and no URL is ever repeated."""

from __future__ import annotations

import os
import textwrap
from pathlib import Path

import pytest

from chatops.notify.config import NotifyFile, Receiver, load_table, read_url
from worker.errors import UsageError

GOOD = """\
receivers:
  ops-mail: {url_file: ops-mail.url, timeout: 5s}
  team: {url_env: WINCH_NOTIFY_TEAM}
routes:
  - {to: [ops-mail]}
  - {to: [team], events: [failed, succeeded], scopes: [pool:web], jobs: [roll]}
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "notify.yaml"
    path.write_text(textwrap.dedent(text))
    return path


def test_a_file_names_receivers_and_routes(tmp_path: Path) -> None:
    table = load_table(write(tmp_path, GOOD))
    assert table.receivers["ops-mail"].timeout == 5.0
    assert table.routes[1].events == ["failed", "succeeded"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "receivers:\n  a: {url_env: A}\nroutes:\n  - {to: [b]}\n",
            ":4: routes[0].to[0]: there is no receiver 'b'; known: a",
        ),
        (
            "receivers:\n  a: {url_env: A}\nroutes:\n  - {to: [a], events: [faild]}\n",
            ":4: routes[0].events[0]: there is no event 'faild'; did you mean 'failed'?",
        ),
        (
            "receivers:\n  a: {url_env: A}\nroutes:\n  - {to: [a], jobs: [rol]}\n",
            ":4: routes[0].jobs[0]: there is no job 'rol'; did you mean 'roll'?",
        ),
        (
            "receivers:\n  a: {url_env: A}\nroutes:\n  - {to: [a], scopes: [web]}\n",
            ":4: routes[0].scopes[0]: 'web' is no scope",
        ),
        ("receivers:\n  a: {}\n", ":2: receivers.a: must have one of url_file and url_env"),
        (
            "receivers:\n  a: {url_env: A, url_file: b}\n",
            ":2: receivers.a: must have one of url_file and url_env",
        ),
        (
            "receivers:\n  a: {url_env: A, timeout: 2m}\n",
            ":2: receivers.a.timeout: must be at most 60s",
        ),
        ("recievers: {}\n", ":1: recievers: unknown key; did you mean 'receivers'?"),
        ("routes:\n  - {to: []}\n", ":2: routes[0].to: must hold at least 1, not 0"),
    ],
)
def test_what_cannot_be_meant_is_said_with_its_line(
    tmp_path: Path, text: str, expected: str
) -> None:
    with pytest.raises(UsageError) as error:
        load_table(write(tmp_path, text))
    assert expected in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        "receivers:\n  a: 'slack://T1/hunter2/x'\n",
        "receivers:\n  a: {url: 'slack://T1/hunter2/x'}\n",
        "receivers:\n  a: {url_env: 'slack://T1/hunter2/x'}\n",
        "receivers:\n  a: {url_env: hunter2-x}\n",
        "receivers:\n  a: {url_file: 'slack://T1/hunter2/x'}\n",
        "receivers:\n  - 'slack://T1/hunter2/x'\n",
    ],
)
def test_a_url_that_stands_in_the_file_is_refused_and_not_repeated(
    tmp_path: Path, text: str
) -> None:
    with pytest.raises(UsageError) as error:
        load_table(write(tmp_path, text))
    assert "hunter2" not in str(error.value)


def test_a_url_comes_from_the_environment_or_from_a_file_beside(tmp_path: Path) -> None:
    (tmp_path / "x.url").write_text("json://there/\n")
    (tmp_path / "x.url").chmod(0o600)
    assert read_url("x", Receiver(url_file="x.url"), tmp_path) == "json://there/"
    assert read_url("x", Receiver(url_env="X"), tmp_path, {"X": " json://there "}) == "json://there"


@pytest.mark.parametrize(
    ("content", "mode", "expected"),
    [
        ("json://hunter2/\n", 0o644, "has mode 0644 and holds a secret"),
        ("", 0o600, "must hold one Apprise URL"),
        ("json://hunter2/ json://b/\n", 0o600, "must hold one Apprise URL"),
        ("json://hunter2/" + "x" * 5000, 0o600, "must hold one Apprise URL"),
    ],
)
def test_a_file_that_is_open_to_others_or_holds_something_else_is_refused(
    tmp_path: Path, content: str, mode: int, expected: str
) -> None:
    path = tmp_path / "x.url"
    path.write_text(content)
    path.chmod(mode)
    with pytest.raises(UsageError, match=expected) as error:
        read_url("x", Receiver(url_file="x.url"), tmp_path)
    assert "hunter2" not in str(error.value)


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="receiver x: NOPE is not set"):
        read_url("x", Receiver(url_env="NOPE"), tmp_path, {})
    with pytest.raises(UsageError, match="No such file"):
        read_url("x", Receiver(url_file="nope"), tmp_path)


def test_a_change_is_taken_if_it_is_valid_and_else_the_last_valid_one_holds(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "notify.yaml"
    file = NotifyFile(path)
    assert file.current().receivers == {}
    assert "no such file" in caplog.text
    path.write_text(GOOD)
    assert set(file.current().receivers) == {"ops-mail", "team"}
    path.write_text("nonsense: 1\n")
    os.utime(path, ns=(1, 1))
    assert set(file.current().receivers) == {"ops-mail", "team"}
    assert "its last valid state holds" in caplog.text
