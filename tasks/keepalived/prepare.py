"""`vrrp.prepare`: let a pair's instances watch a track_file, the graceful way to a failover."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence

from tasks.keepalived import actions
from tasks.keepalived.config import editable
from tasks.keepalived.facts import Member
from tasks.keepalived.means import lowered
from tasks.keepalived.observe import Seen, look_at_both
from tasks.keepalived.params import DEFAULT_TRACK_FILE, Pair, Prepare
from tasks.keepalived.verdict import judge
from worker.errors import Failed, Refused
from worker.step import Context, Done, Outcome, step

_SETTLED_SECONDS = 10.0
_PAUSE = 0.1


def track_path(pair: Pair) -> str:
    """The track_file of a pair."""
    return pair.track_file or DEFAULT_TRACK_FILE


def lines(path: str, names: Sequence[str]) -> str:
    """The lines that `winch pair prepare` adds to keepalived.conf."""
    inside = "\n\n".join(
        f"vrrp_instance {name} {{\n    # …\n    track_file {{\n        winch_maint\n    }}\n}}"
        for name in names
    )
    head = f'track_file winch_maint {{\n    file "{path}"\n    weight 1\n    init_file 0\n}}'
    return f"{head}\n\n{inside}"


def blind(me: Member, pair: Pair) -> list[str]:
    """The pair's instances on a member that do not watch the track_file yet (pure)."""
    mine = [i for a in pair.addresses if (i := me.instance(a)) is not None]
    return sorted({i.name for i in mine if not _watches(me, i.name, pair)})


def _watches(me: Member, instance: str, pair: Pair) -> bool:
    watched = me.config.watched(instance)
    return bool(watched) if pair.track_file is None else pair.track_file in watched


def preview_prepare(context: Context, params: Prepare) -> list[str]:
    """Say what would be added or removed."""
    me = look_at_both(context, params.pair)[context.host.name]
    if params.remove:
        return [f"remove the lines of `winch pair prepare` from {p}" for p in me.config.marked]
    names = blind(me, params.pair)
    return [f"add to {me.conf}:\n{lines(track_path(params.pair), names)}"] if names else []


@step("vrrp.prepare", preview=preview_prepare)
def prepare(context: Context, params: Prepare) -> Outcome:
    """Add the lines (or remove them), if `keepalived -t` accepts them; reload; see that it took.

    Raises:
        Refused: the pair is not well, or keepalived does not accept the lines. Nothing is changed.
        Failed: the reload did not take; the configuration is as it was.
    """
    pair, host = params.pair, context.host
    seen = look_at_both(context, pair)
    _see_well(pair, seen)
    me = seen[host.name]
    if any(lowered(me, instance) for instance in me.instances or ()):
        raise Refused(
            f"pair {pair.name}: {host.name} was told to stay away: `winch pair failover "
            f"{pair.name} {host.name} --back` first (nothing was changed)"
        )
    if me.kept:  # an earlier try was cut off
        actions.put_back(host, me.kept)
        me = look_at_both(context, pair)[host.name]
    names = blind(me, pair)
    if (not params.remove and not names) or (params.remove and not me.config.marked):
        what = "no lines of `winch pair prepare`" if params.remove else "watched already"
        acted = bool(context.memory.get("acted"))  # by a try before a crash
        return Done(f"{host.name}: {track_path(pair)}: {what}", changed=acted)
    context.remember(acted=True)
    files = me.config.marked if params.remove else _files(me, names, pair)
    if params.remove:
        actions.swap_untrack(host, me, files)
    else:
        actions.swap_track_file(host, me, names, files, track_path(pair))
    actions.hang_up(host, me)
    _see_settled(context, pair, me, files)
    actions.keep_swapped(host, files)
    done = "removed" if params.remove else f"{', '.join(names)} watch {track_path(pair)}"
    return Done(f"{host.name}: {done}; what stood before is beside {me.conf} as .winch-before")


def _files(me: Member, names: Sequence[str], pair: Pair) -> list[str]:
    path = track_path(pair)
    if re.fullmatch(r"[A-Za-z0-9_./-]+", path) is None:
        raise Refused(
            f"{me.name}: the path {path!r} cannot stand in keepalived.conf: use letters, digits "
            "and _./- only (pairs.*.track_file in the fleet file)"
        )
    unknown = [n for n in names if n not in me.config.instances or not editable(n)]
    if unknown:
        raise Refused(
            f"{me.name}: {', '.join(unknown)} cannot be found in {me.conf}; add the lines by hand "
            "(`winch pair prepare` shows them)"
        )
    own = {me.config.instances[name].file for name in names} - {me.conf}
    return [me.conf, *sorted(own)]  # the definition must be read before it is used


def _see_well(pair: Pair, seen: Seen) -> None:
    verdicts = [judge(address, pair, seen) for address in pair.addresses]
    bad = [v.text for v in verdicts if not v.healthy]
    if bad:
        raise Refused(f"pair {pair.name}: {'; '.join(bad)} (nothing was changed)")


def _see_settled(context: Context, pair: Pair, before: Member, files: Sequence[str]) -> None:
    until = time.monotonic() + _SETTLED_SECONDS
    while True:
        seen = look_at_both(context, pair)
        verdicts = [judge(address, pair, seen) for address in pair.addresses]
        if all(v.healthy for v in verdicts) and seen[before.name].pid == before.pid:
            return
        if time.monotonic() > until:
            actions.put_back(context.host, files)
            actions.hang_up(context.host, before)
            bad = "; ".join(v.text for v in verdicts if not v.healthy) or "keepalived ended"
            raise Failed(
                f"{before.name}: expected the pair to be healthy after the reload: {bad}; the "
                "configuration is as it was: look at `journalctl -u keepalived`"
            )
        time.sleep(_PAUSE)
