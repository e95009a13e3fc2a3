"""The steps `deploy.redeploy` and `deploy.restore`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tasks.deploy import command, docker, package, release, systemd
from tasks.deploy.params import Redeploy
from tasks.deploy.record import RedeployRecord, RestoreRecord
from worker.step import Context, Done, Outcome, step


@dataclass(frozen=True)
class Kind:
    """What a kind of redeploy can do; its parameters are the field of `Redeploy` of that name."""

    redeploy: Callable[[Context, Any, RedeployRecord], Outcome]
    restore: Callable[[Context, Any, RestoreRecord], Outcome]
    preview: Callable[[Context, Any], list[str]]
    preview_restore: Callable[[Context, Any, RestoreRecord], list[str]]


def _kind(module: Any) -> Kind:
    return Kind(module.redeploy, module.restore, module.preview, module.preview_restore)


KINDS = {
    "docker": _kind(docker),
    "package": _kind(package),
    "systemd": _kind(systemd),
    "release": _kind(release),
    "command": _kind(command),
}


def chosen(params: Redeploy) -> tuple[Kind, Any]:
    """Choose the kind that is set, and its parameters."""
    return next(
        (kind, getattr(params, name))
        for name, kind in KINDS.items()
        if getattr(params, name) is not None
    )


def preview_redeploy(context: Context, params: Redeploy) -> list[str]:
    """List what `redeploy` would run now."""
    kind, own = chosen(params)
    return kind.preview(context, own)


def preview_restore(context: Context, params: Redeploy) -> list[str]:
    """List what `restore` would run now; nothing if the redeploy never acted."""
    kind, own = chosen(params)
    record = RestoreRecord(context)
    return [] if record.before is None else kind.preview_restore(context, own, record)


@step("deploy.redeploy", preview=preview_redeploy)
def redeploy(context: Context, params: Redeploy) -> Outcome:
    """Bring the new version; what stood before is remembered first."""
    kind, own = chosen(params)
    return kind.redeploy(context, own, RedeployRecord(context))


@step("deploy.restore", preview=preview_restore)
def restore(context: Context, params: Redeploy) -> Outcome:
    """Put back what stood before the lane's redeploy; nothing if it never acted."""
    kind, own = chosen(params)
    record = RestoreRecord(context)
    if record.before is None:
        return Done("nothing to put back: the redeploy changed nothing", changed=False)
    return kind.restore(context, own, record)
