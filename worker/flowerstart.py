"""How Flower is started: where it listens, who may enter, where its history lies."""

from __future__ import annotations

import ipaddress
import sys
from dataclasses import dataclass
from pathlib import Path

from worker.embedded import prepare_state_dir
from worker.errors import UsageError
from worker.settings import Settings, settings


@dataclass(frozen=True)
class FlowerOptions:
    """What `worker/flowerconfig.py` hands to Flower."""

    address: str
    port: int
    basic_auth: list[str]  # user:password
    db: str


def is_loopback(address: str) -> bool:
    """Tell whether an address is reachable from this machine alone."""
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def read_basic_auth(path: Path) -> list[str]:
    """Read lines of `user:password`; empty lines and those that start with # are skipped.

    Raises:
        UsageError: the file cannot be read, is open to others, or holds something else.
    """
    try:
        mode = path.stat().st_mode
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"WINCH_FLOWER_BASIC_AUTH_FILE: {path} cannot be read: {error}") from None
    if mode & 0o007:
        raise UsageError(
            f"WINCH_FLOWER_BASIC_AUTH_FILE: {path} has mode {mode & 0o777:04o} and holds passwords;"
            f" run `chmod o= {path}`"
        )
    users = []
    for number, text in enumerate(lines, start=1):
        line = text.strip()
        if not line or line.startswith("#"):
            continue
        user, colon, password = line.partition(":")
        if not (user and colon and password):
            # The line is not shown: it may be a password.
            raise UsageError(
                f"WINCH_FLOWER_BASIC_AUTH_FILE: {path}:{number} is not of the form user:password"
            )
        users.append(line)
    if not users:
        raise UsageError(f"WINCH_FLOWER_BASIC_AUTH_FILE: {path} names no user")
    return users


def flower_options(given: Settings | None = None) -> FlowerOptions:
    """Gather Flower's options from the settings.

    Raises:
        UsageError: it would listen beyond this machine without a login. (Flower can revoke tasks
            and shut workers down.)
    """
    here = given or settings()
    path = here.flower_basic_auth_file
    users = [] if path is None else read_basic_auth(path)
    if not users and not is_loopback(here.flower_address):
        raise UsageError(
            f"WINCH_FLOWER_ADDRESS: {here.flower_address or 'all addresses'} is reachable from"
            " other machines, so a login is needed: set WINCH_FLOWER_BASIC_AUTH_FILE to a file of"
            " user:password lines, or use 127.0.0.1"
        )
    return FlowerOptions(
        here.flower_address, here.flower_port, users, str(here.state_dir / "flower.db")
    )


def flower_command(given: Settings | None = None) -> list[str]:
    """Say how Flower is run; passwords and the broker's URL do not stand in it.

    Raises:
        UsageError: its options are wrong (see `flower_options`): better now than in its log.
    """
    here = given or settings()
    flower_options(here)
    prepare_state_dir(here.state_dir)
    config = Path(__file__).with_name("flowerconfig.py")
    return [
        *(sys.executable, "-m", "celery", "--app", "worker.app:app"),
        *("flower", f"--conf={config}"),
    ]


def flower_url(given: Settings | None = None) -> str:
    """Say where a browser finds Flower."""
    here = given or settings()
    host = f"[{here.flower_address}]" if ":" in here.flower_address else here.flower_address
    return f"http://{host}:{here.flower_port}"
