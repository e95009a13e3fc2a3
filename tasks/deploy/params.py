"""Parameters of `deploy.redeploy` and `deploy.restore`: exactly one kind is set."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from worker.step import Params


class Docker(Params):
    """A container, replaced. The image is pulled before the old container is removed."""

    image: str
    name: str
    ports: list[str] = []
    volumes: list[str] = []
    env: dict[str, str] = {}
    env_file: str | None = None
    network: str | None = None
    restart: str = "unless-stopped"
    command: list[str] = []
    pull: bool = True  # False: the image is already on the host
    timeout: float = Field(default=600.0, gt=0)


class Package(Params):
    """A distribution's package by apt, dnf or yum; `version` None is the newest."""

    name: str
    version: str | None = None
    timeout: float = Field(default=600.0, gt=0)


class Systemd(Params):
    """A unit, restarted or reloaded."""

    unit: str
    action: Literal["restart", "reload"] = "restart"
    timeout: float = Field(default=90.0, gt=0)


class Release(Params):
    """An archive unpacked as `directory/releases/NAME`, `directory/current` swapped to it.

    `archive` is a path on the machine of the worker; the name is `version`. Then `unit` is
    restarted or reloaded, if there is one.
    """

    archive: str
    version: str
    directory: str
    unit: str | None = None
    action: Literal["restart", "reload"] = "restart"
    owner: str | None = None
    keep: int = Field(default=5, ge=1)  # releases kept, the current one and the one before always
    timeout: float = Field(default=300.0, gt=0)


class CommandDeploy(Params):
    """A command of the user's own, by `sh -c` on the host.

    `undo` puts the old state back; in both, what `facts` printed before the first action is in
    the environment as WINCH_BEFORE. `facts` reads only; when it prints the same before and
    after, nothing was changed.
    """

    run: str
    undo: str | None = None
    facts: str | None = None
    timeout: float = Field(default=600.0, gt=0)


class Redeploy(Params):
    """`deploy.redeploy` and `deploy.restore`: exactly one of these."""

    docker: Docker | None = None
    package: Package | None = None
    systemd: Systemd | None = None
    release: Release | None = None
    command: CommandDeploy | None = None
