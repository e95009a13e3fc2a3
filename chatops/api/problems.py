"""Errors as RFC 9457 says them: application/problem+json, one shape for all."""

from __future__ import annotations

import json
import logging
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from chatops.desk import KeyReused, NotFound
from worker.control import NotNow
from worker.errors import (
    Forbidden,
    Frozen,
    Refused,
    ServiceError,
    Unreachable,
    UsageError,
    WinchError,
)

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
_LONGEST = 300  # characters of what was sent that are sent back

# The first that fits.
_STATUS: tuple[tuple[type[WinchError], int], ...] = (
    (NotFound, 404),
    (KeyReused, 422),
    (UsageError, 422),
    (Forbidden, 403),
    (NotNow, 409),
    (Frozen, 409),
    (Refused, 409),
    (Unreachable, 409),
    (ServiceError, 503),
    (WinchError, 500),
)


class Denied(Exception):
    """A request is not let in: 401 or 429."""

    def __init__(self, status: int, detail: str, headers: dict[str, str]) -> None:
        super().__init__(status, detail, headers)
        self.status = status
        self.detail = detail
        self.headers = headers


def problem(
    status: int,
    detail: str,
    *,
    headers: dict[str, str] | None = None,
    **more: Any,
) -> Response:
    """Make the answer to a request that failed."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        **more,
    }
    # ASCII: what a client sent may hold characters that no encoding has.
    return Response(json.dumps(body), status, headers, MEDIA_TYPE)


def status_of(error: WinchError) -> int:
    """Choose the HTTP status of an error."""
    return next(status for kind, status in _STATUS if isinstance(error, kind))


def register(app: FastAPI) -> None:
    """Let every error of the app be a problem."""
    app.add_exception_handler(WinchError, _winch)
    app.add_exception_handler(Denied, _denied)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _broke)


async def _winch(_request: Request, error: Exception) -> Response:
    if not isinstance(error, WinchError):
        raise error
    status = status_of(error)
    headers = {"Retry-After": "2"} if status == HTTPStatus.SERVICE_UNAVAILABLE else None
    more = {"frozen": True} if isinstance(error, Frozen) else {}
    return problem(status, str(error), headers=headers, exit_code=error.exit_code, **more)


async def _denied(_request: Request, error: Exception) -> Response:
    if not isinstance(error, Denied):
        raise error
    return problem(error.status, error.detail, headers=error.headers)


async def _http(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    detail = f"{request.method} {request.url.path[:_LONGEST]}: {error.detail}"
    return problem(error.status_code, detail, headers=dict(error.headers or {}))


async def _invalid(_request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    errors = [
        {"at": ".".join(str(part) for part in one["loc"])[:_LONGEST], "message": one["msg"]}
        for one in error.errors()[:20]
    ]
    first = errors[0]
    return problem(422, f"{first['at']}: {first['message']}", exit_code=5, errors=errors)


async def _broke(request: Request, error: Exception) -> Response:
    log.error("%s %s broke", request.method, request.url.path, exc_info=error)
    return problem(500, "this is a bug; the server's log says more")
