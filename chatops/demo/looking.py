"""Whether something answers, and waiting until it does."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Callable
from contextlib import suppress

from worker.errors import WinchError

START_SECONDS = 15.0


def wait_for(what: str, condition: Callable[[], bool], seconds: float = START_SECONDS) -> None:
    """Wait until a condition holds.

    Raises:
        WinchError: it did not in time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise WinchError(f"demo: {what} within {seconds:.0f} s: it did not come")
        time.sleep(0.05)


def free_port(*addresses: str) -> int:
    """Find a port that is free on all of these addresses."""
    while True:
        with socket.socket() as first:
            first.bind((addresses[0], 0))
            port = int(first.getsockname()[1])
            if all(can_bind(address, port) for address in addresses[1:]):
                return port


def can_bind(address: str, port: int) -> bool:
    """Tell whether nobody listens there."""
    with socket.socket() as probe:
        # As the daemons do: connections of an earlier demo in TIME_WAIT are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True


def connects(address: str, port: int) -> bool:
    """Tell whether somebody listens there."""
    with suppress(OSError), socket.create_connection((address, port), timeout=1):
        return True
    return False


def get(address: str, port: int) -> tuple[int, str]:
    """Ask for `/`. Returns status and text, (0, "") when there was no answer."""
    connection = http.client.HTTPConnection(address, port, timeout=2)
    try:
        connection.request("GET", "/", headers={"Connection": "close"})
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace").strip()
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()
