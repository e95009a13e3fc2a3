"""Parameters of `deploy.redeploy` and `deploy.restore`: exactly one kind is set.

The patterns keep a value from being taken for an option or for syntax on any of the ways it goes
(a word of a command, a path, a line of facts). They are checked after `{vars}` were filled in, and
deliberately not part of the JSON Schema, in which a value may still contain `{version}`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from worker.step import Params


def _matching(pattern: str, what: str) -> Callable[[str], str]:
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if compiled.fullmatch(value) is None:
            raise ValueError(f"{value!r} is not {what}")
        return value

    return check


def _path(value: str) -> str:
    if (
        not value.startswith("/")
        or re.search(r"[\x00-\x1f\x7f]", value)
        or ".." in value.split("/")
    ):
        raise ValueError(f"{value!r} is not an absolute path without '..'")
    return value


def _directory(value: str) -> str:
    stripped = _path(value).rstrip("/")
    if not stripped:
        raise ValueError("'/' cannot be the directory of releases")
    return stripped


def _script(value: str) -> str:
    if "\0" in value or not value.strip():
        raise ValueError("is empty or contains a NUL byte")
    return value


def _word(value: str) -> str:
    if "\0" in value:
        raise ValueError("contains a NUL byte")
    return value


_PORT = r"\d{1,5}(-\d{1,5})?"
Image = Annotated[
    str,
    AfterValidator(
        _matching(r"[A-Za-z0-9][A-Za-z0-9._:/@\[\]-]{0,511}", "an image reference (NAME[:TAG])")
    ),
]
# What Docker accepts, less what Winch appends to it: NAME.winch-failed must be a name too.
ContainerName = Annotated[
    str,
    AfterValidator(
        _matching(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,200}", "a container name (letters, digits, _ . -)")
    ),
]
Port = Annotated[
    str,
    AfterValidator(
        _matching(
            rf"((\d+(\.\d+){{3}}|\[[0-9A-Fa-f:.]+\]):)?({_PORT}:)?{_PORT}(/(tcp|udp|sctp))?",
            "a port ([ADDRESS:]HOST_PORT:CONTAINER_PORT[/udp])",
        )
    ),
]
Volume = Annotated[
    str,
    AfterValidator(
        _matching(
            r"(/[^:\x00-\x1f]*|[A-Za-z0-9][A-Za-z0-9_.-]*):/[^:\x00-\x1f]*(:[A-Za-z,]+)?",
            "a volume (/PATH_OR_NAME:/PATH[:ro])",
        )
    ),
]
EnvName = Annotated[str, AfterValidator(_matching(r"[A-Za-z_][A-Za-z0-9_.]*", "a variable's name"))]
Network = Annotated[
    str, AfterValidator(_matching(r"[A-Za-z0-9][A-Za-z0-9_.:-]*", "a network's name"))
]
RestartPolicy = Annotated[
    str,
    AfterValidator(
        _matching(
            r"no|always|unless-stopped|on-failure(:\d+)?",
            "a restart policy (no, always, unless-stopped, on-failure[:N])",
        )
    ),
]
PackageName = Annotated[
    str, AfterValidator(_matching(r"[A-Za-z0-9][A-Za-z0-9.+_-]*", "a package name"))
]
PackageVersion = Annotated[
    str, AfterValidator(_matching(r"[A-Za-z0-9][A-Za-z0-9.+~:^_-]*", "a package version"))
]
# systemd.unit(5): letters, digits and :-_.\ with an optional instance; a path is no unit name.
UnitName = Annotated[
    str,
    AfterValidator(_matching(r"[A-Za-z0-9_][A-Za-z0-9:_.\\@-]{0,254}", "a unit name")),
]
ReleaseName = Annotated[
    str,
    AfterValidator(
        _matching(r"[A-Za-z0-9_][A-Za-z0-9_.+~-]{0,127}", "a release name (letters, digits, _.+~-)")
    ),
]
Owner = Annotated[
    str,
    AfterValidator(
        _matching(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(:[A-Za-z0-9_][A-Za-z0-9_.-]*)?", "USER[:GROUP]")
    ),
]
AbsolutePath = Annotated[str, AfterValidator(_path)]
Directory = Annotated[str, AfterValidator(_directory)]
Script = Annotated[str, AfterValidator(_script)]
Word = Annotated[str, AfterValidator(_word)]
UnitAction = Literal["restart", "reload"]


class Docker(Params):
    """A container, replaced (by podman where there is no docker).

    The image is pulled before the old container is touched; the old one is stopped and kept as
    NAME.winch-old until the next redeploy. `stop_timeout`: seconds that the old container gets to
    end by itself. A container that Winch did not make is replaced once, even if it looks alike.
    """

    image: Image
    name: ContainerName
    ports: list[Port] = []
    volumes: list[Volume] = []
    env: dict[EnvName, Word] = {}
    env_file: AbsolutePath | None = None
    network: Network | None = None
    restart: RestartPolicy = "unless-stopped"
    command: list[Word] = []
    pull: bool = True  # False: the image is already on the host
    stop_timeout: int = Field(default=10, ge=0, le=600)
    timeout: float = Field(default=600.0, gt=0)


class Package(Params):
    """A distribution's package by apt, dnf or yum.

    `version`: a whole version, or the beginning of one ("1.26"), which means the newest that
    begins so; None is the newest that the repositories offer.
    """

    name: PackageName
    version: PackageVersion | None = None
    timeout: float = Field(default=600.0, gt=0)


class Systemd(Params):
    """A unit, restarted or reloaded."""

    unit: UnitName
    action: UnitAction = "restart"
    timeout: float = Field(default=90.0, gt=0)


class Release(Params):
    """An archive unpacked as `directory/releases/NAME`, `directory/current` swapped to it.

    `archive` is a path on the machine of the worker (.tar, .tar.gz, .tgz, .tar.bz2, .tar.xz, .zip);
    the name is `version`. Then `unit` is restarted or reloaded, if there is one.
    """

    archive: AbsolutePath
    version: ReleaseName
    directory: Directory
    unit: UnitName | None = None
    action: UnitAction = "restart"
    owner: Owner | None = None
    keep: int = Field(default=5, ge=1)  # releases kept, the current one and the one before always
    timeout: float = Field(default=300.0, gt=0)


class CommandDeploy(Params):
    """A command of the user's own, by `sh -c` on the host.

    `undo` puts the old state back; in both, what `facts` printed before the first action is in
    the environment as WINCH_BEFORE. `facts` reads only; when it prints the same before and
    after, nothing was changed. A command that was interrupted is run again; one that completed is
    not, so `run` must bear being started twice. `reboots`: both reboot the host; seconds until it
    must have booted anew.
    """

    run: Script
    undo: Script | None = None
    facts: Script | None = None
    timeout: float = Field(default=600.0, gt=0)
    reboots: float | None = Field(default=None, gt=0)


class Redeploy(Params):
    """`deploy.redeploy` and `deploy.restore`: exactly one of these."""

    docker: Docker | None = None
    package: Package | None = None
    systemd: Systemd | None = None
    release: Release | None = None
    command: CommandDeploy | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Redeploy:
        kinds = list(type(self).model_fields)
        given = [kind for kind in kinds if getattr(self, kind) is not None]
        if len(given) != 1:
            raise ValueError(
                f"exactly one of {', '.join(kinds)} is needed, got {', '.join(given) or 'none'}"
            )
        return self
