"""The way back, from whatever phase: the old version accepts, the other leaves, all is as it was.

`nginx.reload_old` finds out where to go back to and remembers it for the others.
"""

from __future__ import annotations

from tasks.nginx import binary, moves, signals
from tasks.nginx.binary import Kept
from tasks.nginx.control import LEAVING_SECONDS, Nginx, NotStarted
from tasks.nginx.examine import test_configuration
from tasks.nginx.facts import Facts, Master
from tasks.nginx.params import QuitNew, ReloadOld, Unstage
from tasks.nginx.phase import Phase, Situation
from tasks.nginx.target import nothing, target_of, wanted
from tasks.nginx.workers import held
from worker.errors import Failed
from worker.remote import Command
from worker.step import Context, Done, Outcome, Wait, step

WAYS = 6  # decisions in a row that one step may need: wait, start, dismiss, reload …


def preview_reload_old(context: Context, params: ReloadOld) -> list[str]:
    """List what brings the old version back."""
    nginx = Nginx(context, params.instance)
    facts, now = nginx.look()
    target = wanted(nginx, facts, now, older=params.older)
    if target is None:
        return []
    old = now.old or now.new
    match moves.back(now, target.sha256):
        case "reload" if old is not None:
            return [f"kill -HUP {old.pid}  # workers of nginx {target.version} again"]
        case "upgrade" if old is not None:
            path = params.instance.binary
            return [f"cp {target.path} {path}", f"kill -USR2 {old.pid}  # nginx {target.version}"]
        case "start":
            return [f"systemctl start {params.instance.unit}"]
        case _:
            return []


@step("nginx.reload_old", preview=preview_reload_old)
def reload_old(context: Context, params: ReloadOld) -> Outcome:
    """Let the old version accept connections again.

    Raises:
        Refused: nothing is known of an upgrade.
        Failed: it cannot; the other version serves on.
    """
    nginx = Nginx(context, params.instance)
    changed = False
    seen = None
    for _ in range(WAYS):
        facts, now = seen or nginx.settle()
        target = target_of(nginx, facts, now, older=params.older)
        if target is None:
            return nothing(context, now)
        move = moves.back(now, target.sha256)
        if move == "nothing":
            serving = now.old if now.old and now.old.sha256 == target.sha256 else now.new
            return Done(f"{serving} accepts connections", changed=changed)
        if move == "leave":
            return _leaving(context, params, now)
        if move == "fail":
            raise Failed(f"{nginx.host.name}: cannot go back: nginx is {now}: {_advice(nginx)}")
        changed = True
        seen = _bring_back(nginx, now, target, params.timeout, move)
    raise Failed(f"{nginx.host.name}: nginx is {now} after {WAYS} tries to go back: retry")


def _bring_back(
    nginx: Nginx, now: Situation, target: Kept, timeout: float, move: moves.Back
) -> tuple[Facts, Situation] | None:
    """Make one move; return what was seen last, if that is how things stand now."""
    master = now.old or now.new
    if move == "start" or master is None:
        _start(nginx, target)
    elif move == "reload":
        signals.reload(nginx.host, master.process)
        pid = master.pid
        seen = nginx.until(
            lambda then: any(m.pid == pid and m.workers for m in (then.old, then.new) if m),
            timeout,
            f"workers of {master} that accept",
        )
        return seen if seen[1].settled else None
    elif move == "upgrade":
        _upgrade_back(nginx, target, master, timeout)
    return None


def _upgrade_back(nginx: Nginx, target: Kept, master: Master, timeout: float) -> None:
    """Go back by the same upgrade, with the binary that was kept."""
    tested = test_configuration(nginx.host, target.path, master.options)
    if not tested.ok:
        raise Failed(
            f"{nginx.host.name}: cannot go back to nginx {target.version}: `{target.path} -t` "
            f"fails: {tested.said}: mend that and retry; {master} serves on"
        )
    try:
        nginx.start_second(target, master, timeout)
    except NotStarted as error:
        raise Failed(f"{error}; {master} serves on: mend the cause, then retry") from error


def _start(nginx: Nginx, target: Kept) -> None:
    """Nothing runs: start the unit with the old binary."""
    unit = nginx.instance.unit
    facts, _ = nginx.look()
    if not binary.same(facts.disk, target):
        binary.install(nginx.host, target, nginx.instance.binary)
    if unit is None:
        raise Failed(
            f"{nginx.host.name}: nginx does not run; {nginx.instance.binary} is {target.version} "
            "again: start it by hand, then retry"
        )
    nginx.host.act(Command.of("systemctl", "start", unit), timeout=90.0)


def _leaving(context: Context, params: ReloadOld, now: Situation) -> Wait:
    """The other master cannot come back and bars an upgrade until it has ended."""
    leaving = now.old if now.core is Phase.QUIT_PENDING else now.new
    text = f"{leaving} was told to quit and ends first; {held(leaving)}"
    if context.elapsed() > params.leave_timeout:
        raise Failed(
            f"{context.host.name}: {text}, after {params.leave_timeout:g} s: let its connections "
            "end, then retry"
        )
    return Wait("sessions", text, LEAVING_SECONDS)


