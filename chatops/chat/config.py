"""What the chat networks need to be told, from the environment; secrets also from files.

`WINCH_SLACK_SIGNING_SECRET` holds a secret itself, `WINCH_SLACK_SIGNING_SECRET_FILE` names the
file that does (which a supervisor hands over better). A network without its secrets is off.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from worker.errors import UsageError

_LONGEST = 4096  # characters of a secret


@dataclass(frozen=True)
class SlackConfig:
    """`signing_secret`: for requests over HTTP; `app_token`: for Socket Mode."""

    bot_token: str
    signing_secret: str | None = None
    app_token: str | None = None
    api_url: str = "https://slack.com/api/"


@dataclass(frozen=True)
class MattermostConfig:
    """`tokens`: of the slash commands; `callback_url`: where Mattermost sends its buttons."""

    url: str
    bot_token: str
    tokens: tuple[str, ...]
    callback_url: str | None = None


@dataclass(frozen=True)
class MatrixConfig:
    """Either a password or an access token."""

    homeserver: str
    user: str
    password: str | None = None
    access_token: str | None = None


def read_secret(name: str, environment: Mapping[str, str] | None = None) -> str | None:
    """Read a secret from `NAME`, or from the file that `NAME_FILE` names; None: neither is set.

    Raises:
        UsageError: both are set, or the file cannot be read or is empty.
    """
    known = os.environ if environment is None else environment
    plain, file = known.get(name) or None, known.get(f"{name}_FILE") or None
    if plain and file:
        raise UsageError(f"{name} and {name}_FILE are both set; one of them, please")
    if file is None:
        return plain
    try:
        text = Path(file).expanduser().read_text(encoding="utf-8")[:_LONGEST].strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "is no text"
        raise UsageError(f"{name}_FILE: {file}: {why}") from None
    if not text:
        raise UsageError(f"{name}_FILE: {file}: is empty")
    return text


def slack_config(environment: Mapping[str, str] | None = None) -> SlackConfig | None:
    """Read what Slack needs; None: it is not wanted.

    Raises:
        UsageError: a part of it is missing.
    """
    known = os.environ if environment is None else environment
    bot = read_secret("WINCH_SLACK_BOT_TOKEN", known)
    signing = read_secret("WINCH_SLACK_SIGNING_SECRET", known)
    app = read_secret("WINCH_SLACK_APP_TOKEN", known)
    if bot is None and signing is None and app is None:
        return None
    if bot is None:
        raise UsageError("WINCH_SLACK_BOT_TOKEN is missing: Slack is not to be written to without")
    if signing is None and app is None:
        raise UsageError(
            "WINCH_SLACK_SIGNING_SECRET (for requests over HTTP) or WINCH_SLACK_APP_TOKEN (for "
            "Socket Mode) is missing"
        )
    url = _url("WINCH_SLACK_API_URL", known) or SlackConfig.api_url
    return SlackConfig(bot, signing, app, url if url.endswith("/") else f"{url}/")


def mattermost_config(environment: Mapping[str, str] | None = None) -> MattermostConfig | None:
    """Read what Mattermost needs; None: it is not wanted.

    Raises:
        UsageError: a part of it is missing.
    """
    known = os.environ if environment is None else environment
    url = _url("WINCH_MATTERMOST_URL", known)
    bot = read_secret("WINCH_MATTERMOST_BOT_TOKEN", known)
    tokens = read_secret("WINCH_MATTERMOST_TOKEN", known)
    if url is None and bot is None and tokens is None:
        return None
    for name, value in (
        ("URL (https://…)", url),
        ("BOT_TOKEN", bot),
        ("TOKEN (of the slash command)", tokens),
    ):
        if value is None:
            raise UsageError(f"WINCH_MATTERMOST_{name} is missing")
    several = tuple((tokens or "").replace(",", " ").split())
    callback = _url("WINCH_MATTERMOST_CALLBACK_URL", known)
    return MattermostConfig((url or "").rstrip("/"), bot or "", several, callback)


def matrix_config(environment: Mapping[str, str] | None = None) -> MatrixConfig:
    """Read what Matrix needs.

    Raises:
        UsageError: a part of it is missing.
    """
    known = os.environ if environment is None else environment
    server = _url("WINCH_MATRIX_HOMESERVER", known)
    user = known.get("WINCH_MATRIX_USER") or None
    password = read_secret("WINCH_MATRIX_PASSWORD", known)
    token = read_secret("WINCH_MATRIX_ACCESS_TOKEN", known)
    if server is None or user is None:
        raise UsageError(
            "WINCH_MATRIX_HOMESERVER (https://…) and WINCH_MATRIX_USER (@winch:example.org) must "
            "be set"
        )
    if (password is None) == (token is None):
        raise UsageError("set one of WINCH_MATRIX_PASSWORD_FILE and WINCH_MATRIX_ACCESS_TOKEN_FILE")
    return MatrixConfig(server.rstrip("/"), user, password, token)


def _url(name: str, known: Mapping[str, str]) -> str | None:
    text = known.get(name) or None
    if text is not None and not text.startswith(("https://", "http://")):
        raise UsageError(f"{name}: {text[:80]!r} is no URL: https://…")
    return text
