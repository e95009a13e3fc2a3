"""`winch notify`, as an operator uses it; and the doctor."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.notify.receivers import Webhook, silence, webhook
from tests.kit.fixtures import stack
from tests.kit.stack import Stack

__all__ = ["stack"]


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with webhook() as made:
        yield made


def write(stack: Stack, **urls: str) -> Path:
    receivers = "".join(f"  {name}: {{url_env: URL_{name}, timeout: 1s}}\n" for name in urls)
    path = stack.directory / "notify.yaml"
    path.write_text(f"receivers:\n{receivers}routes:\n  - {{to: [{', '.join(urls)}]}}\n")
    stack.environment |= {f"URL_{name}": url for name, url in urls.items()}
    return path


def test_a_file_and_its_urls_are_checked_without_sending_anything(
    stack: Stack, hook: Webhook
) -> None:
    path = write(stack, hook=hook.url)
    good = stack.winch("notify", "check", "--file", str(path))
    assert good.returncode == 0, good.stderr
    assert good.stdout.startswith("hook: JSON; told failed, approval, rolled_back")
    assert hook.bodies == []
    stack.environment["URL_hook"] = "nonsense://hunter2"
    bad = stack.winch("notify", "check", "--json", WINCH_NOTIFY_FILE=str(path))
    assert bad.returncode == 5
    assert "receiver hook: Apprise does not know such a URL" in bad.stderr
    assert json.loads(bad.stdout)["receivers"][0]["service"] is None
    doctor = stack.winch("doctor", "--json", WINCH_NOTIFY_FILE=str(path))
    findings = {one["check"]: one for one in json.loads(doctor.stdout)["checks"]}
    assert "Apprise does not know such a URL" in findings["notifications"]["seen"]
    assert "hunter2" not in bad.stderr + bad.stdout + doctor.stdout


def test_a_test_message_says_whether_it_arrived(stack: Stack, hook: Webhook) -> None:
    with silence() as silent, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        refusing = f"json://hunter2@127.0.0.1:{closed.getsockname()[1]}"
        path = str(write(stack, hook=hook.url, silent=silent, refusing=refusing))
        assert stack.winch("notify", "test", "hook", "--file", path).returncode == 0
        assert hook.titles() == ["Winch: a test"]
        lost = stack.winch("notify", "test", "silent", "--file", path)
        assert lost.returncode == 1
        assert "perhaps it arrived" in lost.stderr
        refused = stack.winch("notify", "test", "refusing", "--file", path)
        assert refused.returncode == 1
        assert "hunter" not in lost.stderr + refused.stderr
    unknown = stack.winch("notify", "test", "hok", "--file", path)
    assert unknown.returncode == 5
    assert "did you mean 'hook'?" in unknown.stderr


def test_without_a_file_it_says_how_to_name_one(stack: Stack) -> None:
    done = stack.winch("notify", "check")
    assert done.returncode == 5
    assert done.stderr == "error: no notify file: set WINCH_NOTIFY_FILE, or name one with --file\n"
