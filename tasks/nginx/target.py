"""Where a rollback brings a host back to, and whether it is meant at all.

The record of a host says what stood before its last upgrade. When the newest upgrade of the group
has not reached the host, that is an older one: it is left alone, unless somebody says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass

from tasks.nginx import binary, moves
from tasks.nginx.binary import Kept
from tasks.nginx.control import Nginx
from tasks.nginx.facts import Facts
from tasks.nginx.params import Instance
from tasks.nginx.phase import Phase, Situation
from worker.errors import Refused
from worker.step import Context, Done


def wanted(nginx: Nginx, facts: Facts, now: Situation, *, older: bool) -> Kept | None:
    """Where to go back to, by what is observed now; None: nowhere."""
    target = _observed(nginx, facts, now)
    if target is not None and not older and _by_older(nginx, now, target):
        return None
    return target


def _observed(nginx: Nginx, facts: Facts, now: Situation) -> Kept | None:
    record = binary.read_record(nginx.host, nginx.instance.binary)
    return moves.choose_target(facts, now, record)


def target_of(nginx: Nginx, facts: Facts, now: Situation, *, older: bool) -> Kept | None:
    """Where to go back to: as it was first found out, with a copy of it on the disk.

    None: a host of the group that was never reached, or, unless `older`, not by its newest upgrade.

    Raises:
        Refused: nothing is known of an upgrade, and nginx is not steady.
    """
    context, name = nginx.context, nginx.host.name
    before = context.memory or context.recall("nginx.reload_old")
    if "stays" in before:
        return None
    known = before.get("target")
    target = Kept.load(known) if known is not None else _observed(nginx, facts, now)
    if target is None:
        if now.phase is Phase.STEADY:
            return None
        raise Refused(
            f"{name}: nothing to go back to: nginx is {now}, and no upgrade of "
            f"{nginx.instance.binary} is on record here: {nginx.look_hint}"
        )
    if known is None and not older and _by_older(nginx, now, target):
        context.remember(stays=_stays(nginx.instance, now, target))
        return None
    if not target.path:
        path = binary.backup_path(nginx.instance.binary, target.version)
        target = Kept(target.version, target.sha256, path)
    if known is None:
        context.remember(target=target.dump(), uptime=facts.uptime)
    source = moves.source_of(facts, target.sha256)
    if source is not None:
        like = nginx.instance.binary if facts.disk is not None else source
        binary.keep(nginx.host, source, target, like)
    return target


def _by_older(nginx: Nginx, now: Situation, target: Kept) -> bool:
    """Whether going back would undo another upgrade than the newest one of the group."""
    if now.phase is not Phase.STEADY or moves.back(now, target.sha256) != "upgrade":
        return False
    reached = nginx.context.reached("nginx.upgrade", nginx.instance.group, "nginx.stage")
    return reached is not None and nginx.instance.host not in reached


def _stays(instance: Instance, now: Situation, target: Kept) -> str:
    """Say why a host stays as it is, and what would change that."""
    running = now.new.version if now.new is not None else "?"
    return (
        f"stays at {running}: the newest upgrade of {instance.group} did not reach it, an older "
        f"one came from {target.version}; --older goes back there"
    )


def nothing(context: Context, now: Situation) -> Done:
    """Say why a host stays as it is."""
    before = context.memory or context.recall("nginx.reload_old")
    if "stays" in before:
        return Done(str(before["stays"]), changed=False)
    return Done(f"{now.new} serves, no upgrade is on record: nothing to go back to", changed=False)


@dataclass(frozen=True)
class Course:
    """What a rollback is going to do with a host. `stays`: an older upgrade is left alone."""

    text: str
    stays: bool = False


def course_of(nginx: Nginx, *, older: bool) -> Course:
    """Say from which version to which a host would go back, and by which way."""
    facts, now = nginx.settle()
    target = _observed(nginx, facts, now)
    steady, serving = now.phase is Phase.STEADY, now.new or now.old
    running = serving.version if serving is not None else "not running"
    if target is None:
        return Course(f"{running}, nothing to go back to" if steady else f"{now}: no way back")
    if not older and _by_older(nginx, now, target):
        return Course(_stays(nginx.instance, now, target), stays=True)
    move = moves.back(now, target.sha256)
    if move == "nothing" and steady:
        put = "" if binary.same(facts.disk, target) else "its file comes back to the disk"
        return Course(f"{running}, {put or 'nothing to go back to'}")
    ways = {
        "reload": "the old master takes over again (HUP)",
        "upgrade": f"the same upgrade with {target.path or 'the running binary'}",
        "start": "started with the old binary",
        "nothing": "the other version ends (QUIT)",
    }
    return Course(f"{running} → {target.version}: {ways.get(move, f'nginx is {now}')}")
