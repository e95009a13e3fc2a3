"""Wait for a condition with a deadline; nothing in the lab sleeps for a fixed time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(
    condition: Callable[[], T], what: str, *, timeout: float = 10.0, interval: float = 0.01
) -> T:
    """Return the condition's first true value; poll every `interval` seconds.

    Raises:
        TimeoutError: it was not true within `timeout` seconds; says `what`, and what was seen.
    """
    deadline = time.monotonic() + timeout
    while True:
        seen = condition()
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {timeout:g} s, last seen: {seen!r}")
        time.sleep(interval)
