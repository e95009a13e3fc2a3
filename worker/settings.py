"""Settings of every process: environment variables `WINCH_…`, with defaults for one machine."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from worker.errors import UsageError


def _default_state_dir() -> Path:
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "winch"


class Settings(BaseSettings):
    """What a process of Winch can be told from outside."""

    model_config = SettingsConfigDict(env_prefix="WINCH_", extra="ignore")

    state_dir: Path = Field(default_factory=_default_state_dir)
    redis_url: str | None = None  # None: the embedded Redis of `winch up`, in the state directory
    database_url: str | None = None  # None: an SQLite file in the state directory
    fleet: Path = Path("fleet.yaml")
    log_format: Literal["text", "json"] = "text"
    concurrency: int = Field(default=16, ge=1, le=256)  # threads of a worker
    flower_address: str = "127.0.0.1"
    flower_port: int = Field(default=5555, ge=1, le=65535)
    flower_login: Literal["winch", "none"] = "winch"  # the board's; none: on loopback only
    flower_basic_auth_file: Path | None = None  # lines of user:password, instead
    flower_url: str | None = None  # where browsers find Flower; None: the run board has no links
    web_address: str = "127.0.0.1"
    web_port: int = Field(default=8080, ge=1, le=65535)
    url: str | None = None  # of a Winch elsewhere: the command line talks to its HTTP API
    token: SecretStr | None = None  # for it
    access: Path | None = None  # who may do what: people, and policies of approval
    notify_file: Path | None = None  # who is told of what; None: nobody
    public_url: str | None = None  # where browsers find the run board, for links to it
    rate_limit: float = Field(default=20.0, gt=0, le=100_000)  # requests a second of one token

    @property
    def embedded_redis_socket(self) -> Path:
        """Where `winch up` puts its own Redis; in a directory that only its owner may enter."""
        return self.state_dir / "redis.sock"

    @property
    def broker_url(self) -> str:
        """The Redis of messages and leases."""
        return self.redis_url or f"redis+socket://{self.embedded_redis_socket}"

    @property
    def sql_url(self) -> str:
        """The database, as SQLAlchemy wants it; psycopg is the PostgreSQL driver."""
        url = self.database_url or f"sqlite:///{self.state_dir / 'winch.db'}"
        for plain in ("postgresql://", "postgres://"):
            if url.startswith(plain):
                return "postgresql+psycopg://" + url.removeprefix(plain)
        return url


@cache
def settings() -> Settings:
    """Read the environment once.

    Raises:
        UsageError: a variable has no valid value; the message names it.
    """
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = "WINCH_" + "_".join(str(part) for part in first["loc"]).upper()
        raise UsageError(f"{name}: {first['msg']} (it is {first['input']!r})") from None
