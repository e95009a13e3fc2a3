"""A client that asks at an address again and again, each time on a new connection."""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

_REQUEST = b"GET / HTTP/1.0\r\nHost: lab\r\n\r\n"


@dataclass(frozen=True)
class Seen:
    """What the client saw. `longest`: seconds from one whole answer's end to the next one's.

    `cut`: connections that were open in the moment of a failover; any failover breaks those, by a
    reset or by silence. `lost`: requests for which no connection came about: nobody was there.
    """

    answers: int
    lost: int
    cut: int
    longest: float
    errors: tuple[str, ...]


class Gap:
    """Asks every `pause` seconds; a context manager. A request may take `timeout` seconds."""

    def __init__(self, ip: str, *, port: int = 80, pause: float = 0.01, timeout: float = 0.2):
        """Describe it; entering it begins."""
        self._at = (ip, port)
        self._pause = pause
        self._timeout = timeout
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._answered: list[float] = []
        self._errors: list[str] = []
        self._cut = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)

    @property
    def unnoticed(self) -> bool:
        """Nobody would call this an outage.

        One request may be lost where the machine is busy: a first packet that was on its way to
        the old holder is sent again only after a second.
        """
        return self.seen.lost <= 1 and self.seen.longest < 0.5

    @property
    def seen(self) -> Seen:
        """What it has seen so far."""
        times = list(self._answered)
        gaps = [later - earlier for earlier, later in pairwise(times)]
        errors = tuple(self._errors)
        lost = len(errors) - self._cut
        return Seen(len(times), lost, self._cut, max(gaps, default=0.0), errors[:5])

    def _work(self) -> None:
        begun = time.monotonic()
        while not self._stop.wait(self._pause):
            try:
                self._ask()
                self._answered.append(time.monotonic())
            except OSError as error:
                self._errors.append(f"{time.monotonic() - begun:.2f} {error!r}")

    def _ask(self) -> None:
        with socket.create_connection(self._at, self._timeout) as connection:
            try:
                answer = self._talk(connection)
            except OSError:
                self._cut += 1
                raise
        if not answer.startswith((b"HTTP/1.1 200", b"HTTP/1.0 200")):
            raise OSError(f"no 200: {answer[:40]!r}")

    def _talk(self, connection: socket.socket) -> bytes:
        connection.settimeout(self._timeout)
        connection.sendall(_REQUEST)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
        return answer
