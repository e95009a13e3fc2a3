"""A step's memory, one page a try.

What a step remembers can only be added to: the first value of a key stays. A try that was undone
is therefore closed, and the next one writes on a new page; so a retry hours later observes afresh
instead of believing what stood there before someone mended the host.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from worker.step import Context


def _page(memory: Mapping[str, Any]) -> int:
    page = 0
    while f"closed.{page}" in memory:
        page += 1
    return page


class Journal:
    """What the present try of this step has written down."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.page = _page(context.memory)

    def get(self, key: str) -> Any:
        """What was written under `key` in this try; None if nothing."""
        return self.context.memory.get(f"{key}.{self.page}")

    def put(self, **facts: Any) -> None:
        """Write facts down, durably, before acting on them."""
        self.context.remember(**{f"{key}.{self.page}": value for key, value in facts.items()})

    def close(self) -> None:
        """End this try: what it did has been undone, or is out of date."""
        self.put(closed=True)
        self.page += 1

    def elapsed(self) -> float:
        """Seconds since this try began, waits and crashes included."""
        if self.get("began") is None:
            self.put(began=self.context.elapsed())
        began: float = self.get("began")
        return self.context.elapsed() - began


def last_page(memory: Mapping[str, Any], key: str) -> Any:
    """What the last try of another step wrote under `key`; None if it was undone or never was."""
    return memory.get(f"{key}.{_page(memory)}")
