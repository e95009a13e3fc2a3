"""What to do next, from what was observed. Pure."""

from __future__ import annotations

from typing import Literal

from tasks.nginx.binary import Kept, Record
from tasks.nginx.facts import Facts
from tasks.nginx.phase import RETURN, Phase, Situation

Forward = Literal["upgrade", "wait", "leave", "done", "other", "fail"]
Back = Literal["nothing", "reload", "upgrade", "start", "wait", "leave", "fail"]
Parting = Literal["done", "quit_new", "let_workers_go", "quit_old", "wait", "not_serving", "fail"]


def serves(now: Situation, sha256: str, before: str | None) -> bool:
    """Whether a master of that content, other than `before`, accepts connections."""
    new = now.new
    return (
        new is not None
        and now.core not in {Phase.USR2, Phase.ROLLED_BACK, Phase.BROKEN}
        and new.sha256 == sha256
        and new.process.identity != before
        and new.listening
        and bool(new.workers)
    )


def forward(now: Situation, sha256: str, before: str | None) -> Forward:
    """Decide how a second master of that content comes to be; `before` is the old one's identity.

    other: two masters, but the new one is of another content.
    """
    if serves(now, sha256, before):
        return "done"
    match now.core:
        case Phase.STEADY:
            return "upgrade"
        case Phase.USR2:
            return "wait"
        case Phase.ROLLED_BACK:
            return "leave"
        case Phase.UPGRADING | Phase.LEAVING | Phase.IDLE | Phase.QUIT_PENDING:
            new = now.new
            return "wait" if new is not None and new.sha256 == sha256 else "other"
        case _:
            return "fail"


def choose_target(facts: Facts, now: Situation, record: Record | None) -> Kept | None:  # noqa: PLR0911
    """Tell which binary a host shall go back to; its path "" when no copy is known.

    With two masters the older one's, unless the younger is our own way back after QUIT. With one,
    what the record says stood before it, or itself when only the disk has another by now. None:
    nothing is known of an upgrade, and there is nothing to undo.
    """
    if now.old is not None:
        returning = (
            record is not None
            and now.new is not None
            and now.new.sha256 == record.old.sha256
            and now.old.sha256 == record.new.sha256
        )
        if record is not None and (returning or now.old.sha256 == record.old.sha256):
            return record.old
        return Kept(now.old.version, now.old.sha256, "")
    master = now.new
    if master is None:
        return record.old if record is not None else None
    if record is not None and master.sha256 in {record.old.sha256, record.new.sha256}:
        return record.old
    if now.orphans:
        oldest = min(now.orphans, key=lambda orphan: orphan.start)
        lost = facts.binaries.get(oldest.exe_id)
        if lost is not None and oldest.start < master.process.start:
            return Kept(lost.version, lost.sha256, "")
    replaced = facts.disk is not None and facts.disk.sha256 != master.sha256
    if now.orphans or now.phase is Phase.BROKEN or replaced:
        return Kept(master.version, master.sha256, "")
    return None


def source_of(facts: Facts, sha256: str) -> str | None:
    """Where the content of an executable can still be read: a process that runs it."""
    for master in facts.masters:
        if master.sha256 == sha256:
            return f"/proc/{master.pid}/exe"
    for orphan in facts.orphans:
        known = facts.binaries.get(orphan.exe_id)
        if known is not None and known.sha256 == sha256:
            return f"/proc/{orphan.pid}/exe"
    return None


def back(now: Situation, sha256: str) -> Back:  # noqa: PLR0911
    """Decide how the version to go back to comes to accept connections again."""
    old, new = now.old, now.new
    if now.core is Phase.USR2:
        return "wait"
    if now.core is Phase.NOT_RUNNING:
        return "start"
    if old is not None and new is not None:
        if now.core in RETURN and old.sha256 == sha256:
            return "nothing" if old.workers else "reload"
        if now.core is Phase.ROLLED_BACK and old.sha256 == sha256:
            return "nothing" if old.workers else "reload"
        if now.core is Phase.ROLLED_BACK or (
            now.core is Phase.QUIT_PENDING and new.sha256 != sha256
        ):
            return "leave"
        return "nothing" if new.sha256 == sha256 and new.workers else "fail"
    if new is None or not new.listening:
        return "leave" if new is not None else "fail"
    if now.core is Phase.BROKEN and new.workers:
        return "fail"  # its pid file is wrong, and every signal of systemd's goes astray
    if not new.workers:
        return "reload"
    return "nothing" if new.sha256 == sha256 else "upgrade"


def parting(now: Situation, sha256: str) -> Parting:  # noqa: PLR0911
    """Decide how the version that is not wanted stops accepting."""
    old, new = now.old, now.new
    if now.core is Phase.USR2:
        return "wait"
    if old is None or new is None:
        steady = now.core is Phase.STEADY and new is not None and new.sha256 == sha256
        return "done" if steady else "fail"
    if now.core is Phase.ROLLED_BACK:
        return "done" if old.workers else "not_serving"
    if now.core is Phase.QUIT_PENDING:
        return "done"
    if now.core not in RETURN:
        return "fail"
    if old.sha256 == sha256:
        return "quit_new" if old.workers else "not_serving"
    if new.sha256 != sha256:
        return "fail"
    if not new.workers:
        return "not_serving"
    return "let_workers_go" if old.workers else "quit_old"
