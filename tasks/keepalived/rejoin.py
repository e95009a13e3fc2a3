"""`vrrp.rejoin`: undo the yield, and wait for the state that the preemption mode implies."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tasks.keepalived import actions
from tasks.keepalived.facts import Member
from tasks.keepalived.giving import INSIDE_SECONDS
from tasks.keepalived.means import LOWEST, Means, number
from tasks.keepalived.observe import Seen, look, look_at_both
from tasks.keepalived.params import Address, Pair, Rejoin
from tasks.keepalived.services import see_answers
from tasks.keepalived.verdict import implied_holder, judge
from worker.errors import Failed, Unreachable
from worker.step import Context, Done, Outcome, Wait, step

ACKNOWLEDGED_SECONDS = 3.0  # for an effective priority to follow what was undone
_PAUSE = 0.05


@dataclass(frozen=True)
class Undo:
    """One thing that is still to be undone on a member."""

    what: str
    path: str = ""
    value: int = 0


def undoing(me: Member, pair: Pair, yielded: Mapping[str, Any], anyway: bool) -> list[Undo]:
    """Decide what must still be undone (pure). `yielded`: what the lane's yield remembered."""
    plan = yielded.get("plan")
    means = None if plan is None else Means.load(plan["means"])
    undos = [Undo("put back", path) for path in me.kept]
    if means is not None and means.how == "reload" and not anyway:
        before = yielded["plan"]["priorities"]
        if all(before.get(name) == LOWEST for name in means.names):
            undos = []  # it was away when the lane came, and stays away
    if not me.running and (anyway or (means is not None and means.how == "stop")):
        undos.append(Undo("start"))
    if means is not None and means.how == "track_file":
        before = yielded["plan"]["before"]
        if number(me.values.get(means.path)) != before:
            undos.append(Undo("write", means.path, before))
    elif anyway:
        undos += [Undo("write", path, 0) for path in _lowering(me, pair)]
    lowered = [i for i in me.instances or () if i.priority == LOWEST]
    if means is not None and means.how == "reload":
        before = yielded["plan"]["priorities"]
        lowered = [i for i in lowered if before.get(i.name, LOWEST) != LOWEST]
    elif not anyway and not me.kept:  # `kept`: this lane has lowered it, after a restart
        lowered = []
    if lowered:
        undos.append(Undo("reload"))
    return undos


def _lowering(me: Member, pair: Pair) -> list[str]:
    """The track_files of the pair's instances that keep the member away."""
    paths = {
        path
        for address in pair.addresses
        if (instance := me.instance(address)) is not None
        for path, weight in me.config.watched(instance.name).items()
        if (number(me.values.get(path)) or 0) * weight < 0
    }
    if pair.track_file is not None and (number(me.values.get(pair.track_file)) or 0) < 0:
        paths.add(pair.track_file)
    return sorted(paths)


def preview_rejoin(context: Context, params: Rejoin) -> list[str]:
    """Say what would be undone now."""
    me = look_at_both(context, params.pair)[context.host.name]
    undos = undoing(me, params.pair, context.recall("vrrp.yield"), params.anyway)
    return [" ".join(str(x) for x in (u.what, u.path, u.value if u.path else "")) for u in undos]


@step("vrrp.rejoin", preview=preview_rejoin)
def rejoin(context: Context, params: Rejoin) -> Outcome:
    """Undo what `vrrp.yield` did, and see that the pair is whole again.

    Raises:
        Failed: the pair has not settled in time as its preemption mode implies.
    """
    return _Rejoin(context, params).run()


