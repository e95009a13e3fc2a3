"""What would happen to the addresses of a pair if … (pure)."""

from __future__ import annotations

from tasks.keepalived.facts import Instance, Member, State
from tasks.keepalived.means import choose, skew
from tasks.keepalived.observe import Seen
from tasks.keepalived.params import Address, Pair
from tasks.keepalived.verdict import judge


def prospects(pair: Pair, seen: Seen) -> list[str]:
    """Say what a failover, a stop or a crash of each holder would do. [] where that is unknown."""
    said: list[str] = []
    for name in pair.members:
        me, peer = seen[name], seen[pair.peer(name)]
        held = [
            (address, instance)
            for address in pair.addresses
            if me.holds(address)
            and judge(address, pair, seen).healthy
            and (instance := peer.instance(address)) is not None
        ]
        if held:
            said += _of_holder(pair, me, peer, held)
    return said + [text for address in pair.addresses if (text := _home(address, pair, seen))]


def _of_holder(
    pair: Pair, me: Member, peer: Member, held: list[tuple[Address, Instance]]
) -> list[str]:
    ips = ", ".join(address.ip for address, _ in held)
    resigns = max(skew(instance) for _, instance in held)
    # Master_Down_Interval (RFC 3768, 6.1): three advertisements that do not come.
    dies = max(3 * instance.advert + skew(instance) for _, instance in held)
    return [
        f"`winch pair failover {pair.name} {me.name}`: {peer.name} takes {ips}: "
        f"{choose(pair, me, peer)}",
        f"keepalived stops on {me.name}: {peer.name} takes {ips} after {resigns:.2f} s",
        f"{me.name} dies: {peer.name} takes {ips} after {dies:.1f} s",
    ]


def _home(address: Address, pair: Pair, seen: Seen) -> str | None:
    """Say what becomes of an address that is not at home."""
    home, other = seen[address.home], seen[pair.peer(address.home)]
    mine, theirs = home.instance(address), other.instance(address)
    if mine is None or theirs is None or home.holds(address) or mine.state == State.FAULT:
        return None
    if mine.nopreempt:
        return f"{address.ip} stays on {other.name}: {home.name} has nopreempt"
    if mine.effective <= theirs.effective:
        return (
            f"{address.ip} stays on {other.name}: priority {theirs.effective}, {home.name} has "
            f"{mine.effective} of {mine.priority}"
        )
    delay = f" after its preempt_delay of {mine.preempt_delay:g} s" if mine.preempt_delay else ""
    return f"{address.ip} goes home to {home.name}{delay}"
