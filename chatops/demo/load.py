"""The load of the demo: clients that never repeat a request, and count everything.

A request has *failed* when it got no complete answer, whatever the reason. An answer with a status
other than 2xx is counted by itself. A broken keep-alive connection counts as a failed request: the
client had sent it and cannot know.
"""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

PAUSE = 0.01  # seconds between two requests of one client
TIMEOUT = 15.0  # seconds


@dataclass
class Count:
    """What became of the requests. `answers` counts by the text that came back."""

    requests: int = 0
    failed: int = 0
    non_2xx: int = 0
    downloads: int = 0
    slowest: float = 0.0  # seconds, downloads left out
    answers: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)

    @property
    def clean(self) -> bool:
        """Whether there was load, and nothing was lost."""
        return self.requests > 0 and self.failed == 0 and self.non_2xx == 0

    def add(self, other: Count) -> None:
        """Add what another client counted."""
        self.requests += other.requests
        self.failed += other.failed
        self.non_2xx += other.non_2xx
        self.downloads += other.downloads
        self.slowest = max(self.slowest, other.slowest)
        self.answers += other.answers
        self.errors += other.errors


def exchange(
    connection: http.client.HTTPConnection, path: str, keep_alive: bool
) -> tuple[int, str]:
    """Make one request and read its whole answer. Returns the status and the text.

    Raises:
        OSError | http.client.HTTPException: no complete answer came.
    """
    header = "keep-alive" if keep_alive else "close"
    connection.request("GET", path, headers={"Connection": header})
    answer = connection.getresponse()
    body = answer.read()
    expected = answer.getheader("Content-Length")
    if expected is not None and len(body) != int(expected):
        raise http.client.IncompleteRead(body, int(expected) - len(body))
    return answer.status, body[:40].decode(errors="replace").strip()


class Client(threading.Thread):
    """One client: a request, a pause, a request."""

    def __init__(
        self, address: str, port: int, stop: threading.Event, *, path: str, keep_alive: bool
    ) -> None:
        super().__init__(daemon=True)
        self.count = Count()
        self._target = (address, port)
        self._stop_asked = stop
        self._path = path
        self._keep_alive = keep_alive

    def run(self) -> None:
        connection = self._connection()
        while not self._stop_asked.wait(PAUSE):
            if not self._keep_alive:
                connection.close()
                connection = self._connection()
            began = time.monotonic()
            self.count.requests += 1
            try:
                status, text = exchange(connection, self._path, self._keep_alive)
            except (OSError, http.client.HTTPException) as error:
                self.count.failed += 1
                self.count.errors[f"{type(error).__name__}: {error}"] += 1
                connection.close()
                connection = self._connection()
                continue
            if not 200 <= status < 300:  # noqa: PLR2004 - 2xx
                self.count.non_2xx += 1
                self.count.errors[f"status {status}"] += 1
            elif self._path == "/":
                self.count.answers[text] += 1
                self.count.slowest = max(self.count.slowest, time.monotonic() - began)
            else:
                self.count.downloads += 1
        connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        # `auto_open` would reconnect unseen only after `close`, which is ours to call.
        return http.client.HTTPConnection(*self._target, timeout=TIMEOUT)


class Load:
    """Clients against every balancer: new connections, kept ones, and slow downloads."""

    def __init__(self, addresses: Sequence[str], port: int) -> None:
        self._stop = threading.Event()
        kinds = [("/", False)] * 3 + [("/", True)] * 2 + [("/download", False)] * 2
        self._clients = [
            Client(address, port, self._stop, path=path, keep_alive=keep)
            for address in addresses
            for path, keep in kinds
        ]
        self._began = 0.0
        self.seconds = 0.0

    def start(self) -> None:
        """Begin."""
        self._began = time.monotonic()
        for client in self._clients:
            client.start()

    def stop(self) -> Count:
        """Let every request under way end, and add up."""
        self._stop.set()
        for client in self._clients:
            client.join(TIMEOUT * 2)
        self.seconds = time.monotonic() - self._began
        total = Count()
        for client in self._clients:
            total.add(client.count)
            if client.is_alive():  # it hangs in a request, which is then lost
                total.failed += 1
                total.errors["no answer in time"] += 1
        return total
