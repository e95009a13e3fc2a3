"""What every route is given: the desk, the stream of events, the limits, and who asks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from chatops import tokens
from chatops.api.limits import Buckets
from chatops.api.problems import Denied
from chatops.authorise import Principal
from chatops.desk import Desk
from chatops.events import Hub
from chatops.metrics import Metrics
from chatops.start import check

# A way to know who asks, besides a bearer token (a browser's session, say). None: it does not know.
Recogniser = Callable[[Request], Principal | None]

_FAILURES = 5.0  # refused requests a second from one address


@dataclass
class Context:
    """One app's parts."""

    desk: Desk
    hub: Hub
    metrics: Metrics
    by_token: Buckets
    by_address: Buckets = field(default_factory=lambda: Buckets(_FAILURES, 4 * _FAILURES))
    recognisers: list[Recogniser] = field(default_factory=list)


def context_of(request: Request) -> Context:
    """Return the app's parts."""
    found = request.app.state.winch
    if not isinstance(found, Context):
        raise TypeError("this app was not made by chatops.api.app.make_app")
    return found


Parts = Annotated[Context, Depends(context_of)]

_bearer = HTTPBearer(auto_error=False, description="`winch token create NAME --role ROLE`")


def asker(
    request: Request,
    parts: Parts,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
) -> Principal:
    """Find out who asks, and count it.

    Raises:
        Denied: nobody that is known, or too often.
    """
    principal = recognise(parts, request, None if credentials is None else credentials.credentials)
    if principal is None:
        address = "?" if request.client is None else request.client.host
        _count(parts.by_address, address)
        raise Denied(
            401,
            "a bearer token is needed, and this is none that is in use; "
            "`winch token create NAME --role ROLE` makes one",
            {"WWW-Authenticate": 'Bearer realm="winch"'},
        )
    _count(parts.by_token, principal.name)
    return principal


def recognise(parts: Context, request: Request, token: str | None) -> Principal | None:
    """Find out who asks; None: nobody that is known."""
    if token is None:
        found = (way(request) for way in parts.recognisers)
        return next((principal for principal in found if principal is not None), None)
    known = tokens.recognise(parts.desk.store, token)
    if known is None:
        return None
    name = f"http:{known.name}"
    person = parts.desk.access.current().person_of(name)
    return Principal(name, known.role, known.scopes, person)


def _count(buckets: Buckets, name: str) -> None:
    wait = buckets.take(name)
    if wait > 0:
        seconds = max(1, round(wait + 0.5))
        raise Denied(
            429, f"too many requests; try again in {seconds} s", {"Retry-After": str(seconds)}
        )


Asker = Annotated[Principal, Depends(asker)]


@dataclass(frozen=True)
class May:
    """A dependency: the asker's role suffices for the action. Scopes are looked at with the run."""

    action: str

    def __call__(self, request: Request, parts: Parts, principal: Asker) -> Principal:
        what = f"{request.method} {request.url.path[:100]}"
        check(parts.desk.store, principal, self.action, what=what)
        return principal
