"""The board's routes: its pages and files, login and logout, and who a browser is.

A browser sends the cookie by itself, also when another page makes it (one at another port of this
machine is the same site). So what changes something must also carry a header with a token that
only our own page can read.
"""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, FastAPI, Path, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from chatops import tokens
from chatops.api.context import Context, Parts, context_of
from chatops.api.problems import Denied
from chatops.authorise import ACTIONS, Principal, allow
from chatops.board.assets import assets, file, page
from chatops.board.sessions import (
    close_session,
    csrf_holds,
    csrf_token,
    find_session,
    open_session,
)
from worker.settings import settings
from workflows.jobs import JOBS

CSRF_HEADER = "x-winch-csrf"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})

router = APIRouter(include_in_schema=False)


def mount_board(app: FastAPI) -> None:
    """Add the board to an app of `chatops.api.app.make_app`."""
    context = app.state.winch
    if not isinstance(context, Context):
        raise TypeError("this app was not made by chatops.api.app.make_app")
    assets()  # a file that is missing is found out now
    context.recognisers.append(recognise_browser)
    app.include_router(router)


def recognise_browser(request: Request) -> Principal | None:
    """Find out who a browser is by its cookie; None: nobody.

    Raises:
        Denied: it would change something, and does not come from our own page.
    """
    secret = request.cookies.get(cookie_name(request), "")
    parts = context_of(request)
    known = find_session(parts.desk.store, secret)
    if known is None:
        return None
    if request.method not in _SAFE:
        _same_origin(request)
        if not csrf_holds(secret, request.headers.get(CSRF_HEADER)):
            raise Denied(
                403,
                f"{request.method} with a browser's session takes the header {CSRF_HEADER}, as the "
                "board's own pages send it; reload the page, or use a bearer token",
                {},
            )
    name = f"http:{known.name}"
    person = parts.desk.access.current().person_of(name)
    return Principal(name, known.role, known.scopes, person)


def cookie_name(request: Request) -> str:
    """Name the cookie. Over TLS by a name that only this very host can set, and only over TLS."""
    return "__Host-winch" if request.url.scheme == "https" else "winch"


class Login(BaseModel):
    """A token that was pasted."""

    model_config = ConfigDict(extra="forbid")

    token: str = Field(max_length=500)


@router.get("/")
@router.get("/leases")
@router.get("/freezes")
@router.get("/fleet")
@router.get("/new")
def shell(request: Request) -> Response:
    """Serve the page; what it shows is decided by its address, in the browser."""
    if recognise_browser(request) is None:
        asked = request.url.path
        return RedirectResponse(
            "/login" + ("" if asked == "/" else f"?{urlencode({'next': asked})}"), 303
        )
    return page("index.html")


@router.get("/runs/{run_id}")
def run_page(
    run_id: Annotated[int, Path(ge=1)],  # noqa: ARG001 - what is no number is no page
    request: Request,
) -> Response:
    """Serve the page of a run, whether there is such a run or not: its data decides."""
    return shell(request)


@router.get("/login")
def login_page() -> Response:
    """Serve the page that asks for a token."""
    return page("login.html")


@router.get("/board/{name}")
def board_file(name: str, request: Request) -> Response:
    """Serve a script, a style sheet or a picture."""
    found = file(name, request)
    if found is None:
        raise HTTPException(404, "there is no such file")
    return found


@router.post("/login")
def login(body: Login, request: Request, parts: Parts) -> Response:
    """Begin a session. A form of another page cannot send JSON without asking first."""
    _same_origin(request)
    known = tokens.recognise(parts.desk.store, body.token.strip())
    if known is None:
        address = "?" if request.client is None else request.client.host
        wait = parts.by_address.take(address)
        if wait > 0:
            raise Denied(429, "too many tries; wait a little", {"Retry-After": str(int(wait) + 1)})
        raise Denied(
            401,
            "this is no token that is in use; `winch token create NAME --role ROLE` makes one",
            {},
        )
    opened = open_session(parts.desk.store, known)
    answer = JSONResponse({"name": known.name, "role": known.role})
    answer.set_cookie(
        cookie_name(request),
        opened.secret,
        max_age=int(opened.lasts),
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    return answer


@router.post("/logout")
def logout(request: Request, parts: Parts) -> Response:
    """End the session."""
    if recognise_browser(request) is not None:
        close_session(parts.desk.store, request.cookies[cookie_name(request)])
    answer = Response(status_code=204)
    answer.delete_cookie(
        cookie_name(request),
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    return answer


@router.get("/session")
def session(request: Request) -> Response:
    """Say who is logged in, what they may do, and what the page must send back."""
    principal = recognise_browser(request)
    if principal is None:
        raise Denied(401, "nobody is logged in", {})
    url = settings().flower_url
    return JSONResponse(
        {
            "name": principal.name,
            "who": principal.who,
            "role": principal.role,
            "scopes": list(principal.scopes),
            "may": [action for action in ACTIONS if allow(principal, action).allowed],
            "csrf": csrf_token(request.cookies[cookie_name(request)]),
            "flower": None if url is None else url.rstrip("/"),
            "jobs": [
                {
                    "name": job.name,
                    "target": job.target,
                    "summary": job.summary,
                    "needs_hosts": job.needs_hosts,
                }
                for job in JOBS.values()
            ],
        }
    )


def _same_origin(request: Request) -> None:
    """Refuse what a browser says another page has sent.

    Raises:
        Denied: it was sent by another page.
    """
    if request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
        raise Denied(403, "this request was made by another site's page", {})
