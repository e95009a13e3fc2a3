"""Containers as Docker and Podman describe them, and what must be done with them (pure).

Three names are used beside NAME: NAME.winch-old (what stood before the last redeploy, stopped),
NAME.winch-new (created, not yet started) and NAME.winch-failed (what a restore took away, stopped,
for a look at its log). Each is replaced by the next one of its kind, so there is never more.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tasks.deploy.params import Docker
from worker.remote import Command

LABEL = "winch.config"
OLD, NEW, FAILED = ".winch-old", ".winch-new", ".winch-failed"


@dataclass(frozen=True)
class Container:
    """One container of `inspect`. `config` is the label that Winch gave it, or ""."""

    id: str
    name: str
    image: str
    status: str
    restart: str
    auto_remove: bool
    config: str
    exit_code: int = 0
    error: str = ""

    @property
    def running(self) -> bool:
        """Whether its process runs (and is not being restarted again and again)."""
        return self.status == "running"


Containers = Mapping[str, Container]  # by name


def _bare(identifier: str) -> str:
    return identifier.removeprefix("sha256:")  # Podman writes none


def parse_inspect(text: str) -> dict[str, Container]:
    """Parse the JSON list of `inspect`; by name, without Docker's leading slash."""
    entries: list[dict[str, Any]] = json.loads(text or "[]")
    found = {}
    for entry in entries:
        host_config, state = entry.get("HostConfig") or {}, entry.get("State") or {}
        policy = host_config.get("RestartPolicy") or {}
        restart = policy.get("Name") or "no"
        if restart == "on-failure" and policy.get("MaximumRetryCount"):
            restart += f":{policy['MaximumRetryCount']}"
        container = Container(
            id=entry["Id"],
            name=entry["Name"].lstrip("/"),
            image=_bare(entry["Image"]),
            status=state.get("Status", ""),
            restart=restart,
            auto_remove=bool(host_config.get("AutoRemove")),
            config=((entry.get("Config") or {}).get("Labels") or {}).get(LABEL, ""),
            exit_code=int(state.get("ExitCode") or 0),
            error=state.get("Error") or "",
        )
        found[container.name] = container
    return found


def digest(params: Docker, env_file_sha256: str) -> str:
    """Digest all that makes a container what it is, apart from the image's content."""
    config = params.model_dump(exclude={"pull", "timeout", "stop_timeout"}, mode="json")
    text = json.dumps([config, env_file_sha256], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Wish:
    """What shall run: the parameters, their digest and the id of the image."""

    params: Docker
    config: str
    image: str

    def met_by(self, container: Container | None) -> bool:
        """Whether a container is the wished one, running or not."""
        return (
            container is not None
            and container.config == self.config
            and container.image == _bare(self.image)
        )


def create_words(wish: Wish) -> list[str]:
    """The words after the program's name that create the new container under NAME.winch-new."""
    params = wish.params
    words = ["create", f"--name={params.name}{NEW}", f"--label={LABEL}={wish.config}"]
    words += [f"--restart={params.restart}"]
    words += [f"--publish={port}" for port in params.ports]
    words += [f"--volume={volume}" for volume in params.volumes]
    words += [f"--env={name}={value}" for name, value in params.env.items()]
    words += [f"--env-file={params.env_file}"] if params.env_file is not None else []
    words += [f"--network={params.network}"] if params.network is not None else []
    return [*words, params.image, *params.command]


def _can_update(tool: str) -> bool:
    # Before 5.1 Podman cannot change a restart policy; nor does it start what was stopped.
    return tool == "docker"


def _set_aside(tool: str, container: Container, name: str, stop_timeout: int) -> list[Command]:
    """Stop a container for good, also over a restart of the host, and give it another name."""
    words = []
    if _can_update(tool) and container.restart != "no":
        words.append(Command.of(tool, "update", "--restart=no", container.id))
    words.append(Command.of(tool, "stop", f"--time={stop_timeout}", container.id))
    words.append(Command.of(tool, "rename", container.id, name))
    return words


def decide_redeploy(
    tool: str, found: Containers, wish: Wish, before_id: str | None
) -> list[Command]:
    """Decide what is still needed, from any state that an earlier try may have left.

    `before_id`: the container that stood as NAME before this redeploy; it must survive. The new
    one is created before the old one is stopped, so that what Docker refuses costs nothing.
    """
    params, name = wish.params, wish.params.name
    current, old, new = found.get(name), found.get(name + OLD), found.get(name + NEW)
    if current is not None and wish.met_by(current):
        rest = [] if current.running else [Command.of(tool, "start", current.id)]
        return rest + ([Command.of(tool, "rm", "-f", new.id)] if new is not None else [])
    commands = []
    if new is not None and not wish.met_by(new):
        commands.append(Command.of(tool, "rm", "-f", new.id))
    if new is None or not wish.met_by(new):
        commands.append(Command.of(tool, *create_words(wish)))
    if current is not None and old is not None and old.id == before_id:
        # An earlier try got as far as its new container, which is not the wished one any more.
        commands.append(Command.of(tool, "rm", "-f", current.id))
    elif current is not None:
        if old is not None:
            commands.append(Command.of(tool, "rm", "-f", old.id))
        commands += _set_aside(tool, current, name + OLD, params.stop_timeout)
    commands.append(Command.of(tool, "rename", name + NEW, name))
    commands.append(Command.of(tool, "start", name))
    return commands


@dataclass(frozen=True)
class Before:
    """What stood as NAME before the redeploy; `id` None is nothing."""

    id: str | None
    running: bool = False
    restart: str = "no"
    image: str = ""


def decide_restore(
    tool: str, found: Containers, name: str, before: Before, stop_timeout: int
) -> list[Command]:
    """Decide how NAME becomes what it was, from any state between."""
    commands = []
    new, current, failed = found.get(name + NEW), found.get(name), found.get(name + FAILED)
    if new is not None:
        commands.append(Command.of(tool, "rm", "-f", new.id))
    if current is not None and current.id != before.id:
        if failed is not None:
            commands.append(Command.of(tool, "rm", "-f", failed.id))
        commands += _set_aside(tool, current, name + FAILED, stop_timeout)
    stood = next((one for one in found.values() if one.id == before.id), None)
    if stood is None:
        return commands
    if stood.name != name:
        commands.append(Command.of(tool, "rename", stood.id, name))
    if _can_update(tool) and stood.restart != before.restart:
        commands.append(Command.of(tool, "update", f"--restart={before.restart}", stood.id))
    if before.running and not stood.running:
        commands.append(Command.of(tool, "start", stood.id))
    if not before.running and stood.running:
        commands.append(Command.of(tool, "stop", f"--time={stop_timeout}", stood.id))
    return commands
