"""`vrrp.preflight`: may a member be taken out? It looks at the world, whatever the leases say."""

from __future__ import annotations

import time
from collections.abc import Sequence

from tasks.keepalived.means import lowered, number
from tasks.keepalived.observe import Seen, look_at_both
from tasks.keepalived.params import Pair, Preflight
from tasks.keepalived.services import see_service
from tasks.keepalived.verdict import Verdict, judge
from worker.errors import Refused
from worker.step import Context, Done, Outcome, step

_PAUSE = 0.25  # seconds
_MOST_SECONDS = 20.0  # of waiting for an election inside the step


def preview_preflight(_context: Context, _params: Preflight) -> list[str]:
    """Nothing is changed by it."""
    return []


@step("vrrp.preflight", preview=preview_preflight)
def preflight(context: Context, params: Preflight) -> Outcome:
    """See that the members can be taken out, one after the other.

    Raises:
        Refused: split brain, no holder, a peer that cannot take over or does not serve.
        Unreachable: a member does not answer.
    """
    seen, verdicts = see_fit(context, params.pair, params.members)
    for member in params.members:
        peer = params.pair.peer(member)
        see_service(context.on(peer), params.services.get(peer, ()), sleep=time.sleep)
    if params.holding:
        see_holding(params.pair, seen, params.members)
    order = backup_first(params.pair, seen, params.members)
    said = [*(v.text for v in verdicts), *_fitness(params, seen)]
    said += [f"{order[0]} holds nothing and comes first"] if order else []
    return Done("; ".join(said), changed=False, order=order)


def backup_first(pair: Pair, seen: Seen, members: Sequence[str]) -> tuple[str, ...]:
    """The order of the members, if one of them holds nothing (pure); () when that says nothing."""
    if len(members) < len(pair.members):
        return ()
    idle = [m for m in members if not any(seen[m].holds(a) for a in pair.addresses)]
    return (idle[0], pair.peer(idle[0])) if len(idle) == 1 else ()


def see_holding(pair: Pair, seen: Seen, members: Sequence[str]) -> None:
    """See that each of these members holds something (pure).

    Raises:
        Refused: one holds nothing, so it cannot be the one that is meant.
    """
    for member in members:
        peer = pair.peer(member)
        if not any(seen[member].holds(address) for address in pair.addresses):
            raise Refused(
                f"pair {pair.name}: {member} is home, and {peer} holds everything now: say who is "
                f"to give up what it holds, such as `pair failover {pair.name} {peer}` "
                "(nothing was changed)"
            )


def _fitness(params: Preflight, seen: Seen) -> list[str]:
    peers = dict.fromkeys(params.pair.peer(member) for member in params.members)
    served = [peer for peer in peers if params.services.get(peer)]
    told = [f"{', '.join(served)} {'serves' if len(served) == 1 else 'serve'}"] if served else []
    return told + ([f"keepalived runs on {' and '.join(seen)}"] if seen else [])


def see_fit(context: Context, pair: Pair, members: Sequence[str]) -> tuple[Seen, list[Verdict]]:
    """See that each of these members is spared by its peer; wait as long as an election takes.

    Raises:
        Refused: one is not.
        Unreachable: a member does not answer.
    """
    deadline = time.monotonic() + min(3 * pair.advert_interval + 1, _MOST_SECONDS)
    while True:
        seen = look_at_both(context, pair)
        verdicts = [judge(address, pair, seen) for address in pair.addresses]
        bad = [v for v in verdicts if not all(v.spares(member) for member in members)]
        if not bad:
            break
        if not any(v.passing for v in bad) or time.monotonic() >= deadline:
            problems = dict.fromkeys(v.text for v in bad)
            raise Refused(f"pair {pair.name}: {'; '.join(problems)} (nothing was changed)")
        context.progress("; ".join(v.text for v in bad))
        time.sleep(_PAUSE)
    for member in members:
        see_willing(pair, seen, member)
    return seen, verdicts


def see_willing(pair: Pair, seen: Seen, member: str) -> None:
    """See that nobody has told the peer to stay away from what this member holds.

    Raises:
        Refused: its track_file says so, or its priority.
    """
    peer = seen[pair.peer(member)]
    for address in pair.addresses:
        instance = peer.instance(address)
        if instance is None or not seen[member].holds(address):
            continue
        if lowered(peer, instance):
            raise Refused(
                f"pair {pair.name}: {peer.name} was told to stay away from {address.ip} (its "
                f"priority is {instance.priority} until it rejoins): `winch pair failover "
                f"{pair.name} {peer.name} --back` first (nothing was changed)"
            )
        for path, weight in peer.config.watched(instance.name).items():
            if (number(peer.values.get(path)) or 0) * weight < 0:
                raise Refused(
                    f"pair {pair.name}: {peer.name} was told to stay away from {address.ip} "
                    f"({path} there holds {peer.values[path]}): `winch pair failover {pair.name} "
                    f"{peer.name} --back` first, or write 0 there (nothing was changed)"
                )
