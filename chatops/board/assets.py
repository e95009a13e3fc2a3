"""What the board's pages are made of: files, read once, and the headers they go out with."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fastapi import Request, Response

STATIC = Path(__file__).parent / "static"

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

# Nothing but our own files is run or shown; no page may frame ours; no text can become markup.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


@dataclass(frozen=True)
class Asset:
    """One file."""

    body: bytes
    media_type: str
    tag: str


@cache
def assets() -> dict[str, Asset]:
    """Read all files, once. A name that is not here does not exist, however it is written."""
    found = {}
    for path in sorted(STATIC.iterdir()):
        media_type = _TYPES.get(path.suffix)
        if media_type is not None:
            body = path.read_bytes()
            tag = f'"{hashlib.sha256(body).hexdigest()[:20]}"'
            found[path.name] = Asset(body, media_type, tag)
    return found


def page(name: str) -> Response:
    """Answer with a page."""
    asset = assets()[name]
    return Response(
        asset.body, media_type=asset.media_type, headers={**_HEADERS, "Cache-Control": "no-store"}
    )


def file(name: str, request: Request) -> Response | None:
    """Answer with a file, or with 304 if the browser has it already; None: there is none."""
    asset = assets().get(name)
    if asset is None or name.endswith(".html"):
        return None
    # Asked for again every time: a new version of Winch must not meet an old script.
    headers = {**_HEADERS, "Cache-Control": "no-cache", "ETag": asset.tag}
    if asset.tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(asset.body, media_type=asset.media_type, headers=headers)
