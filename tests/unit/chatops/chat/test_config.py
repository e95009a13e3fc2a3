"""Secrets come from files or the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from chatops.chat.config import (
    matrix_config,
    mattermost_config,
    read_secret,
    slack_config,
)
from worker.errors import UsageError


def test_a_secret_is_read_from_the_environment_or_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("s3cret\n")
    assert read_secret("X", {"X": "plain"}) == "plain"
    assert read_secret("X", {"X_FILE": str(file)}) == "s3cret"
    assert read_secret("X", {}) is None
    with pytest.raises(UsageError, match="both set"):
        read_secret("X", {"X": "a", "X_FILE": str(file)})
    with pytest.raises(UsageError, match="No such file"):
        read_secret("X", {"X_FILE": str(tmp_path / "none")})
    file.write_text("\n")
    with pytest.raises(UsageError, match="is empty"):
        read_secret("X", {"X_FILE": str(file)})


def test_a_network_that_is_not_configured_is_off() -> None:
    assert slack_config({}) is None
    assert mattermost_config({}) is None


@pytest.mark.parametrize(
    "environment",
    [
        {"WINCH_SLACK_SIGNING_SECRET": "s"},
        {"WINCH_SLACK_BOT_TOKEN": "b"},
        {"WINCH_SLACK_BOT_TOKEN": "b", "WINCH_SLACK_APP_TOKEN": "a", "WINCH_SLACK_API_URL": "x"},
    ],
)
def test_half_of_slack_is_a_mistake(environment: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="WINCH_SLACK"):
        slack_config(environment)


def test_half_of_mattermost_or_matrix_is_a_mistake() -> None:
    with pytest.raises(UsageError, match="BOT_TOKEN is missing"):
        mattermost_config({"WINCH_MATTERMOST_URL": "https://m"})
    with pytest.raises(UsageError, match="HOMESERVER"):
        matrix_config({})
    base = {"WINCH_MATRIX_HOMESERVER": "https://m", "WINCH_MATRIX_USER": "@w:m"}
    with pytest.raises(UsageError, match="set one of"):
        matrix_config(base)
    assert matrix_config(base | {"WINCH_MATRIX_PASSWORD": "p"}).password == "p"  # noqa: S105
