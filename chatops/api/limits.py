"""Bounds on what a client may send: rate, size; and the headers that every answer carries."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chatops.api.problems import problem

MAX_BODY = 1024 * 1024  # bytes; 10,000 host names fit
_MAX_BUCKETS = 10_000  # the one that was idle for longest is forgotten first

_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
}


class Buckets:
    """Token buckets by name: `rate` requests a second each, and `burst` at once."""

    def __init__(
        self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate = rate
        self._burst = max(1.0, burst)
        self._clock = clock
        self._lock = threading.Lock()
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str) -> float:
        """Take one. Returns 0, or how many seconds to wait for it."""
        now = self._clock()
        with self._lock:
            level, at = self._levels.pop(name, (self._burst, now))
            level = min(self._burst, level + (now - at) * self._rate)
            taken = level >= 1
            self._levels[name] = (level - 1 if taken else level, now)
            while len(self._levels) > _MAX_BUCKETS:
                self._levels.popitem(last=False)
        return 0.0 if taken else (1 - level) / self._rate


class Limits:
    """ASGI middleware: no body beyond `max_body`, and the headers of safety on every answer.

    Headers that a route has set itself stay (the pages of a browser need another policy).
    """

    def __init__(self, app: ASGIApp, max_body: int = MAX_BODY) -> None:
        self._app = app
        self._max_body = max_body
        self._text = f"the body is larger than {max_body} bytes"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        length = Headers(scope=scope).get("content-length", "0")
        if not length.isascii() or not length.isdigit() or int(length[:20]) > self._max_body:
            await self._refuse(scope, receive, send_with_headers)
            return
        size = 0

        async def bounded_receive() -> Message:
            nonlocal size
            message = await receive()
            if message["type"] == "http.request":
                size += len(message.get("body", b""))
                if size > self._max_body:
                    raise HTTPException(413, self._text)  # becomes a problem, as all others
            return message

        await self._app(scope, bounded_receive, send_with_headers)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = problem(413, self._text, headers={"Connection": "close"})
        await answer(scope, receive, send)
