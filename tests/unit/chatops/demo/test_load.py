"""The load counts what goes wrong: it is what the demo's claim rests on."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from chatops.demo import load
from chatops.demo.load import Count, Load

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nv1"
SHORT = b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nv1"
BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"


@contextmanager
def server(answer: bytes) -> Iterator[int]:
    """A server that reads one request a connection, answers with bytes, and hangs up."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.1)
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            with suppress(OSError):
                connection, _ = listener.accept()
                with connection:
                    connection.settimeout(1)
                    connection.recv(4096)
                    connection.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        stop.set()
        thread.join()
        listener.close()


def measure(port: int, enough: Callable[[Load], bool]) -> Count:
    clients = Load(["127.0.0.1"], port)
    clients.start()
    deadline = time.monotonic() + 10
    while not enough(clients) and time.monotonic() < deadline:
        time.sleep(0.02)
    return clients.stop()


def after(number: int) -> Callable[[Load], bool]:
    return lambda clients: sum(c.count.requests for c in clients._clients) >= number


@pytest.fixture(autouse=True)
def short_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "TIMEOUT", 2.0)


def test_a_503_is_counted_and_is_no_success() -> None:
    with server(BUSY) as port:
        count = measure(port, after(40))
    assert count.non_2xx > 0
    assert count.errors["status 503"] == count.non_2xx
    assert not count.clean


def test_an_answer_cut_short_is_a_failed_request() -> None:
    with server(SHORT) as port:
        count = measure(port, after(40))
    assert count.failed == count.requests
    assert not count.clean


def test_a_kept_connection_that_is_dropped_is_a_failed_request() -> None:
    with server(GOOD) as port:  # it says nothing of closing, and closes
        count = measure(port, after(60))
    assert count.failed > 0
    assert count.answers["v1"] > 0


def test_nobody_there_is_a_failure_for_every_request() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    count = measure(port, after(40))
    assert count.failed == count.requests > 0


def test_no_load_is_not_clean() -> None:
    assert not Count().clean
    assert Count(requests=1).clean
