"""What goes in, as OpenAPI says it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from chatops.orders import Order, Override
from workflows.nginx_options import NginxOptions
from workflows.options import Options

PRINTABLE = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$"
_NAME = r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}$"
_COUNT = r"^([1-9][0-9]{0,5}|([1-9]|[1-9][0-9]|100)%)$"

Name = Annotated[str, StringConstraints(pattern=_NAME)]
Line = Annotated[str, StringConstraints(pattern=PRINTABLE, max_length=500)]
Value = Annotated[str, StringConstraints(pattern=PRINTABLE, max_length=4000)]
Count = Annotated[str, StringConstraints(pattern=_COUNT)]
Duration = Annotated[
    str, StringConstraints(pattern=r"^[0-9]{1,6}(\.[0-9]{1,3})?(ms|s|m|h)$", max_length=20)
]
Moment = Annotated[
    str,
    StringConstraints(
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2})?(Z|[+-][0-9]{2}:[0-9]{2})$"
    ),
    Field(description="A time with its zone.", examples=["2027-01-09T02:00:00Z"]),
]
Variable = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$")]


class In(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class NginxUpgrade(In):
    """Options of nginx.upgrade and nginx.rollback.

    A binary or a source would be a file of the server: not by HTTP.
    """

    package: Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z.+:~-]{1,100}$")] | None = None
    """The version of the distribution's package: 1.26.3."""
    soak: Duration | None = None
    """How long the old master is kept; wins over the fleet file."""
    confirm: Literal["auto", "manual"] | None = None
    """What then: QUIT at once, or wait for an approval; wins over the fleet file."""
    force: bool = False
    """Also when this version runs already."""
    older: bool = False
    """Of nginx.rollback: also hosts that the group's newest upgrade did not reach."""


class JobOptions(In):
    """Options of a job, as on the command line."""

    limit: list[Name] = Field(default=[], max_length=10_000)
    """Only these hosts."""
    exclude: list[Name] = Field(default=[], max_length=10_000)
    """Not these hosts."""
    vars: dict[Variable, Value] = Field(default={}, max_length=200)
    """Variables; they win over the fleet file's."""
    max_unavailable: Count | None = None
    """How many hosts may be out at once: 2 or 25%."""
    stages: list[Count] | None = Field(default=None, max_length=100)
    """So many hosts first, then so many in all."""
    include_maintenance: bool = False
    """Also servers that somebody has put into maintenance."""
    at: Moment | Literal["now", "window"] | None = None
    """Start it then. window: when its window opens next; now: outside of its windows, too."""
    override_freeze: bool = False
    """Although it is frozen: takes the role admin and a reason, and is recorded."""

    nginx: NginxUpgrade = NginxUpgrade()

    def options(self) -> Options:
        """Say them as `workflows` does."""
        return Options(
            limit=tuple(dict.fromkeys(self.limit)),
            exclude=tuple(dict.fromkeys(self.exclude)),
            vars=dict(self.vars),
            max_unavailable=self.max_unavailable,
            stages=None if self.stages is None else tuple(self.stages),
            include_maintenance=self.include_maintenance,
            nginx=NginxOptions.parse(**self.nginx.model_dump()),
        )


class NewRun(In):
    """A job that is asked for."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "job": "roll",
                    "target": "web",
                    "options": {"vars": {"version": "1.26.3"}, "stages": ["1", "25%", "100%"]},
                    "reason": "CVE-2026-1234",
                },
                {"job": "drain", "target": "web", "hosts": ["web1"], "reason": "new disk"},
            ]
        }
    )

    job: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z_. -]{0,40}$")]
    """roll, drain, enable, ..."""
    target: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.,-]{0,500}$")]
    """What it is about: a pool of the fleet file, say."""
    hosts: list[Name] = Field(default=[], max_length=10_000)
    """Only these hosts; the same as options.limit."""
    options: JobOptions = JobOptions()
    reason: Line | None = None
    """Why: kept with the run."""

    def order(self) -> Order:
        """Say it as the desk does."""
        options = self.options
        return Order(
            self.job,
            self.target,
            self.hosts,
            options.options(),
            self.reason,
            options.at,
            options.override_freeze,
        )


class Going(In):
    """That hosts are to start although a freeze holds; takes the role admin."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{}, {"override_freeze": True, "reason": "the fix for INC-7"}]
        }
    )

    override_freeze: bool = False
    """Although it is frozen; is recorded."""
    reason: Line | None = None
    """Why; with override_freeze it must be there."""

    def override(self) -> Override:
        """Say it as the desk does."""
        return Override(self.override_freeze, self.reason)


class Hosts(Going):
    """Which hosts of a run are meant."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"hosts": ["web3"]}, {}]})

    hosts: list[Name] = Field(default=[], max_length=10_000)
    """None: all that it can be meant for."""


class OneHost(Going):
    """Which host of a run is meant."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"host": "web3"}]})

    host: Name


class Why(In):
    """Why something is done."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "its site is gone"}]})

    reason: Annotated[str, StringConstraints(pattern=PRINTABLE, min_length=1, max_length=500)]
