"""A client that asks at an address again and again, each time on a new connection.

It behaves as clients do: a first packet that nobody answers is sent again by its kernel (after one
second, two, four), and it does not wait for one answer before it asks for the next.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

_REQUEST = b"GET / HTTP/1.0\r\nHost: lab\r\n\r\n"
_RESENT_AFTER = 0.9  # seconds; Linux repeats a first packet after one (RFC 6298, 2.1)


@dataclass(frozen=True)
class Seen:
    """What the client saw. `longest`: seconds from one whole answer's end to the next one's.

    `lost`: requests for which no connection came about: refused, reset, or nobody there for all of
    the client's patience. `late`: those that got one by a repeated first packet. `cut`: connections
    that were open in the moment of a failover; any failover breaks those, by a reset or by silence.
    """

    answers: int
    lost: int
    late: int
    cut: int
    longest: float
    errors: tuple[str, ...]


class Gap:
    """Asks every `pause` seconds; a context manager. A connection may take `patience` seconds."""

    def __init__(self, ip: str, *, port: int = 80, pause: float = 0.01, patience: float = 5.0):
        """Describe it; entering it begins."""
        self._at = (ip, port)
        self._family = socket.AF_INET6 if ":" in ip else socket.AF_INET
        self._pause = pause
        self._patience = patience
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._work()), daemon=True)
        self._answered: list[float] = []
        self._errors: list[str] = []
        self._cut = self._late = 0
        self._begun = 0.0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(3 * self._patience)

    @property
    def unnoticed(self) -> bool:
        """Nobody would call this an outage: every request got its connection, and at once.

        A packet that was on its way to the old holder may have to be sent again: that is one
        request, while the others are answered.
        """
        return self.seen.lost == 0 and self.seen.late <= 2 and self.seen.longest < 0.5

    @property
    def seen(self) -> Seen:
        """What it has seen so far; whole once it has ended."""
        times = sorted(self._answered)
        gaps = [later - earlier for earlier, later in pairwise(times)]
        errors = tuple(self._errors)
        lost = len(errors) - self._cut
        longest = max(gaps, default=0.0)
        return Seen(len(times), lost, self._late, self._cut, longest, errors[:5])

    async def _work(self) -> None:
        self._begun = time.monotonic()
        asking: set[asyncio.Task[None]] = set()
        while not self._stop.is_set():
            task = asyncio.create_task(self._ask())
            asking.add(task)
            task.add_done_callback(asking.discard)
            await asyncio.sleep(self._pause)
        await asyncio.gather(*asking)

    async def _ask(self) -> None:
        with socket.socket(self._family, socket.SOCK_STREAM) as connection:
            connection.setblocking(False)
            try:
                await self._connect(connection)
            except OSError as error:  # TimeoutError is one
                self._failed(error)
                return
            try:
                async with asyncio.timeout(self._patience):
                    await self._talk(connection)
            except OSError as error:
                self._cut += 1
                self._failed(error)
                return
            self._answered.append(time.monotonic())

    async def _connect(self, connection: socket.socket) -> None:
        began = time.monotonic()
        async with asyncio.timeout(self._patience):
            await asyncio.get_running_loop().sock_connect(connection, self._at)
        if time.monotonic() - began > _RESENT_AFTER:
            self._late += 1

    async def _talk(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(connection, _REQUEST)
        answer = b""
        while piece := await loop.sock_recv(connection, 65536):
            answer += piece
        if not answer.startswith((b"HTTP/1.1 200", b"HTTP/1.0 200")):
            raise OSError(f"no 200: {answer[:40]!r}")

    def _failed(self, error: OSError) -> None:
        self._errors.append(f"{time.monotonic() - self._begun:.2f} {error!r}")
