"""Where a demo lies, and what of it would be left elsewhere."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

from chatops.demo.configs import BALANCERS, SERVERS, Layout
from chatops.demo.identity import PRIVSEP_DIRECTORY, Identity
from chatops.demo.looking import free_port
from worker.guard import file_name

SOCKET_NAME_ROOM = 70  # bytes that a directory may have, so that a unix socket fits below it
PLAIN_PATH = re.compile(r"[A-Za-z0-9/_.-]+")


def make_directory() -> Path:
    """Make the demo's own directory: short, and with no character that a configuration minds."""
    directory = Path(tempfile.mkdtemp(prefix="winch-demo-"))
    if len(str(directory)) > SOCKET_NAME_ROOM or not PLAIN_PATH.fullmatch(str(directory)):
        directory.rmdir()
        directory = Path(tempfile.mkdtemp(prefix="winch-demo-", dir="/tmp"))
    return directory


def make_layout(directory: Path, identity: Identity) -> Layout:
    """Choose ports that are free on every address."""
    return Layout(
        directory=directory,
        user=identity.user,
        group=identity.group,
        is_root=identity.is_root,
        ssh_port=free_port(*SERVERS.values(), *BALANCERS.values()),
        web_port=free_port(*SERVERS.values()),
        balancer_port=free_port(*BALANCERS.values()),
    )


def winch_environment(layout: Layout, flower_port: int) -> dict[str, str]:
    """Say what the demo's Winch is told: its own state and fleet, and nothing of the user's."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("WINCH_")}
    return kept | {
        "WINCH_STATE_DIR": str(layout.state),
        "WINCH_FLEET": str(layout.fleet),
        "WINCH_FLOWER_PORT": str(flower_port),
        "WINCH_FLOWER_LOGIN": "none",  # on loopback, and gone in minutes
        "WINCH_WEB_PORT": str(free_port("127.0.0.1")),
    }


def leftovers() -> list[Path]:
    """List what a demo makes outside its directory and has to remove: files, then directories.

    A roll leaves lease files on its hosts, which are this machine here; sshd wants a directory.
    What is there already is not the demo's, and not in the list.
    """
    uid = os.geteuid()
    guard = Path("/run/winch") if uid == 0 else Path(f"/tmp/winch-{uid}")  # noqa: S108
    leases = [f"{kind}:{name}" for name in SERVERS | BALANCERS for kind in ("host", "balancer")]
    paths = [guard / f"{file_name(lease)}.lease" for lease in leases]
    paths += [guard, PRIVSEP_DIRECTORY] if uid == 0 else [guard]
    return [path for path in paths if not path.exists()]
