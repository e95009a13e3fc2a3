"""Parameters of `probe.verify`."""

from __future__ import annotations

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from worker.step import Params


def _url(value: str) -> str:
    if re.search(r"[\x00-\x20\x7f]", value):
        raise ValueError(f"{value!r} is no URL: it contains a space or a control character")
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError as error:
        raise ValueError(f"{value!r} is no URL: {error}") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"{value!r} is no URL of the form http[s]://HOST[:PORT]/PATH")
    if parts.username is not None:
        raise ValueError("a URL must not carry a password; probe something that needs none")
    return value


def _header_name(value: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", value) is None:  # RFC 9110, 5.6.2
        raise ValueError(f"{value!r} is not the name of an HTTP header")
    return value


def _header_value(value: str) -> str:
    if re.search(r"[\x00-\x08\x0a-\x1f\x7f]", value):
        raise ValueError("the value of an HTTP header must not contain control characters")
    return value


def _address(value: str) -> str:
    if (
        re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*|[0-9A-Fa-f:.]+(%[A-Za-z0-9_.-]+)?", value)
        is None
    ):
        raise ValueError(f"{value!r} is neither an IP address nor a host name")
    return value


def _script(value: str) -> str:
    if "\0" in value or not value.strip():
        raise ValueError("is empty or contains a NUL byte")
    return value


Url = Annotated[str, AfterValidator(_url)]
HeaderName = Annotated[str, AfterValidator(_header_name)]
HeaderValue = Annotated[str, AfterValidator(_header_value)]
Address = Annotated[str, AfterValidator(_address)]
Script = Annotated[str, AfterValidator(_script)]


class Probe(Params):
    """Common to all probes: `consecutive` successes in a row within `attempts` tries.

    `interval` and `timeout` in seconds; `timeout` is for a whole try, from connecting to the last
    byte. `source`: where the probe is made from ("from" in the fleet file).
    """

    attempts: int = Field(default=10, ge=1, le=10_000)
    interval: float = Field(default=1.0, ge=0)
    timeout: float = Field(default=5.0, gt=0, le=60)
    consecutive: int = Field(default=1, ge=1)
    source: Literal["worker", "host"] = "worker"

    @model_validator(mode="after")
    def _enough_attempts(self) -> Probe:
        if self.consecutive > self.attempts:
            raise ValueError(
                f"{self.consecutive} consecutive successes cannot come of {self.attempts} attempts"
            )
        return self


class Http(Probe):
    """An HTTP or HTTPS request; `status` None accepts 200 to 399. Redirects are not followed.

    `contains` is searched in the first MiB of the body. Proxy variables of the environment are
    ignored: what is probed is the host itself.
    """

    url: Url
    method: Literal["GET", "HEAD"] = "GET"
    status: int | None = Field(default=None, ge=100, le=599)
    contains: str | None = None
    headers: dict[HeaderName, HeaderValue] = {}
    tls_verify: bool = True

    @model_validator(mode="after")
    def _body_to_search(self) -> Http:
        if self.method == "HEAD" and self.contains is not None:
            raise ValueError("`contains` needs a body, and HEAD has none: use method GET")
        return self


class Tcp(Probe):
    """A TCP connection to the host's address, or to `address`."""

    port: int = Field(ge=1, le=65535)
    address: Address | None = None


class CommandProbe(Probe):
    """A command on the host by `sh -c`, which must exit with `exit` (and print `contains`).

    It must only read: it runs outside the guard and may be repeated at any time.
    """

    run: Script
    exit: int = Field(default=0, ge=0, le=255)
    contains: str | None = None


class Check(Params):
    """One probe: exactly one of these."""

    http: Http | None = None
    tcp: Tcp | None = None
    command: CommandProbe | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Check:
        kinds = list(type(self).model_fields)
        given = [kind for kind in kinds if getattr(self, kind) is not None]
        if len(given) != 1:
            raise ValueError(
                f"exactly one of {', '.join(kinds)} is needed, got {', '.join(given) or 'none'}"
            )
        return self

    @property
    def probe(self) -> Http | Tcp | CommandProbe:
        """The one that is set."""
        probe = self.http or self.tcp or self.command
        if probe is None:
            raise ValueError("an empty check")
        return probe


class Verify(Params):
    """`probe.verify`: all checks pass, in order."""

    checks: list[Check]
