"""`nginx.upgrade_executable`: USR2, and a second master that serves beside the old one."""

from __future__ import annotations

from tasks.nginx import binary, moves
from tasks.nginx.binary import Kept, describe_new
from tasks.nginx.control import LEAVING_SECONDS, Nginx, NotStarted
from tasks.nginx.params import UpgradeExecutable
from tasks.nginx.phase import Situation
from tasks.nginx.stage import before_of
from worker.errors import Failed
from worker.step import Context, Done, Outcome, Wait, step


def preview_upgrade(context: Context, params: UpgradeExecutable) -> list[str]:
    """List the signal."""
    _, now = Nginx(context, params.instance).look()
    new = describe_new(context.host, params.new)
    if moves.forward(now, new.sha256, None) != "upgrade" or now.new is None:
        return []
    return [f"kill -USR2 {now.new.pid}  # execute nginx {new.version} beside {now.new.version}"]


@step("nginx.upgrade_executable", preview=preview_upgrade)
def upgrade_executable(context: Context, params: UpgradeExecutable) -> Outcome:
    """Let the old master execute the new binary; wait until its workers serve.

    Raises:
        Failed: it did not start, with nginx's own reason; the old master serves on, and the old
            binary is back on the disk.
    """
    nginx = Nginx(context, params.instance)
    _, now = nginx.settle()
    new = describe_new(context.host, params.new)
    stood = before_of(context)
    before, identity = stood if stood is not None else (None, None)
    move = moves.forward(now, new.sha256, identity)
    if move == "leave" and now.new is not None:
        text = f"{now.new} still leaves with {now.new.connections} connections"
        return Wait("sessions", text, LEAVING_SECONDS)
    if move == "done":
        return Done(_detail(now), changed=False)
    if move in {"other", "fail"}:
        raise Failed(
            f"{context.host.name}: cannot upgrade to nginx {new.version}: nginx is {now}: "
            f"{nginx.look_hint}, then `winch nginx rollback {params.instance.group}`"
        )
    try:
        if move == "upgrade" and now.new is not None:
            now = nginx.start_second(new, now.new, params.timeout)
        else:
            old = now.old.process.identity if now.old is not None else ""
            now = nginx.await_second(new, old, params.timeout, None)
    except NotStarted as error:
        raise Failed(f"{error}; {_put_back(nginx, before)}") from error
    return Done(_detail(now))


def _put_back(nginx: Nginx, before: Kept | None) -> str:
    _, now = nginx.look()
    serving = f"{now.new or now.old} serves on"
    if before is None:
        return f"{serving}: mend the cause, then retry"
    binary.install(nginx.host, before, nginx.instance.binary)
    return f"{serving}, its binary is back on the disk: mend the cause, then retry"


def _detail(now: Situation) -> str:
    return f"{now.new} serves" + (f" beside {now.old}" if now.old is not None else "")
