"""A Winch elsewhere: what the command line talks to when WINCH_URL and WINCH_TOKEN are set."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import uuid4

import httpx

from chatops.render.words import utc_time
from chatops.times import parse_when
from worker.errors import ServiceError, UsageError, WinchError
from worker.settings import settings
from workflows.options import Options

_SECONDS = 30.0
_PLAN_SECONDS = 180.0  # hosts that do not answer are waited for
_PAGE = 500
_UNAUTHORIZED, _UNAVAILABLE = 401, 503
# What travels; the rest are files of this machine, or found out by a look at the hosts from here.
_PLAIN = ("limit", "exclude", "vars", "max_unavailable", "stages", "include_maintenance")
_NGINX = ("package", "force", "older", "confirm")


class FarError(WinchError):
    """What the other side refused, with the exit code that it would have had there."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message, exit_code)
        self.exit_code = exit_code


class Far:
    """The HTTP API of another Winch."""

    def __init__(self, url: str, token: str, transport: httpx.BaseTransport | None = None) -> None:
        self._url = url
        try:
            self._client = httpx.Client(
                base_url=f"{url.rstrip('/')}/api/v1",
                headers={"Authorization": f"Bearer {token}"},
                timeout=_SECONDS,
                transport=transport,
            )
        except (httpx.InvalidURL, UnicodeEncodeError) as error:
            raise UsageError(f"WINCH_URL, WINCH_TOKEN: {error}") from None

    def now(self) -> float:
        """Seconds since the epoch, by this machine's clock."""
        return time.time()

    def get(self, path: str, **params: str | int | None) -> Any:
        """Ask for a document."""
        given = {key: value for key, value in params.items() if value is not None}
        return self._send("GET", path, params=given)

    def pages(
        self, path: str, key: str, limit: int | None = None, *, host: str | None = None
    ) -> Iterator[Any]:
        """Ask for a list, page after page."""
        cursor: str | None = None
        left = limit
        while left is None or left > 0:
            size = _PAGE if left is None else min(_PAGE, left)
            page = self.get(path, limit=size, cursor=cursor, host=host)
            yield from page[key]
            cursor = page["next"]
            if cursor is None:
                return
            left = None if left is None else left - len(page[key])

    def steer(
        self, action: str, run_id: int, hosts: Sequence[str], *, override: str | None = None
    ) -> list[str]:
        """Retry, skip, and so on. Returns the hosts that it is about."""
        body: dict[str, Any] | None = None
        if action in ("retry", "skip"):
            body = {"host": hosts[0]} if action == "skip" else {"hosts": list(hosts)}
        if override is not None:
            body = {**(body or {}), "override_freeze": True, "reason": override}
        done: list[str] = self._send("POST", f"/runs/{run_id}/{action}", json=body)["hosts"]
        return done

    def ask(self, body: Mapping[str, Any]) -> int:
        """Start a job there. Asked once more when no answer came, it is not started twice."""
        headers = {"Idempotency-Key": uuid4().hex}
        try:
            made = self._send("POST", "/runs", json=body, headers=headers)
        except ServiceError:
            made = self._send("POST", "/runs", json=body, headers=headers)
        return int(made["id"])

    def plan(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Ask what a job would do now; it looks at every host."""
        document: dict[str, Any] = self._send("POST", "/plan", json=body, timeout=_PLAN_SECONDS)
        return document

    def freeze(self, scope: str | None, until: float, reason: str) -> dict[str, Any]:
        """Let no job start in a scope until a time (epoch seconds)."""
        body = {"scope": scope or "*", "until": utc_time(until), "reason": reason}
        made: dict[str, Any] = self._send("POST", "/freezes", json=body)
        return made

    def unfreeze(self, scope: str | None) -> list[dict[str, Any]]:
        """Lift the freezes of a scope. Returns them."""
        body = {"scope": scope or "*"}
        lifted: list[dict[str, Any]] = self._send("POST", "/freezes/lift", json=body)["freezes"]
        return lifted

    def break_lease(self, name: str, reason: str) -> int | None:
        """Take a lease away from the run that holds it."""
        broken = self._send("POST", f"/leases/{name}/break", json={"reason": reason})
        return None if broken["run"] is None else int(broken["run"])

    def _send(self, method: str, path: str, **more: Any) -> Any:
        try:
            answer = self._client.request(method, path, **more)
            document = answer.json()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ServiceError(f"WINCH_URL {self._url} does not answer: {error}") from None
        except ValueError:
            raise ServiceError(
                f"WINCH_URL {self._url}: this is no Winch ({answer.status_code}, no JSON)"
            ) from None
        if answer.is_success:
            return document
        detail = str(document.get("detail", answer.reason_phrase))
        if answer.status_code == _UNAUTHORIZED:
            raise UsageError(f"WINCH_TOKEN: {detail}")
        if answer.status_code == _UNAVAILABLE:
            raise ServiceError(f"{self._url}: {detail}")
        raise FarError(detail, document.get("exit_code") or 1)


@dataclass(frozen=True)
class Wish:
    """A job that is asked for there."""

    job: str
    target: str
    hosts: Sequence[str]
    options: Options
    reason: str | None = None
    at: str | None = None
    override_freeze: bool = False

    def body(self, now: float) -> dict[str, Any]:
        """Write it as HTTP takes it; a time is one of this machine's zone.

        Raises:
            UsageError: the time is none, or an option is about a file of this machine.
        """
        options = _options(self.options)
        when = parse_when(self.at, now)
        if self.at is not None:
            word = "window" if when.windows else "now"
            options["at"] = word if when.at is None else utc_time(when.at)
        if self.override_freeze:
            options["override_freeze"] = True
        return {
            "job": self.job,
            "target": self.target,
            "hosts": list(self.hosts),
            "options": options,
            "reason": self.reason,
        }


def far() -> Far | None:
    """The Winch elsewhere that the settings name, if they do.

    Raises:
        UsageError: there is an address, but no token.
    """
    url, token = settings().url, settings().token
    if url is None:
        return None
    if token is None:
        raise UsageError("WINCH_URL is set, so WINCH_TOKEN must be: `winch token create` there")
    return Far(url, token.get_secret_value())


def _options(options: Options) -> dict[str, Any]:
    given = asdict(options)
    nginx = {key: value for key, value in given["nginx"].items() if value not in (None, False, ())}
    if options.nginx.soak is not None:
        nginx["soak"] = f"{options.nginx.soak:g}s"
    bound = sorted((set(nginx) - {*_NGINX, "soak"}) | {k for k, v in given["haproxy"].items() if v})
    if bound:
        raise UsageError(
            f"--{bound[0].replace('_', '-')} is about a file of this machine, which WINCH_URL does "
            "not take: ask on the machine that has the fleet file"
        )
    return {key: given[key] for key in _PLAIN} | ({"nginx": nginx} if nginx else {})
