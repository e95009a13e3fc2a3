"""Flower behind the board's login: the same session, the same tokens.

Flower lets a configuration name the handler of `/login`, but knows a user by a cookie of its own,
which lasts for a month whatever becomes of the token. So methods of its handlers are replaced: who
a request comes from is asked anew each time, and who logs out there is logged out here. Browsers
send a host's cookies to all its ports, so who is logged in on the board is let in at once.
"""

from __future__ import annotations

import re
import secrets
from typing import Any

from flower.views import BaseHandler
from flower.views.auth import LogoutHandler, get_next_url
from flower.views.tasks import TaskView
from tornado.escape import xhtml_escape
from tornado.web import HTTPError

from chatops.api.limits import Buckets
from chatops.board.sessions import close_session, find_session, open_session
from chatops.tokens import Known, recognise
from worker.settings import settings
from worker.store import store

_TRIES = Buckets(rate=0.5, burst=10)  # of one address with tokens that are none
_LONGEST = 500  # characters of what is looked at as a token

_PAGE = """<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <title>Log in · Flower</title>
  <style nonce="{nonce}">
    body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 22rem; margin: 15vh auto; padding: 1rem }}
    input, button {{ font: inherit; width: 100%; box-sizing: border-box; padding: .5rem; margin: .3rem 0 }}
  </style>
</head>
<body>
  <main>
    <h1>Flower</h1>
    <form method="post">
      <label for="token">A token of Winch</label>
      <input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
      <p role="alert">{problem}</p>
      {xsrf}
      <button type="submit">Log in</button>
    </form>
    <p><code>winch token create NAME --role viewer</code> makes one. Who is logged in on the run board
    of this host need not log in here.</p>
  </main>
</body>
</html>
"""  # noqa: E501


def take_over() -> None:
    """Let Flower ask Winch who may look. Its options are set by `worker.flowerconfig`."""
    BaseHandler.get_current_user = _current_user
    LogoutHandler.get = _logout
    TaskView.render_string = _with_links


def _current_user(handler: Any) -> str | None:
    """Name who asks, by a bearer token or the board's session; None: nobody who may look."""
    scheme, _, token = handler.request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        known = recognise(store(), token.strip())
    else:
        known = find_session(store(), handler.get_cookie(_cookie(handler)) or "")
    return known.name if known is not None and _may_look(known) else None


def _may_look(known: Known) -> bool:
    """Any role may look. But Flower shows everything, so nobody may who is bound to a part."""
    return not known.scopes


def _cookie(handler: Any) -> str:
    return "__Host-winch" if handler.request.protocol == "https" else "winch"


class LoginHandler(BaseHandler):  # type: ignore[misc] # Flower has no types
    """`/login`: lets in who is logged in on the board already, and asks others for a token."""

    def get(self) -> None:
        """Show the page, or let in."""
        if self.current_user:
            self.redirect(get_next_url(self))
            return
        self._page("")

    def post(self) -> None:
        """Begin a session."""
        token = self.get_body_argument("token", "")[:_LONGEST].strip()
        known = recognise(store(), token)
        if known is None:
            if _TRIES.take(self.request.remote_ip or "?") > 0:
                raise HTTPError(429, "too many tries; wait a little")
            self._page("This is no token that is in use.", 401)
            return
        if not _may_look(known):
            self._page(
                f"{known.name} is bound to {', '.join(known.scopes)}, and Flower shows everything: "
                "it takes a token without scopes.",
                403,
            )
            return
        opened = open_session(store(), known)
        self.set_cookie(
            _cookie(self),
            opened.secret,
            max_age=int(opened.lasts),
            path="/",
            secure=self.request.protocol == "https",
            httponly=True,
            samesite="Strict",
        )
        self.redirect(get_next_url(self))

    def _page(self, problem: str, status: int = 200) -> None:
        nonce = secrets.token_urlsafe(12)
        self.set_status(status)
        self.set_header("Cache-Control", "no-store")
        self.set_header(
            "Content-Security-Policy",
            f"default-src 'none'; style-src 'nonce-{nonce}'; form-action 'self'; base-uri 'none'; "
            "frame-ancestors 'none'",
        )
        page = _PAGE.format(nonce=nonce, problem=xhtml_escape(problem), xsrf=self.xsrf_form_html())
        self.finish(page)


def _logout(handler: Any) -> None:
    """End the session, the board's too: it is the same."""
    close_session(store(), handler.get_cookie(_cookie(handler)) or "")
    handler.clear_cookie(_cookie(handler), path="/")
    handler.current_user = None
    handler.render("logout.html")


def _with_links(handler: Any, template_name: str, **values: Any) -> bytes:
    """Make the run that a task's page names a link to the board."""
    page: bytes = super(TaskView, handler).render_string(template_name, **values)
    url = settings().public_url
    if url is None:
        return page
    base = re.escape(xhtml_escape(url.rstrip("/"))).encode()
    link = rb'<a href="\1" target="_blank" rel="noopener noreferrer">\1</a>'
    return re.sub(rb"(" + base + rb"/runs/\d+)\b", link, page)
