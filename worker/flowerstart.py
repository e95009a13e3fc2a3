"""How Flower is started: where it listens, who may enter, where its history lies."""

from __future__ import annotations

import ipaddress
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from worker.embedded import prepare_state_dir
from worker.errors import UsageError
from worker.settings import Settings, settings

_RUN = re.compile(r"run (\d+), step \d+$")  # see `worker.app.publish`


@dataclass(frozen=True)
class FlowerOptions:
    """What `worker/flowerconfig.py` hands to Flower."""

    address: str
    port: int
    basic_auth: list[str]  # user:password
    db: str
    login: bool  # behind the board's login


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
    login = not users and here.flower_login == "winch"
    if not users and not login and not is_loopback(here.flower_address):
        raise UsageError(
            f"WINCH_FLOWER_ADDRESS: {here.flower_address or 'all addresses'} is reachable from"
            " other machines, so a login is needed: leave WINCH_FLOWER_LOGIN=none out, or use"
            " 127.0.0.1"
        )
    db = str(here.state_dir / "flower.db")
    return FlowerOptions(here.flower_address, here.flower_port, users, db, login)


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


def board_url(given: Settings | None = None) -> str:
    """Say where a browser on this machine finds the run board, unless that is set."""
    here = given or settings()
    host = f"[{here.web_address}]" if ":" in here.web_address else here.web_address
    return here.public_url or f"http://{host}:{here.web_port}"


def with_board(text: str | None) -> str | None:
    """Add to what Flower shows of a task where its run is on the board.

    >>> with_board("run 12, step 34")
    'run 12, step 34'
    """
    url = settings().public_url
    found = _RUN.match(text or "")
    if url is None or found is None:
        return text
    return f"{text} · {url.rstrip('/')}/runs/{found[1]}"
