"""`nginx.shutdown_workers`: WINCH; only the new version accepts from here on."""

from __future__ import annotations

from tasks.nginx import errorlog, moves
from tasks.nginx.binary import describe_new
from tasks.nginx.control import Nginx
from tasks.nginx.facts import Master
from tasks.nginx.params import ShutdownWorkers
from tasks.nginx.phase import Phase, Situation
from worker.errors import Failed
from worker.step import Context, Done, Outcome, step


def preview_shutdown(context: Context, params: ShutdownWorkers) -> list[str]:
    """List the signal."""
    _, now = Nginx(context, params.instance).look()
    old = now.old or now.new
    return [f"kill -WINCH {old.pid}  # let the workers of {old.version} go"] if old else []


@step("nginx.shutdown_workers", preview=preview_shutdown)
def shutdown(context: Context, params: ShutdownWorkers) -> Outcome:
    """Let the old workers finish; the old master stays and can come back.

    Raises:
        Failed: the new master does not serve; nothing is taken from the old one then.
    """
    nginx = Nginx(context, params.instance)
    _, now = nginx.settle()
    new = describe_new(context.host, params.new)
    if not moves.serves(now, new.sha256, None):
        raise not_serving(nginx, now, new.version)
    changed = nginx.dismiss(now)
    if now.core is Phase.UPGRADING and now.old is not None:
        now = nginx.let_workers_go(now.old, params.timeout)
        changed = True
        if not moves.serves(now, new.sha256, None):
            raise not_serving(nginx, now, new.version)
    return Done(f"only {now.new} accepts; {held(now.old)}", changed=changed)


def held(master: Master | None) -> str:
    """Say what workers that are leaving still hold."""
    if master is None or not master.leaving:
        return "no old worker is left"
    many, held_ = len(master.leaving), master.connections
    workers = "1 old worker still holds" if many == 1 else f"{many} old workers still hold"
    return f"{workers} {held_} connection{'' if held_ == 1 else 's'}"


def not_serving(nginx: Nginx, now: Situation, version: str) -> Failed:
    """Say that the new version does not serve (any more), and why if the log tells."""
    master = now.old or now.new
    log = master.process.log if master is not None else ""
    why = errorlog.last_exit(nginx.host, log)
    return Failed(
        f"{nginx.host.name}: expected nginx {version} to serve beside the old master, nginx is "
        f"{now}{f'; its log says {why}' if why else ''}: roll back, or mend the cause and retry"
    )
