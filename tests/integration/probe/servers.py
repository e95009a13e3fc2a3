"""Real servers on 127.0.0.1 that answer as told, or badly."""

from __future__ import annotations

import contextlib
import http.server
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path


class _Handler(http.server.BaseHTTPRequestHandler):
    """`/ok`, `/moved`, `/broken`, `/drip`, `/huge`, `/echo` (the request's headers)."""

    protocol_version = "HTTP/1.1"
    stopping: threading.Event

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self) -> None:
        match self.path:
            case "/ok":
                self._answer(200, b"this is v2 of the app\n")
            case "/moved":
                self._answer(302, b"elsewhere", Location="/ok")
            case "/broken":
                self._answer(500, b"Traceback: " + b"x" * 1000)
            case "/echo":
                self._answer(200, str(self.headers).encode())
            case "/huge":
                with contextlib.suppress(OSError):
                    self._answer(200, b"x" * (1 << 20) + b"beyond" + b"x" * (4 << 20))
            case "/drip":
                self._drip(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b"x")
            case "/drip-headers":
                self._drip(b"HTTP/1.1 200 OK\r\nX-Slow: ", b"x")

    do_HEAD = do_GET  # noqa: N815 - the name that http.server looks for

    def _drip(self, head: bytes, drop: bytes) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.wfile.write(head)
            while not self.stopping.wait(0.02):
                self.wfile.write(drop)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@contextlib.contextmanager
def http_server(certificate: Path | None = None) -> Iterator[int]:
    """Serve on a free port of 127.0.0.1, with TLS if there is a certificate (PEM, with its key)."""
    stopping = threading.Event()
    handler = type("Handler", (_Handler,), {"stopping": stopping})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        stopping.set()
        server.shutdown()
        server.server_close()
        thread.join()


def closed_port() -> int:
    """Name a port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def silent_port() -> Iterator[int]:
    """Listen, and never answer."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(8)
        yield listener.getsockname()[1]
