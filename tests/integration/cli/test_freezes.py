"""Jobs on the command line while something is frozen, and those that start later."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.kit.api import FLEET
from tests.kit.fixtures import stack
from tests.kit.stack import Stack, until
from worker.freezes import freeze

__all__ = ["stack"]


@pytest.fixture
def fleet(stack: Stack) -> str:
    path = Path(stack.directory / "fleet.yaml")
    path.write_text(FLEET)
    return str(path)


@pytest.mark.parametrize(
    "words", [["roll", "web"], ["drain", "web", "web1"], ["enable", "web", "web1"]], ids=" ".join
)
def test_no_job_starts_and_the_line_says_who_until_when_why_and_what_to_do(
    stack: Stack, fleet: str, words: list[str]
) -> None:
    store = stack.store
    freeze(store, "pool:*", store.now() + 3600, "the sale", "cli:alice")
    done = stack.winch("--fleet", fleet, *words)
    assert done.returncode == 3
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"error: {words[0]} web: pool:* is frozen by cli:alice until 20")
    assert "(the sale)" in done.stderr
    assert "`winch unfreeze pool:*`" in done.stderr
    assert "--override-freeze --reason TEXT (admin)" in done.stderr
    assert json.loads(stack.winch("runs", "--json").stdout) == []
    silent = stack.winch("--fleet", fleet, *words, "--override-freeze")
    assert silent.returncode == 5
    assert "--override-freeze takes --reason TEXT" in silent.stderr
    over = stack.winch(
        "--fleet", fleet, *words, "--override-freeze", "--reason", "INC-7", "--no-wait"
    )
    assert over.returncode == 0, over.stderr


def test_a_job_starts_at_its_time_by_the_steward_and_is_followed_to_its_end(
    stack: Stack, fleet: str
) -> None:
    stack.worker()
    done = stack.winch("--fleet", fleet, "enable", "web", "web1", "--at", "3s")
    assert done.returncode == 3, done.stdout + done.stderr  # no HAProxy here: its preflight says so
    run = json.loads(stack.winch("runs", "--json").stdout)[0]
    assert run["exit_code"] == 3
    assert "no such socket" in run["detail"]


def test_what_was_asked_for_later_is_listed_with_its_time_and_aborted(
    stack: Stack, fleet: str
) -> None:
    asked = stack.winch("--fleet", fleet, "roll", "web", "--at", "tomorrow 06:00", "--no-wait")
    assert asked.returncode == 0, asked.stderr
    run = asked.stdout.strip()
    assert "queued" in stack.winch("runs").stdout
    assert "starts at 20" in stack.winch("runs").stdout
    assert stack.winch("abort", run, "--yes").returncode == 0
    until(lambda: stack.document(int(run))["status"] == "aborted")


@pytest.mark.parametrize(
    ("at", "message"),
    [
        ("yesterday", "--at: 'yesterday' is no time"),
        ("2020-01-01", "--at: '2020-01-01' has passed"),
        ("window", "--at window: roll web has no windows in the fleet file (policy.windows)"),
    ],
)
def test_a_time_that_cannot_be_meant_is_one_line_and_exit_5(
    stack: Stack, fleet: str, at: str, message: str
) -> None:
    done = stack.winch("--fleet", fleet, "roll", "web", "--at", at)
    assert done.returncode == 5
    assert done.stderr.count("\n") == 1
    assert message in done.stderr
    assert json.loads(stack.winch("runs", "--json").stdout) == []
