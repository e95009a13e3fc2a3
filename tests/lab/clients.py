"""Clients of one connection: a slow download, and one that asks again and never repeats."""

from __future__ import annotations

import select
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from typing import Self

import httpx


def fetch(url: str) -> str:
    """Ask once, on a connection of its own; return the body, stripped.

    Raises:
        httpx.HTTPStatusError: the answer is no 2xx.
    """
    return httpx.get(url, timeout=5.0, trust_env=False).raise_for_status().text.strip()


class _Client:
    """A thread that works until `stop()` or its own end."""

    def __init__(self, address: str, port: int) -> None:
        self._connection = HTTPConnection(address, port, timeout=30)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def start(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def stop(self, timeout: float = 60.0) -> None:
        """Ask it to end, and wait until it has."""
        self._stop.set()
        self.wait(timeout)

    def wait(self, timeout: float = 60.0) -> None:
        """Wait for its own end.

        Raises:
            TimeoutError: it still works after `timeout` seconds.
        """
        self._thread.join(timeout)
        if self._thread.is_alive():
            raise TimeoutError(f"{self!r} is still under way after {timeout:g} s")

    def _work(self) -> None:
        raise NotImplementedError


class Download(_Client):
    """One slow download; `complete` or `broken` at its end."""

    def __init__(
        self,
        address: str,
        path: str = "/big",
        *,
        port: int = 80,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Describe it; `start()` begins."""
        super().__init__(address, port)
        self.path = path
        self.headers = dict(headers or {})
        self.status = 0
        self.server = ""  # which server sent it, by the header X-Server
        self.received = 0  # bytes, of
        self.expected = -1
        self.error = ""

    def __repr__(self) -> str:
        sizes = f"{self.received} of {self.expected} bytes"
        return f"Download({self.path} from {self.server}: {self.status}, {sizes} {self.error})"

    @property
    def begun(self) -> bool:
        """The first bytes are there: it is a session of some server now."""
        return self.received > 0

    @property
    def complete(self) -> bool:
        """All bytes of a 200 came."""
        return self.status == 200 and self.received == self.expected

    @property
    def broken(self) -> bool:
        """It ended, and not all bytes came."""
        return not self._thread.is_alive() and not self.complete

    def _work(self) -> None:
        try:
            self._connection.request("GET", self.path, headers=self.headers)
            response = self._connection.getresponse()
            self.server = response.getheader("X-Server", "")
            self.expected = int(response.getheader("Content-Length", "-1"))
            self.status = response.status
            while not self._stop.is_set() and (piece := response.read1(65536)):
                self.received += len(piece)
        except (OSError, HTTPException) as error:
            self.error = repr(error)
        finally:
            self._connection.close()


@dataclass
class KeepAliveCounts:
    """What a keep-alive client saw."""

    ok: int = 0
    non_2xx: int = 0
    broken: int = 0  # a request was sent, or a connection tried, and no whole answer came
    reconnects: int = 0  # the server said `Connection: close`, or closed before we asked
    bodies: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)

    @property
    def lost(self) -> int:
        """Requests that a user would have noticed."""
        return self.non_2xx + self.broken


class KeepAlive(_Client):
    """Ask again and again on one connection and never repeat a request: the hardest judge.

    A connection that is closed in order (announced, or seen closed before the next request) is
    opened anew and is no loss; a request that got no whole answer is one.
    """

    def __init__(
        self, address: str, path: str = "/", *, port: int = 80, pause: float = 0.005
    ) -> None:
        """Describe it; `start()` begins. `pause`: seconds between two requests."""
        super().__init__(address, port)
        self.path = path
        self.pause = pause
        self.counts = KeepAliveCounts()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _work(self) -> None:
        while not self._stop.wait(self.pause):
            try:
                if _closed_by_peer(self._connection):
                    self._connection.close()
                    self.counts.reconnects += 1
                self._ask()
            except (OSError, HTTPException) as error:
                self.counts.broken += 1
                self.counts.errors.append(f"{time.monotonic():.3f} {error!r}")
                self._connection.close()
        self._connection.close()

    def _ask(self) -> None:
        self._connection.request("GET", self.path)
        response = self._connection.getresponse()
        body = response.read().decode(errors="replace").strip()
        if 200 <= response.status < 300:
            self.counts.ok += 1
            self.counts.bodies[body] += 1
        else:
            self.counts.non_2xx += 1
        if response.will_close:
            self.counts.reconnects += 1


def _closed_by_peer(connection: HTTPConnection) -> bool:
    if connection.sock is None:
        return False
    readable, _, _ = select.select([connection.sock], [], [], 0)
    return bool(readable)  # between two requests only an end can be read
