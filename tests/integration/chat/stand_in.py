"""Stand-ins of the networks' Web APIs: small HTTP servers that remember what they were sent."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl


@dataclass
class Call:
    """One request."""

    method: str
    path: str
    data: dict[str, Any]
    headers: dict[str, str]


Answer = tuple[int, dict[str, str], Any]


@dataclass
class StandIn:
    """`answer` makes the answers, as (status, headers, JSON data)."""

    answer: Callable[[Call], Answer]
    calls: list[Call] = field(default_factory=list)

    def __post_init__(self) -> None:
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers.get("content-length", "0"))
                raw = self.rfile.read(length).decode()
                if raw.startswith(("{", "[")):
                    data = json.loads(raw)
                else:
                    data = dict(parse_qsl(raw))
                    data = {k: _maybe_json(v) for k, v in data.items()}
                call = Call(self.command, self.path, data, dict(self.headers))
                status, headers, body = owner.answer(call)
                owner.calls.append(call)
                text = json.dumps(body).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_PUT = do_POST  # noqa: N815 - http.server's names
            do_GET = do_POST  # noqa: N815

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def of(self, path: str) -> list[Call]:
        return [call for call in self.calls if call.path.endswith(path)]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _maybe_json(text: str) -> Any:
    if text.startswith(("{", "[")):
        return json.loads(text)
    return text


def slack_answer(call: Call) -> Answer:
    """Answer as Slack does when all is well."""
    data = {"ok": True, "channel": call.data.get("channel"), "ts": call.data.get("ts")}
    if call.path.endswith("chat.postMessage"):
        data["ts"] = f"1700000000.{_next():06}"
    return 200, {}, data


_count = 0


def _next() -> int:
    global _count  # noqa: PLW0603
    _count += 1
    return _count
