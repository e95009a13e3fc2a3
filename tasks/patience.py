"""Look again soon, then less often, but not for long: longer waits belong to the engine."""

from __future__ import annotations

import time

INSIDE_SECONDS = 3.0  # a step polls for so long before it returns Wait
FIRST_PAUSE_SECONDS = 0.02
LONGEST_PAUSE_SECONDS = 0.25
GROWTH = 1.25


class Patience:
    """A few seconds of polling; the pauses grow from 20 ms to 250 ms.

    Slowly, because what is found on average half a pause late is time of every host.
    """

    def __init__(self, seconds: float = INSIDE_SECONDS) -> None:
        self._end = time.monotonic() + seconds
        self._pause = FIRST_PAUSE_SECONDS

    @property
    def over(self) -> bool:
        """Whether it is used up."""
        return time.monotonic() >= self._end

    def pause(self) -> None:
        """Sleep until the next look."""
        time.sleep(self._pause)
        self._pause = min(self._pause * GROWTH, LONGEST_PAUSE_SECONDS)
