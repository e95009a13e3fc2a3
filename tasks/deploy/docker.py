"""A container, replaced by a new one of another image or configuration, and put back."""

from __future__ import annotations

import time
from dataclasses import asdict

from tasks.deploy.container import (
    FAILED,
    NEW,
    OLD,
    Before,
    Container,
    Wish,
    decide_redeploy,
    decide_restore,
    digest,
    parse_inspect,
)
from tasks.deploy.params import Docker
from tasks.deploy.record import RedeployRecord, RestoreRecord, act, last_words
from worker.errors import Failed, Refused
from worker.remote import Command, Host
from worker.step import Context, Done

# A process that dies of its configuration does so at once: seen here, its log is in the message.
SETTLE_SECONDS = 0.3
LOOK_SECONDS = 0.1
# Networks that exist without being listed everywhere.
BUILT_IN_NETWORKS = {"bridge", "host", "none"}

_TOOL = Command.shell(
    "for tool in docker podman; do command -v $tool >/dev/null 2>&1 && echo $tool && exit; done"
)


def find_tool(host: Host) -> str:
    """Find docker, else podman.

    Raises:
        Refused: the host has neither.
    """
    tool = host.read(_TOOL, check=False).stdout.strip()
    if tool not in {"docker", "podman"}:
        raise Refused(f"{host.name}: has neither docker nor podman: install one of them")
    return tool


def observe(host: Host, tool: str, name: str) -> dict[str, Container]:
    """Read the containers that stand under NAME and the three names beside it.

    Raises:
        Failed: the engine itself does not answer.
    """
    names = [name, name + OLD, name + NEW, name + FAILED]
    result = host.read(Command.of(tool, "container", "inspect", *names), check=False)
    errors = [line for line in result.stderr.splitlines() if line.strip()]
    if any("no such" not in line.lower() for line in errors):
        raise Failed(
            f"{host.name}: {tool} does not answer: {last_words(result)}; is its service running, "
            "and may the SSH user speak to it?"
        )
    return parse_inspect(result.stdout)


def image_id(host: Host, tool: str, image: str) -> str | None:
    """Read the id of an image on the host; None if it is not there."""
    command = Command.of(tool, "image", "inspect", "--format={{.Id}}", image)
    result = host.read(command, check=False)
    return result.stdout.strip() if result.ok else None


def _env_file_sha256(host: Host, params: Docker) -> str:
    if params.env_file is None:
        return ""
    result = host.read(Command.of("sha256sum", "--", params.env_file), check=False)
    if not result.ok:
        raise Refused(f"{host.name}: env_file {params.env_file}: {last_words(result)}")
    return result.stdout.split()[0]


def _pull(context: Context, tool: str, params: Docker) -> None:
    try:
        act(
            context,
            Command.of(tool, "pull", params.image),
            timeout=params.timeout,
            what=f"pull {params.image}",
        )
    except Failed as error:
        raise Refused(
            f"{error.message}; the container was not touched: correct the image, or log in to its "
            "registry on the host"
        ) from error


def _check_network(host: Host, tool: str, network: str | None) -> None:
    # `create` takes any name; `start` would refuse it, when the old container is stopped already.
    if network is None or network in BUILT_IN_NETWORKS or ":" in network:
        return
    if not host.read(Command.of(tool, "network", "inspect", network), check=False).ok:
        raise Refused(
            f"{host.name}: there is no {tool} network {network}: make it with `{tool} network "
            f"create {network}`, or correct `network`"
        )


def _wish(host: Host, tool: str, params: Docker) -> Wish:
    image = image_id(host, tool, params.image)
    if image is None:
        raise Refused(
            f"{host.name}: image {params.image} is not on the host, and `pull` is false; load it, "
            "or let Winch pull it"
        )
    return Wish(params, digest(params, _env_file_sha256(host, params)), image)


def redeploy(context: Context, params: Docker, record: RedeployRecord) -> Done:
    """Pull, then replace the container; the old one is kept under another name."""
    host, name = context.host, params.name
    tool = find_tool(host)
    observe(host, tool, name)  # an engine that does not answer is told apart from a bad image
    _check_network(host, tool, params.network)
    if params.pull:
        _pull(context, tool, params)
    wish = _wish(host, tool, params)
    found = observe(host, tool, name)
    current = found.get(name)
    if record.before is None:
        if current is not None and current.running and wish.met_by(current):
            return Done(f"{name} runs {_image(wish.image)} as wished already", changed=False)
        if current is not None and current.auto_remove:
            raise Refused(
                f"{host.name}: container {name} was started with --rm, it would be gone when it is "
                "stopped and could not be put back: start it without --rm"
            )
        record.remember(before=_before(current), image=wish.image)
    before = _parse_before(record)
    for command in decide_redeploy(tool, found, wish, before.id):
        act(context, command, timeout=params.stop_timeout + 60, what=_what(command))
    _verify(host, tool, wish)
    return Done(
        f"{name}: {_image(before.image) if before.id else 'nothing'} → {_image(wish.image)}"
    )


