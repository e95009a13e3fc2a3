"""Parameters of `probe.verify`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from worker.step import Params


class Probe(Params):
    """Common to all probes: `consecutive` successes within `attempts` tries.

    `interval` and `timeout` in seconds. `source`: where the probe is made from ("from" in the
    fleet file).
    """

    attempts: int = Field(default=10, ge=1)
    interval: float = Field(default=1.0, ge=0)
    timeout: float = Field(default=5.0, gt=0)
    consecutive: int = Field(default=1, ge=1)
    source: Literal["worker", "host"] = "worker"


class Http(Probe):
    """An HTTP or HTTPS request; `status` None accepts 200 to 399. Redirects are not followed."""

    url: str
    method: Literal["GET", "HEAD"] = "GET"
    status: int | None = Field(default=None, ge=100, le=599)
    contains: str | None = None
    headers: dict[str, str] = {}
    tls_verify: bool = True


class Tcp(Probe):
    """A TCP connection to the host's address, or to `address`."""

    port: int = Field(ge=1, le=65535)
    address: str | None = None


class CommandProbe(Probe):
    """A command on the host by `sh -c`, which must exit with `exit` (and print `contains`)."""

    run: str
    exit: int = 0
    contains: str | None = None


class Check(Params):
    """One probe: exactly one of these."""

    http: Http | None = None
    tcp: Tcp | None = None
    command: CommandProbe | None = None


class Verify(Params):
    """`probe.verify`: all checks pass, in order."""

    checks: list[Check]
