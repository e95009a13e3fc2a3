"""One output stream of a framed command: its last part, its lines, its end."""

from __future__ import annotations

from collections.abc import Callable

LIMIT = 1 << 20  # bytes kept of each stream
_LONGEST_LINE = 1 << 16  # bytes; a longer line is passed on in pieces


class Output:
    """Collects bytes up to `MARK end CODE\\n`. What comes after that is not the command's."""

    def __init__(self, mark: str, on_line: Callable[[str], None] | None = None) -> None:
        self._end = f"{mark} end ".encode()
        self._on_line = on_line
        self._data = bytearray()
        self._line = 0  # where the line begins that has not been passed on
        self._searched = 0
        self.dropped = 0  # bytes that came before those that were kept
        self.ended = False
        self.exit_code = -1

    def feed(self, data: bytes) -> None:
        """Take what came."""
        if self.ended or not data:
            return
        self._data += data
        at = self._data.find(self._end, self._searched)
        if at >= 0:
            self._searched = at
            newline = self._data.find(b"\n", at)
            if newline < 0:
                self._lines(at)
                return
            self.exit_code = int(self._data[at + len(self._end) : newline])
            del self._data[at:]
            self.ended = True
        else:
            self._searched = max(0, len(self._data) - len(self._end) + 1)
        self._lines(len(self._data))
        if self.ended or len(self._data) > 2 * LIMIT:
            self._trim()

    def text(self) -> str:
        """Return what was kept, with a first line that says how much is missing."""
        text = self._data.decode("utf-8", "replace")
        return f"[{self.dropped} bytes before this were dropped]\n{text}" if self.dropped else text

    def _lines(self, end: int) -> None:
        """Pass on the complete lines before `end`; at the end of all, the incomplete one too.

        The mark has no newline before its own, so a complete line is never part of it; of a very
        long incomplete one, only what was searched for the mark is passed on.
        """
        if self._on_line is None:
            return
        while self._line < end:
            newline = self._data.find(b"\n", self._line, end)
            stop = newline if newline >= 0 else end if self.ended else min(end, self._searched)
            if newline < 0 and not self.ended and stop - self._line < _LONGEST_LINE:
                return
            text = self._data[self._line : stop].decode("utf-8", "replace")
            self._line = stop + 1 if newline >= 0 else stop
            self._on_line(text.rstrip("\r"))

    def _trim(self) -> None:
        surplus = len(self._data) - LIMIT
        if surplus <= 0:
            return
        del self._data[:surplus]
        self.dropped += surplus
        self._line = max(0, self._line - surplus)
        self._searched = max(0, self._searched - surplus)