def _advice(nginx: Nginx) -> str:
    path = nginx.instance.pid_file
    return f"write the right master's pid into {path}, or restart nginx; then retry"


def preview_quit_new(context: Context, params: QuitNew) -> list[str]:
    """List what ends the other version."""
    nginx = Nginx(context, params.instance)
    facts, now = nginx.look()
    target = wanted(nginx, facts, now, older=params.older)
    lines = [f"kill -QUIT {orphan.pid}" for orphan in now.orphans if orphan.kind == "worker"]
    if target is None or now.new is None:
        return lines
    if now.old is not None and now.old.sha256 == target.sha256:
        return [f"kill -QUIT {now.new.pid}  # nginx {now.new.version}", *lines]
    other = now.old or now.new
    if other.sha256 == target.sha256:
        return lines
    return [f"kill -WINCH {other.pid}; kill -QUIT {other.pid}  # nginx {other.version}", *lines]


@step("nginx.quit_new", preview=preview_quit_new)
def quit_new(context: Context, params: QuitNew) -> Outcome:
    """Let the other version finish what it has; it accepts no more.

    Raises:
        Failed: the old version does not serve, so nothing was taken away.
    """
    nginx = Nginx(context, params.instance)
    changed = False
    version = "?"
    seen = None
    for _ in range(WAYS):
        facts, now = seen or nginx.settle()
        seen = None
        target = target_of(nginx, facts, now, older=params.older)
        if target is None:
            return nothing(context, now)
        version = target.version
        move = moves.parting(now, target.sha256)
        if move == "done":
            if nginx.dismiss(now):
                changed = True
                facts, now = nginx.look()
            return Done(_restored(nginx, facts, target), changed=changed)
        changed = True
        if move == "quit_new" and now.new is not None:
            signals.quit(nginx.host, now.new.process)
            seen = nginx.until(
                lambda then: then.core in {Phase.ROLLED_BACK, Phase.STEADY},
                params.timeout,
                f"{now.new} to close its listening sockets",
            )
        elif move == "let_workers_go" and now.old is not None:
            nginx.let_workers_go(now.old, params.timeout)
        elif move == "quit_old":
            nginx.quit_old(now, params.timeout)
        elif move != "wait":
            break
    raise Failed(
        f"{nginx.host.name}: expected nginx {version} to serve, nginx is {now}: nothing was "
        f"ended; {nginx.look_hint}, then `winch nginx rollback {params.instance.group}` again"
    )


def _restored(nginx: Nginx, facts: Facts, target: Kept) -> str:
    begun = nginx.context.recall("nginx.reload_old").get("uptime")
    after = f", restored {facts.uptime - begun:.2f} s after the way back began" if begun else ""
    return f"only nginx {target.version} accepts{after}"


def preview_unstage(context: Context, params: Unstage) -> list[str]:
    """List what is put back."""
    nginx = Nginx(context, params.instance)
    facts, now = nginx.look()
    target = wanted(nginx, facts, now, older=params.older)
    if target is None or binary.same(facts.disk, target):
        return []
    return [f"cp {target.path} {params.instance.binary}  # nginx {target.version}"]


@step("nginx.unstage", preview=preview_unstage)
def unstage(context: Context, params: Unstage) -> Outcome:
    """Put the old binary back on the disk, and see that one master and systemd agree with it.

    Raises:
        Failed: another version runs, or systemd does not follow.
    """
    nginx = Nginx(context, params.instance)
    facts, now = nginx.settle()
    target = target_of(nginx, facts, now, older=params.older)
    if target is None:
        return nothing(context, now)
    changed = not binary.same(facts.disk, target)
    if changed:
        binary.install(nginx.host, target, params.instance.binary)
        facts, now = nginx.look()
    leaving = {Phase.ROLLED_BACK: now.new, Phase.QUIT_PENDING: now.old}.get(now.core)
    if leaving is not None:
        others = held(leaving).replace("old worker", "other worker")
        text = f"nginx {target.version} serves, {others}"
        if context.elapsed() < params.timeout:
            return Wait("sessions", text, LEAVING_SECONDS)
        return Done(f"{text}, and {leaving} ends with them")
    if now.core is not Phase.STEADY or now.new is None or now.new.sha256 != target.sha256:
        raise Failed(
            f"{nginx.host.name}: expected nginx {target.version} alone, nginx is {now}"
            f"{f' with {now.new}' if now.new else ''}: "
            f"`winch nginx rollback {params.instance.group}` again"
        )
    changed = nginx.follow(facts, now) or changed
    return Done(f"nginx {target.version} runs and is on the disk", changed=changed)
