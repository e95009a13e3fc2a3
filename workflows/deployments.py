"""The `redeploy` and `verify` sections of a fleet file.

They mirror `tasks.deploy.params` and `tasks.probe.params`, with durations as people write them
and texts that may hold `{version}`. The steps' own parameters check the expanded values.
"""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from workflows.kinds import Duration, PositiveDuration, Script, Text, Variable


class Section(BaseModel):
    """A part of a fleet file: unknown keys are refused; docstrings are the schema's words."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, populate_by_name=True
    )


class Docker(Section):
    """A container, replaced; the image is pulled before the old container is removed."""

    image: Text
    """The new image, such as nginx:{version}."""
    name: Text
    """The container's name."""
    ports: list[Text] = []
    """Published ports, such as 80:80."""
    volumes: list[Text] = []
    """Volumes, such as /data/www:/usr/share/nginx/html."""
    env: dict[Variable, Text] = {}
    """Environment of the container. No secrets here: use env_file."""
    env_file: Text | None = None
    """A file on the host with KEY=VALUE lines, for secrets."""
    network: Text | None = None
    """The network the container joins."""
    restart: Text = "unless-stopped"
    """Docker's restart policy."""
    command: list[Text] = []
    """The words of the command, instead of the image's own."""
    pull: bool = True
    """False: the image is already on the host."""
    stop_timeout: PositiveDuration = 10.0
    """How long the old container gets to end by itself; whole seconds."""
    timeout: PositiveDuration = 600.0
    """How long pulling and starting may take."""


class Package(Section):
    """A package of the distribution, by apt, dnf or yum."""

    name: Text
    """The package's name."""
    version: Text | None = None
    """The wanted version; without it, the newest."""
    timeout: PositiveDuration = 600.0
    """How long the installation may take."""


class Systemd(Section):
    """A systemd unit, restarted or reloaded."""

    unit: Text
    """The unit, such as app.service."""
    action: Literal["restart", "reload"] = "restart"
    """What to do with it."""
    timeout: PositiveDuration = 90.0
    """How long it may take."""


class Release(Section):
    """An archive, unpacked beside the release before; a symlink swapped to it."""

    archive: Text
    """The archive on the worker's machine; relative to the fleet file."""
    version: Text = "{version}"
    """The release's name."""
    directory: Text
    """Holds releases/NAME and the symlink current."""
    unit: Text | None = None
    """The unit to restart or reload afterwards."""
    action: Literal["restart", "reload"] = "restart"
    """What to do with the unit."""
    owner: Text | None = None
    """The owner of the files, such as app or app:app."""
    keep: int = Field(default=5, ge=1)
    """How many releases stay."""
    timeout: PositiveDuration = 300.0
    """How long it may take."""


class Command(Section):
    """Commands of your own, run by `sh -c` on the host."""

    run: Script
    """Brings the new state."""
    undo: Script | None = None
    """Brings the old state back; WINCH_BEFORE holds what `facts` printed before."""
    facts: Script | None = None
    """Prints what stands now; reads only."""
    timeout: PositiveDuration = 600.0
    """How long each may take."""
    reboots: PositiveDuration | None = None
    """They reboot the host: how long until it must have booted anew."""


class Redeploy(Section):
    """How a host gets the new version: exactly one of these."""

    docker: Docker | None = None
    """Replace a container."""
    package: Package | None = None
    """Install a package."""
    systemd: Systemd | None = None
    """Restart or reload a unit."""
    release: Release | None = None
    """Unpack an archive and swap a symlink."""
    command: Command | None = None
    """Run a command."""

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        _one_of(self, "docker, package, systemd, release, command")
        return self

    @property
    def kind(self) -> str:
        """Which one it is."""
        return next(name for name, value in self if value is not None)


class Probe(Section):
    """What every probe can be told."""

    attempts: int = Field(default=10, ge=1)
    """How often to try."""
    interval: Duration = 1.0
    """The pause between two tries."""
    timeout: PositiveDuration = 5.0
    """How long one try may take."""
    consecutive: int = Field(default=1, ge=1)
    """How many successes in a row are wanted."""
    source: Literal["worker", "host"] = Field(default="worker", alias="from")
    """Where the probe is made from."""

    @model_validator(mode="after")
    def _enough_attempts(self) -> Self:
        if self.consecutive > self.attempts:
            raise ValueError(
                f"consecutive ({self.consecutive}) is more than attempts ({self.attempts})"
            )
        return self


class Http(Probe):
    """An HTTP or HTTPS request; redirects are not followed."""

    url: Text
    """What to ask for, such as http://{address}/health."""
    method: Literal["GET", "HEAD"] = "GET"
    """The method."""
    status: int | None = Field(default=None, ge=100, le=599)
    """The wanted status; without it, 200 to 399."""
    contains: Text | None = None
    """Text that the answer must hold."""
    headers: dict[Text, Text] = {}
    """Headers to send."""
    tls_verify: bool = True
    """Whether the certificate must be valid."""


class Tcp(Probe):
    """A TCP connection."""

    port: int = Field(ge=1, le=65535)
    """The port."""
    address: Text | None = None
    """Where to, if not to the host's own address."""


class CommandProbe(Probe):
    """A command on the host, run by `sh -c`."""

    run: Script
    """The command."""
    exit: int = Field(default=0, ge=0, le=255)
    """The wanted exit code."""
    contains: Text | None = None
    """Text that it must print."""


class Check(Section):
    """One probe: exactly one of these."""

    http: Http | None = None
    """An HTTP request."""
    tcp: Tcp | None = None
    """A TCP connection."""
    command: CommandProbe | None = None
    """A command."""

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        _one_of(self, "http, tcp, command")
        return self

    @property
    def kind(self) -> str:
        """Which one it is."""
        return next(name for name, value in self if value is not None)


def _one_of(section: Section, kinds: str) -> None:
    given = [name for name, value in section if value is not None]
    if len(given) != 1:
        seen = " and ".join(given) if given else "none"
        raise ValueError(f"exactly one of {kinds} is wanted, not {seen}")


def drop_none(value: Any) -> Any:
    """Turn None, as `web1:` reads in YAML, into the empty mapping."""
    return {} if value is None else value


def none_word(value: Any) -> Any:
    """Turn the word `none` into None, which YAML itself does not."""
    return None if value == "none" else value
