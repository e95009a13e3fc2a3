"""`nginx.soak`: the new version serves alone, watched, while the old master can still come back."""

from __future__ import annotations

import time
from typing import Any

from tasks.journal import Journal
from tasks.nginx import errorlog, moves
from tasks.nginx.binary import describe_new
from tasks.nginx.control import Nginx
from tasks.nginx.errorlog import Mark
from tasks.nginx.facts import Master
from tasks.nginx.params import Soak
from tasks.nginx.phase import Phase, Situation
from tasks.nginx.workers import held, not_serving
from tasks.probe import steps as probe
from tasks.probe.params import Check
from worker.errors import Failed
from worker.step import Context, Done, Outcome, Wait, step

# A check fails the soak only when it fails so often in a row: a lost packet is no reason.
TRIES = 3
PAUSE_SECONDS = 0.3


def preview_soak(_: Context, params: Soak) -> list[str]:
    """List what will be watched; nothing is changed."""
    end = "then wait for `winch approve`" if params.confirm == "manual" else "then go on"
    return [f"watch {len(params.checks)} checks and the error log for {params.seconds:g} s, {end}"]


@step("nginx.soak", preview=preview_soak)
def soak(context: Context, params: Soak) -> Outcome:
    """Watch the new version; then wait for the confirmation, if one is asked for.

    Raises:
        Failed: a check failed, a worker of the new version crashed, or it does not serve alone.
    """
    nginx = Nginx(context, params.instance)
    journal = Journal(context)
    try:
        now = _serving(nginx, params)
        if journal.get("log") is None:
            journal.put(log=_mark_now(nginx, now))
        _watch_log(nginx, now, journal.get("log"))
        for check in params.checks:
            _probe(context, check)
    except Failed:
        journal.close()  # a retry soaks anew
        raise
    passed = journal.elapsed()
    old = held(now.old)
    if passed < params.seconds:
        text = f"{passed:.0f} of {params.seconds:g} s, all well; {old}"
        return Wait("soak", text, min(params.interval, max(0.1, params.seconds - passed)))
    approved = context.memory.get("approved_by")
    if params.confirm == "manual" and approved is None:
        return Wait("approval", f"{now.new} served {passed:.0f} s, all well; {old}", None)
    by = f", approved by {approved}" if approved is not None else ""
    return Done(f"{now.new} served {passed:.0f} s, all well{by}; {old}", changed=False)


def _serving(nginx: Nginx, params: Soak) -> Situation:
    _, now = nginx.settle()
    new = describe_new(nginx.host, params.new)
    if not moves.serves(now, new.sha256, None):
        raise not_serving(nginx, now, new.version)
    if now.core is Phase.UPGRADING:
        raise Failed(
            f"{nginx.host.name}: expected only nginx {new.version} to accept, but {now.old} has "
            "workers again (somebody sent it HUP): roll back, or send it WINCH and retry"
        )
    return now


def _mark_now(nginx: Nginx, now: Situation) -> dict[str, Any]:
    path = now.new.process.log if now.new is not None else ""
    at = errorlog.mark(nginx.host, path)
    return {} if at is None else {"path": at.path, "inode": at.inode, "size": at.size}


def _watch_log(nginx: Nginx, now: Situation, kept: dict[str, Any]) -> None:
    if not kept or now.new is None:
        return
    lines = errorlog.lines_since(nginx.host, Mark(**kept))
    bad = errorlog.troubles(lines, _pids(now.new))
    if bad:
        raise Failed(
            f"{nginx.host.name}: expected {now.new} to serve without trouble, its error log says "
            f"{bad[0]}{f' and {len(bad) - 1} more' if len(bad) > 1 else ''}: see {kept['path']}"
        )


def _pids(master: Master) -> list[int]:
    return [master.pid, *(child.pid for child in master.children)]


def _probe(context: Context, check: Check) -> None:
    tries = min(TRIES, check.probe.attempts)
    for number in range(tries):
        seen = probe.observe(check, context.host)
        if seen.passed:
            return
        if number + 1 < tries:
            time.sleep(min(PAUSE_SECONDS, check.probe.interval))
    raise Failed(
        f"{context.host.name}: {probe.label(check, context.host)} failed {tries} times in the "
        f"soak: expected {probe.expected(check)}, observed {seen.seen}: mend the new version"
    )
