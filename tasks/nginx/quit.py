"""`nginx.quit`: the old master ends. The point of no return."""

from __future__ import annotations

from tasks.nginx import moves
from tasks.nginx.binary import describe_new, prune
from tasks.nginx.control import LEAVING_SECONDS, Nginx
from tasks.nginx.facts import Facts
from tasks.nginx.params import Quit
from tasks.nginx.phase import Phase, Situation
from tasks.nginx.reloading import prove
from tasks.nginx.workers import held, not_serving
from worker.errors import Failed
from worker.remote import Command
from worker.step import Context, Done, Outcome, Wait, step

SECONDS = 10.0  # for the old master to close its sockets, or a reload to show


def preview_quit(context: Context, params: Quit) -> list[str]:
    """List the signal."""
    _, now = Nginx(context, params.instance).look()
    old = now.old or now.new
    if old is None:
        return []
    lines = [f"kill -QUIT {old.pid}  # end the master of {old.version}"]
    if params.reload and params.instance.unit is not None:
        lines.append(f"systemctl reload {params.instance.unit}")
    return lines


@step("nginx.quit", preview=preview_quit)
def quit_old(context: Context, params: Quit) -> Outcome:
    """Tell the old master to quit, wait for its last connections, and see what remains.

    Raises:
        Failed: the new one does not serve, the old one has workers again, the pid file does not
            name the new master, or systemd does not follow it.
    """
    nginx = Nginx(context, params.instance)
    facts, now = nginx.settle()
    new = describe_new(context.host, params.new)
    if not moves.serves(now, new.sha256, None):
        raise not_serving(nginx, now, new.version)
    if now.core is Phase.UPGRADING:
        raise Failed(
            f"{context.host.name}: expected only nginx {new.version} to accept, but {now.old} has "
            "workers again (somebody sent it HUP): roll back, or send it WINCH and retry"
        )
    changed = nginx.dismiss(now)
    if now.core in {Phase.LEAVING, Phase.IDLE}:
        if facts.unit is not None:
            prove(nginx, facts.unit)  # while the old master can still come back
        now = nginx.quit_old(now, SECONDS)
        facts, now = nginx.look()
        changed = True
    if now.core is Phase.QUIT_PENDING and now.old is not None:
        text = held(now.old)
        if context.elapsed() < params.timeout:
            return Wait("sessions", f"{text} for {facts.age(now.new.process):.0f} s" if now.new
                        else text, LEAVING_SECONDS)  # fmt: skip
        return Done(f"{now.new} serves; {text}, and {now.old} ends with them", changed=True)
    return _verify(nginx, facts, now, params, new.sha256, changed)


def _verify(
    nginx: Nginx, facts: Facts, now: Situation, params: Quit, sha256: str, changed: bool
) -> Done:
    if now.core is not Phase.STEADY or now.new is None or now.new.sha256 != sha256:
        raise not_serving(nginx, now, params.new.version or "of the new binary")
    nginx.follow(facts, now)
    facts, now = nginx.look()
    parts = [f"{now.new} serves alone"]
    unit = params.instance.unit
    if unit is not None and facts.unit is not None:
        can = prove(nginx, facts.unit)
        if params.reload and facts.unit.can_reload:
            _reload(nginx, now, unit)
            nginx.follow(*nginx.look())
            can = "reloads it"
        parts.append(f"{unit} follows it and {can}")
    gone = prune(nginx.host, params.instance.binary)
    if gone:
        parts.append(f"{len(gone)} old binaries removed")
    return Done(", ".join(parts), changed=changed)


def _reload(nginx: Nginx, now: Situation, unit: str) -> None:
    before = {worker.identity for worker in now.new.workers} if now.new is not None else set()
    nginx.host.act(Command.of("systemctl", "reload", unit))
    nginx.until(
        lambda then: (
            then.new is not None
            and bool(then.new.workers)
            and not before & {worker.identity for worker in then.new.workers}
        ),
        SECONDS,
        f"new workers after `systemctl reload {unit}`",
    )
