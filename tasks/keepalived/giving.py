"""`vrrp.yield`: a member gives up what it holds, and cannot take it back until `vrrp.rejoin`."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from tasks.keepalived import actions
from tasks.keepalived.facts import Member, State
from tasks.keepalived.means import LOWEST, Means, choose, number
from tasks.keepalived.observe import Seen, look_at_both
from tasks.keepalived.params import Pair, Yield
from tasks.keepalived.preflight import see_fit
from tasks.keepalived.services import see_answers, see_service
from tasks.keepalived.verdict import implied_holder, judge
from worker.errors import Failed
from worker.remote import Host
from worker.step import Context, Done, Outcome, Wait, step

INSIDE_SECONDS = 12.0  # of waiting before the worker's slot is given back
ACKNOWLEDGED_SECONDS = 6.0  # for keepalived to have read its configuration again
_PAUSE = 0.05


def preview_yield(context: Context, params: Yield) -> list[str]:
    """Say how the member would give up what it holds now, and the gap that it costs."""
    seen = look_at_both(context, params.pair)
    me, peer = (seen[name] for name in _sides(context, params.pair))
    held = [a.ip for a in params.pair.addresses if me.holds(a)]
    means = choose(params.pair, me, peer)
    if not held and means.how == "stop":
        return []
    what = f"gives up {', '.join(held)}" if held else "holds nothing, and stays away"
    return [f"{means}  # {what}"]


@step("vrrp.yield", preview=preview_yield)
def give_up(context: Context, params: Yield) -> Outcome:
    """Give up what this host holds of the pair; done when the peer holds it and it answers.

    A host that holds nothing is only kept from taking anything back. Done a second time in a lane,
    it sees that the host still stays away: what was redeployed may have restarted keepalived.

    Raises:
        Refused: the peer cannot take over. Nothing was changed.
        Failed: the peer has not taken over in time.
    """
    kept = context.memory.get("plan")
    if kept is None:
        earlier = context.recall("vrrp.yield").get("plan")
        kept = _plan(context, params) if earlier is None else _hold(context, params, earlier)
    return _Yield(context, params, Means.load(kept["means"]), kept["held"]).run()


def _plan(context: Context, params: Yield) -> dict[str, Any]:
    """Choose the means, and write down what stood before."""
    pair = params.pair
    name, peer = _sides(context, pair)
    seen, _ = see_fit(context, pair, [name])
    see_service(context.on(peer), params.services.get(peer, ()), sleep=time.sleep)
    me = seen[name]
    means = choose(pair, me, seen[peer])
    plan: dict[str, Any] = {
        "means": means.dump(),
        "held": [a.ip for a in pair.addresses if me.holds(a)],
        "before": number(me.values.get(means.path, "0")) or 0,
        "priorities": {i.name: i.priority for i in me.instances or ()},
    }
    context.remember(plan=plan)
    return plan


def _hold(context: Context, params: Yield, earlier: dict[str, Any]) -> dict[str, Any]:
    """Keep to the earlier means; or plan anew, if the member has come back or is about to."""
    pair = params.pair
    name, peer = _sides(context, pair)
    until = time.monotonic() + ACKNOWLEDGED_SECONDS
    while True:
        seen = look_at_both(context, pair)
        if settled(seen[name], pair) or time.monotonic() > until:
            break
        time.sleep(_PAUSE)
    if comes_back(pair, seen[name], seen[peer], Means.load(earlier["means"])):
        return _plan(context, params)
    return {**earlier, "held": []}


def settled(me: Member, pair: Pair) -> bool:
    """Whether keepalived does not run, or says of each address what it does with it (pure)."""
    return not me.running or all(
        me.state(address) not in (None, State.INIT) for address in pair.addresses
    )


def comes_back(pair: Pair, me: Member, peer: Member, means: Means) -> bool:
    """Whether a member that was to stay away has not, or will not by these means (pure)."""
    if any(me.holds(a) or me.state(a) == State.MASTER for a in pair.addresses):
        return True
    takes = any(implied_holder(a, me, peer) == me.name for a in pair.addresses)
    return means.how == "stop" and me.running and takes


def _sides(context: Context, pair: Pair) -> tuple[str, str]:
    return context.host.name, pair.peer(context.host.name)


@dataclass
class _Yield:
    context: Context
    params: Yield
    means: Means
    held: list[str]

    def run(self) -> Outcome:
        pair = self.params.pair
        name, peer = _sides(self.context, pair)
        seen = look_at_both(self.context, pair)
        if not self.held and self.means.how == "stop":
            return Done(f"{name} holds none of {_ips(pair)}; {peer} does", changed=False)
        self.context.progress(f"{name}: {self.means}")
        now = self.context.elapsed()
        acted = self._act(self.context.host, seen[name], self._moved(seen))
        began = now if acted else float(self.context.memory.get("began", now))
        limit = self._limit(seen)
        slot_ends = time.monotonic() + INSIDE_SECONDS
        while not self._moved(seen):
            seen = look_at_both(self.context, pair)
            spent = self.context.elapsed() - began
            if spent > limit and not self._moved(seen):
                raise Failed(self._late(seen, spent))
            if time.monotonic() > slot_ends:
                self.context.remember(began=began)
                return Wait("soak", f"{peer} takes over {', '.join(self.held)} soon", 1.0)
            time.sleep(_PAUSE)
        if self.means.resigns and self.held:
            self._write(self.context.host, seen[name], self.means.value)
        until = time.monotonic() + self.params.timeout
        answer = see_answers(self.context, self.params.answers, self.held, until=until)
        # Also what a try before a crash or a wait has done: there is something to undo.
        return Done(self._detail(answer), changed=bool(self.context.memory.get("acted")))

    def _moved(self, seen: Seen) -> bool:
        """Whether the peer holds everything, and this one nothing any more."""
        pair = self.params.pair
        name, peer = _sides(self.context, pair)
        places = [a for a in pair.addresses if a.ip in self.held]
        return all(
            seen[peer].holds(a)
            and seen[peer].state(a) == State.MASTER
            and not seen[name].holds(a)
            and seen[name].state(a) != State.MASTER
            for a in places
        )

    def _act(self, host: Host, me: Member, moved: bool) -> bool:
        """Do what is still needed. Returns whether anything was."""
        match self.means.how:
            case "track_file":
                resign = self.means.resigns and bool(self.held) and not moved
                return self._write(host, me, self.means.fault if resign else self.means.value)
            case "reload":
                return self._reload(host, me)
            case "stop" if me.running and not moved:
                self.context.remember(acted=True)
                actions.stop(host)
                return True
        return False

    def _write(self, host: Host, me: Member, value: int) -> bool:
        if number(me.values.get(self.means.path)) == value:
            return False
        self.context.remember(acted=True)
        actions.write_track_file(host, self.means.path, value)
        return True

    def _reload(self, host: Host, me: Member) -> bool:
        """Lower it, also on disk: it must stay away over a restart of keepalived or of the host."""
        if self._lowered(me):
            return False
        self.context.remember(acted=True)
        actions.lower(host, me, self.means.names, self.means.files, LOWEST)
        until = time.monotonic() + ACKNOWLEDGED_SECONDS
        while not self._lowered(look_at_both(self.context, self.params.pair)[host.name]):
            if time.monotonic() > until:
                actions.put_back(host, self.means.files)
                actions.hang_up(host, me)
                raise Failed(
                    f"{host.name}: expected priority {LOWEST} of {', '.join(self.means.names)} "
                    "after a reload, keepalived kept its own; the configuration is as it was: "
                    "look at `journalctl -u keepalived`"
                )
            time.sleep(_PAUSE)
        return True

    def _lowered(self, me: Member) -> bool:
        names = self.means.names
        found = [i for i in me.instances or () if i.name in names]
        return bool(found) and all(i.priority == LOWEST for i in found)

    def _limit(self, seen: Seen) -> float:
        """Seconds that the peer may take: it waits `preempt_delay`, and three intervals."""
        peer = seen[self.params.pair.peer(self.context.host.name)]
        instances = [i for a in self.params.pair.addresses if (i := peer.instance(a)) is not None]
        delay = max((i.preempt_delay for i in instances), default=0.0)
        advert = max((i.advert for i in instances), default=self.params.pair.advert_interval)
        return delay + 4 * advert + self.params.timeout

    def _late(self, seen: Seen, spent: float) -> str:
        pair = self.params.pair
        found = "; ".join(judge(a, pair, seen).text for a in pair.addresses if a.ip in self.held)
        peer = pair.peer(self.context.host.name)
        return (
            f"{self.context.host.name}: expected {peer} to hold {', '.join(self.held)} within "
            f"{spent:.0f} s of {self.means}; found: {found}; look at keepalived's log on {peer}"
        )

    def _detail(self, answer: str) -> str:
        name, peer = _sides(self.context, self.params.pair)
        if not self.held:
            return f"{name} holds nothing, and stays away until it rejoins: {self.means}"
        answered = f", and it answers ({answer})" if answer else ""
        return f"{peer} holds {', '.join(self.held)}{answered}: {self.means}"


def _ips(pair: Pair) -> str:
    return ", ".join(address.ip for address in pair.addresses)
