"""`haproxy.save_state` and `haproxy.restore_state`: what was set at run time outlives a process.

A reload carries the states over by itself, under the balancer's lock; these two are its witnesses.
For a restart (an upgrade by package, say) they are what keeps the states.
"""

from __future__ import annotations

from collections.abc import Sequence

from tasks.haproxy.facts import ServerState
from tasks.haproxy.params import RestoreState, SaveState
from tasks.haproxy.reload_process import master_of
from tasks.haproxy.reload_state import Kept, differences, gone, kept_of
from tasks.haproxy.reload_worker import dump_states, master_runtime, sessions_of
from tasks.journal import Journal, last_page
from tasks.patience import Patience
from worker.errors import Failed, Unreachable
from worker.remote import Host
from worker.step import Context, Done, Outcome, step

BACK_SECONDS = 20.0  # that a HAProxy which was restarted gets until it answers


def preview_save(_context: Context, _params: SaveState) -> list[str]:
    """Nothing is changed by it."""
    return []


@step("haproxy.save_state", preview=preview_save)
def save_state(context: Context, params: SaveState) -> Outcome:
    """Remember admin states and weights that differ from the configuration."""
    host = context.on(params.balancer.host)
    master = master_of(host, params.balancer)
    journal = Journal(context)
    states = _states(host, params, master.worker.pid)
    kept = kept_of(states)
    journal.put(servers=[one.dump() for one in kept], total=len(states))
    named = ", ".join(map(str, kept[:8])) + (", …" if len(kept) > 8 else "")  # noqa: PLR2004
    return Done(
        f"{len(kept)} of {len(states)} servers are not as configured{': ' if kept else ''}{named}",
        changed=False,
    )


def preview_restore(context: Context, params: RestoreState) -> list[str]:
    """List the commands that would be given now."""
    saved = _saved(context)
    host = context.on(params.balancer.host)
    master = master_of(host, params.balancer)
    states = _states(host, params, master.worker.pid)
    return [one.command for one in differences(saved, states)]


@step("haproxy.restore_state", preview=preview_restore)
def restore_state(context: Context, params: RestoreState) -> Outcome:
    """See that every server stands as saved, and say what old workers still do.

    After a reload of ours whatever differs was changed by somebody since, and is left alone.

    Raises:
        Failed: a server cannot be brought to what was saved.
        HaproxyDown: HAProxy does not answer.
    """
    host = context.on(params.balancer.host)
    saved = _saved(context)
    pid = _wait_for_worker(host, params)
    states = _states(host, params, pid)
    wrong = differences(saved, states)
    carried = last_page(context.recall("haproxy.reload"), "done") is not None
    changed = False
    notes: list[str] = []
    if wrong and carried:
        notes.append(f"changed since by others: {'; '.join(one.text for one in wrong[:5])}")
    elif wrong:
        changed = True
        master_runtime(host, params.balancer).tell(*(f"@!{pid} {one.command}" for one in wrong))
        states = _states(host, params, pid)
        still = differences(saved, states)
        if still:
            raise Failed(
                f"{host.name}: {'; '.join(one.text for one in still[:5])} after it was set: does "
                "something else control these servers?"
            )
        notes.append(f"set again: {', '.join(str(one.kept) for one in wrong[:8])}")
    lost = gone(saved, states)
    if lost:
        notes.append(f"no longer in the configuration: {', '.join(map(str, lost[:5]))}")
    notes += _old_workers(context, host, params)
    stand = (
        f"{len(saved) - len(lost)} servers stand as saved" if saved else "no server had to be kept"
    )
    return Done("; ".join([stand, *notes]), changed=changed)


def _saved(context: Context) -> list[Kept]:
    """What the lane saved; before a reload of ours, what that itself found in the last moment."""
    reloaded = context.recall("haproxy.reload")
    rows = last_page(reloaded, "kept") if last_page(reloaded, "done") is not None else None
    if rows is None:
        rows = last_page(context.recall("haproxy.save_state"), "servers") or []
    return [Kept.load(row) for row in rows]


def _states(host: Host, params: SaveState | RestoreState, pid: int) -> Sequence[ServerState]:
    return dump_states(host, params.balancer, pid)[1]


def _wait_for_worker(host: Host, params: RestoreState) -> int:
    patience = Patience(BACK_SECONDS)
    while True:
        try:
            return master_of(host, params.balancer).worker.pid
        except Unreachable:
            if patience.over:
                raise
        patience.pause()


def _old_workers(context: Context, host: Host, params: RestoreState) -> list[str]:
    """Give old workers a moment to leave; then say which are still there, and what they hold."""
    patience = Patience(params.watch)
    while True:
        old = master_of(host, params.balancer).old
        if not old or patience.over:
            break
        patience.pause()
    held = sessions_of(host, params.balancer, [worker.pid for worker in old])
    if not held:
        return []
    text = ", ".join(f"{pid} with {count} sessions" for pid, count in held.items())
    context.progress(f"old workers: {text}")
    return [f"old workers that have not left: {text} (hard-stop-after bounds them)"]