@dataclass
class _Rejoin:
    context: Context
    params: Rejoin

    def run(self) -> Outcome:
        pair, name = self.params.pair, self.context.host.name
        seen = look(self.context, pair)
        if seen[name].error is not None:
            raise Unreachable(str(seen[name].error))
        undos = undoing(seen[name], pair, self.context.recall("vrrp.yield"), self.params.anyway)
        lowered = {i.name: i.effective for i in seen[name].instances or ()}
        if undos:
            self.context.remember(acted=True)
        for undo in undos:  # also when the peer does not answer: then this one is needed most
            self._undo(undo, seen[name])
        seen = self._acknowledged(lowered) if undos else look_at_both(self.context, pair)
        now = self.context.elapsed()
        began = now if undos else float(self.context.memory.get("began", now))
        slot_ends = time.monotonic() + INSIDE_SECONDS
        while (missing := self._missing(seen)) is not None:
            spent = self.context.elapsed() - began
            limit = self._limit(seen[name])
            if spent > limit:
                raise Failed(
                    f"pair {pair.name}: {missing}, {spent:.0f} s after {name} came back; look at "
                    f"`journalctl -u keepalived` on {' and '.join(pair.members)}"
                )
            if time.monotonic() > slot_ends:
                self.context.remember(began=began)
                return Wait("soak", f"{missing} ({limit - spent:.0f} s left)", 1.0)
            self.context.progress(missing)
            time.sleep(_PAUSE)
            seen = look_at_both(self.context, pair)
        until = time.monotonic() + self.params.timeout
        ips = [address.ip for address in pair.addresses]
        answer = see_answers(self.context, self.params.answers, ips, until=until)
        changed = bool(self.context.memory.get("acted"))
        return Done(self._detail(seen, answer), changed=changed)

    def _undo(self, undo: Undo, me: Member) -> None:
        host = self.context.host
        self.context.progress(f"{host.name}: {undo.what} {undo.path}".strip())
        match undo.what:
            case "put back":
                actions.put_back(host, [undo.path])
            case "start":
                actions.start(host)
            case "write":
                actions.write_track_file(host, undo.path, undo.value)
            case "reload":
                actions.hang_up(host, me)

    def _acknowledged(self, lowered: Mapping[str, int]) -> Seen:
        """Wait until an effective priority has changed: before, nothing follows from it."""
        until = time.monotonic() + ACKNOWLEDGED_SECONDS
        while True:
            seen = look_at_both(self.context, self.params.pair)
            instances = seen[self.context.host.name].instances
            now = {i.name: i.effective for i in instances or ()}
            if (instances is not None and now != lowered) or time.monotonic() > until:
                return seen
            time.sleep(_PAUSE)

    def _missing(self, seen: Seen) -> str | None:
        """Say what is not as it will be; None when all has settled."""
        pair, name = self.params.pair, self.context.host.name
        for address in pair.addresses:
            verdict = judge(address, pair, seen)
            if not verdict.healthy:
                return f"expected one holder of {address.ip}: {verdict.text}"
            wanted = implied_holder(address, seen[name], seen[pair.peer(name)])
            if wanted is not None and wanted != verdict.holder:
                return f"expected {wanted} to hold {address.ip}, {verdict.holder} still does"
        return None

    def _limit(self, me: Member) -> float:
        instances = [i for a in self.params.pair.addresses if (i := me.instance(a)) is not None]
        delay = max((i.preempt_delay for i in instances), default=0.0)
        advert = max((i.advert for i in instances), default=self.params.pair.advert_interval)
        return delay + 4 * advert + self.params.timeout

    def _detail(self, seen: Seen, answer: str) -> str:
        pair, name = self.params.pair, self.context.host.name
        said = []
        for address in pair.addresses:
            holder = judge(address, pair, seen).holder
            said.append(f"{holder} holds {address.ip}{_why(address, seen[name], holder)}")
        return f"{', '.join(said)}{f' ({answer})' if answer else ''}"


def _why(address: Address, me: Member, holder: str | None) -> str:
    mine = me.instance(address)
    if address.home != me.name or holder == me.name or mine is None:
        return ""
    return " (nopreempt)" if mine.nopreempt else f" ({me.name} has priority {mine.effective})"
