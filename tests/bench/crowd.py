"""Many watchers of one run in one process that costs next to nothing: raw sockets, nothing parsed.

`python -m tests.bench.crowd PORT RUN COUNT`, the token in CROWD_TOKEN. It says `ready` when each
has been sent the run, and at the end what it got: `COUNT ENDS LEAST_BYTES MOST_BYTES CPU_SECONDS`.
"""

from __future__ import annotations

import os
import selectors
import socket
import sys
import time

_READ = 1 << 16


class Watcher:
    """One connection: how much it was sent, and whether it saw the run and its end."""

    def __init__(self, port: int, request: bytes) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.socket.sendall(request)
        self.socket.setblocking(False)
        self.bytes = 0
        self.began = False
        self.last = b""  # of what came, enough to see the end in

    def read(self) -> bool:
        """Take what there is. False: it is over."""
        try:
            data = self.socket.recv(_READ)
        except BlockingIOError:
            return True
        self.began = self.began or b"event: snapshot" in data
        self.bytes += len(data)
        self.last = (self.last + data)[-400:]
        return bool(data) and not data.endswith(b"\r\n0\r\n\r\n") and data != b"0\r\n\r\n"

    @property
    def saw_the_end(self) -> bool:
        return b"event: end" in self.last


def watch(port: int, run: int, count: int, token: str) -> None:
    """Watch to the end."""
    request = (
        f"GET /api/v1/runs/{run}/events HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        f"Authorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    ).encode()
    selector = selectors.DefaultSelector()
    everybody = []
    for _ in range(count):
        watcher = Watcher(port, request)
        everybody.append(watcher)
        selector.register(watcher.socket, selectors.EVENT_READ, watcher)
    ready = False
    while selector.get_map():
        for key, _ in selector.select():
            watcher = key.data
            if not watcher.read():
                selector.unregister(watcher.socket)
                watcher.socket.close()
        if not ready and all(watcher.began for watcher in everybody):
            ready = True
            print("ready", flush=True)
    sizes = [watcher.bytes for watcher in everybody]
    ends = sum(watcher.saw_the_end for watcher in everybody)
    print(count, ends, min(sizes), max(sizes), f"{time.process_time():.3f}", flush=True)


if __name__ == "__main__":
    watch(*(int(word) for word in sys.argv[1:4]), os.environ["CROWD_TOKEN"])
