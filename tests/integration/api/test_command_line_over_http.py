"""The command line with WINCH_URL and WINCH_TOKEN: the same words, another machine."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.integration.api.test_runs_over_http import planned
from tests.kit.api import Api
from tests.kit.plans import Work

__all__ = ["planned"]


class Elsewhere:
    """A machine that has nothing of Winch's: no database, no Redis, no fleet file."""

    def __init__(self, api: Api, directory: Path, token: str) -> None:
        self._api = api
        self._given = {
            "WINCH_URL": api.base,
            "WINCH_TOKEN": token,
            "WINCH_STATE_DIR": str(directory / "nothing"),
            "WINCH_REDIS_URL": "redis://127.0.0.1:1/0",
            "WINCH_DATABASE_URL": f"sqlite:///{directory}/nothing/winch.db",
        }

    def __call__(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        return self._api.stack.winch(*words, **{**self._given, **more})


@pytest.fixture
def elsewhere(api: Api, tmp_path: Path) -> Elsewhere:
    return Elsewhere(api, tmp_path, api.token("laptop", "admin"))


def test_a_run_is_asked_for_and_followed_from_elsewhere(
    api: Api, planned: dict[str, dict[str, Any]], elsewhere: Elsewhere, tmp_path: Path
) -> None:
    api.stack.worker()
    done = elsewhere("roll", "web", "--set", "version=2", "--reason", "CVE")
    assert done.returncode == 0, done.stderr
    (run,) = json.loads(elsewhere("runs", "--json").stdout)
    assert (run["requested_by"], run["vars"], run["reason"]) == (
        "http:laptop",
        {"version": "2"},
        "CVE",
    )
    assert "succeeded" in elsewhere("show", "1").stdout
    assert "grep" in elsewhere("logs", "1", "web1").stdout
    assert elsewhere("leases", "--json").stdout.strip() == "[]"
    assert "http:laptop" in elsewhere("audit").stdout
    assert elsewhere("watch", "1").returncode == 0
    assert not (tmp_path / "nothing").exists()


def test_a_run_is_steered_from_elsewhere(
    api: Api, planned: dict[str, dict[str, Any]], elsewhere: Elsewhere, work: Work
) -> None:
    api.stack.worker()
    work.flag("broken").touch()
    planned["web1.two"] = {"fails_while": str(work.flag("broken"))}
    assert elsewhere("roll", "web").returncode in (2, 8)
    work.flag("broken").unlink()
    assert elsewhere("retry", "1", "--yes").returncode == 0
    late = elsewhere("retry", "1")
    assert late.returncode == 1
    assert "nothing to retry" in late.stderr


def test_what_is_wrong_is_one_line_and_has_its_exit_code(
    api: Api, planned: dict[str, dict[str, Any]], elsewhere: Elsewhere
) -> None:
    for words, code, message in (
        (["show", "99"], 5, "there is no such run"),
        (["drain", "wbe", "web1"], 5, "did you mean 'web'"),
    ):
        said = elsewhere(*words)
        assert said.returncode == code, said.stderr
        assert message in said.stderr
    wrong = elsewhere("runs", WINCH_TOKEN=api.token("gone", "viewer")[:-1])
    assert wrong.returncode == 5
    assert wrong.stderr.startswith("error: WINCH_TOKEN: ")
    away = elsewhere("runs", WINCH_URL="http://127.0.0.1:1")
    assert away.returncode == 1
    assert "WINCH_URL http://127.0.0.1:1 does not answer" in away.stderr
    viewer = api.token("eve", "viewer")
    refused = elsewhere("roll", "web", WINCH_TOKEN=viewer)
    assert refused.returncode == 3
    assert "it takes operator" in refused.stderr
