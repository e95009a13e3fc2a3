"""What every route may answer besides what it is for, as OpenAPI says it; and its parameters."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path, Query

from chatops.api.problems import MEDIA_TYPE
from chatops.api.schemas import Problem

_WORDS = {
    400: "The body cannot be read.",
    401: "No token, or none that is in use.",
    403: "The token's role or scopes do not suffice; `detail` names what is missing.",
    404: "There is no such thing, or the token may not know of it.",
    409: "Not now: the state of the run or the fleet forbids it.",
    413: "The body is too large.",
    422: "What was asked for cannot be meant.",
    429: "Too many requests; Retry-After says when.",
    503: "Redis or the database does not answer.",
}


def answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe the problems that a route may answer with, beside those of all."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {"description": _WORDS[status], "content": {MEDIA_TYPE: {"schema": schema}}}
        | ({"model": Problem} if status == 401 else {})  # noqa: PLR2004 - so that it is defined
        for status in sorted({400, 401, 403, 413, 422, 429, 503, *statuses})
    }


_MOST = 2**31 - 1  # of a PostgreSQL integer

RunId = Annotated[int, Path(ge=1, le=_MOST, description="The run's number.", examples=[12])]
Cursor = Annotated[
    str | None,
    Query(pattern=r"^[1-9][0-9]{0,8}$", description="`next` of the page before.", examples=["11"]),
]
Limit = Annotated[int, Query(ge=1, le=500, description="How many, at most.")]


def number(cursor: str | None) -> int | None:
    """Read a cursor."""
    return None if cursor is None else int(cursor)