def _verify(host: Host, tool: str, wish: Wish) -> None:
    name = wish.params.name
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        after = observe(host, tool, name).get(name)
        if after is None or not (wish.met_by(after) and after.running):
            raise _complaint(host, tool, name, after, f"running with {_image(wish.image)}")
        if time.monotonic() >= deadline:
            return
        time.sleep(LOOK_SECONDS)


def _before(current: Container | None) -> dict[str, object]:
    if current is None:
        return asdict(Before(None))
    # A container that restarts again and again counts as running: back means back to that.
    running = current.status in {"running", "restarting"}
    return asdict(Before(current.id, running, current.restart, current.image))


def _parse_before(record: RedeployRecord | RestoreRecord) -> Before:
    return Before(**dict(record.before or {"id": None}))


def _image(identifier: str) -> str:
    return f"image {identifier.removeprefix('sha256:')[:12]}"


def _what(command: Command) -> str:
    return " ".join(command.argv[:2])


def _complaint(host: Host, tool: str, name: str, seen: Container | None, expected: str) -> Failed:
    if seen is None:
        return Failed(f"{host.name}: container {name} is not there, expected {expected}")
    log = host.read(Command.of(tool, "logs", "--tail=5", seen.id), check=False)
    why = f" ({seen.error})" if seen.error else ""
    return Failed(
        f"{host.name}: container {name} is {seen.status} with exit code {seen.exit_code}{why} and "
        f"{_image(seen.image)}, expected {expected}; its log: {last_words(log)}"
    )


def restore(context: Context, params: Docker, record: RestoreRecord) -> Done:
    """Give the old container its name back and start it; the new one stays for a look.

    Raises:
        Failed: the old container is gone, or does not run.
    """
    host, name = context.host, params.name
    tool = find_tool(host)
    before = _parse_before(record)
    found = observe(host, tool, name)
    if before.id is not None and all(one.id != before.id for one in found.values()):
        raise Failed(
            f"{host.name}: the container that stood as {name} before ({before.id[:12]}, "
            f"{_image(before.image)}) is gone, somebody removed it; start one by hand, then "
            "`winch retry` or `winch skip`"
        )
    commands = decide_restore(tool, found, name, before, params.stop_timeout)
    for command in commands:
        act(context, command, timeout=params.stop_timeout + 60, what=_what(command))
    after = observe(host, tool, name).get(name)
    if before.id is None:
        if after is not None:
            raise Failed(f"{host.name}: container {name} is still there, expected none as before")
        return Done(f"{name} is gone, as before", bool(commands))
    if after is None or after.id != before.id or after.running != before.running:
        expected = f"{before.id[:12]} {'running' if before.running else 'stopped'} as before"
        raise _complaint(host, tool, name, after, expected)
    kept = f"; the failed one is {name}{FAILED}" if commands else ""
    return Done(f"{name} is {_image(before.image)} again{kept}", bool(commands))


def preview(context: Context, params: Docker) -> list[str]:
    """Say what would be run, judged by the image that is on the host now."""
    host = context.host
    tool = find_tool(host)
    found = observe(host, tool, params.name)
    _check_network(host, tool, params.network)
    image = image_id(host, tool, params.image)
    pull = [str(Command.of(tool, "pull", params.image))] if params.pull else []
    if image is None and not params.pull:
        _wish(host, tool, params)
    wish = Wish(params, digest(params, _env_file_sha256(host, params)), image or "")
    current = found.get(params.name)
    commands = decide_redeploy(tool, found, wish, current.id if current is not None else None)
    return pull + [str(command) for command in commands]


def preview_restore(context: Context, params: Docker, record: RestoreRecord) -> list[str]:
    """Say what would be run to go back."""
    tool = find_tool(context.host)
    found = observe(context.host, tool, params.name)
    before = _parse_before(record)
    commands = decide_restore(tool, found, params.name, before, params.stop_timeout)
    return [str(command) for command in commands]
