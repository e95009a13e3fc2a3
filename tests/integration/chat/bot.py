"""`winch chat matrix`, as a process."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from tests.integration.chat.homeserver import Homeserver
from tests.kit.stack import until

BOT = "@winch:chat.test"
ACCESS = """
people:
  alice: {role: operator, identities: ["matrix:@alice:chat.test"]}
  bob: {role: operator, identities: ["matrix:@bob:chat.test"]}
  vera: {role: viewer, identities: ["matrix:@vera:chat.test"]}
approvals:
  - {jobs: [roll], why: rolls are looked at by two}
"""


class Place(Protocol):
    """Where Winch is: a directory, and what its processes are told."""

    directory: Path
    environment: dict[str, str]


@contextmanager
def listening(machine: Place, server: Homeserver) -> Iterator[Path]:
    """Run `winch chat matrix`, until the end of the block. Yields its log."""
    access = machine.directory / "matrix-access.yaml"
    access.write_text(ACCESS)
    password = machine.directory / "password"
    password.write_text("the password of winch\n")
    log = machine.directory / f"matrix-{time.monotonic_ns()}.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "chatops.cli", "chat", "matrix"],
            env=machine.environment
            | {
                "WINCH_ACCESS": str(access),
                "WINCH_MATRIX_HOMESERVER": server.url,
                "WINCH_MATRIX_USER": BOT,
                "WINCH_MATRIX_PASSWORD_FILE": str(password),
            },
            stdout=file,
            stderr=file,
        )
    try:
        until(
            lambda: "is logged in" in log.read_text() or process.poll() is not None,
            seconds=60,
            what="winch chat matrix",
        )
        assert process.poll() is None, log.read_text()
        yield log
        process.terminate()
        assert process.wait(30) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()
