"""Who holds an address, and is that well? (pure)

| holders | states          | verdict                                                             |
| ------- | --------------- | ------------------------------------------------------------------- |
| 1       | MASTER + BACKUP | healthy                                                             |
| 2       | MASTER + MASTER | split brain                                                         |
| 2 or 1  | daemon dead     | stale address: nobody moves it any more                             |
| 1       | MASTER + FAULT  | fault: the other one cannot take it                                 |
| 1       | MASTER + dead   | keepalived down: the other one cannot take it                       |
| 0       | BACKUP + BACKUP | no holder: an election, or both hear somebody with a higher priority |
| 0       | FAULT           | fault at both                                                       |
| any     | no answer       | unreachable                                                         |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tasks.keepalived.facts import Member, State
from tasks.keepalived.observe import Seen
from tasks.keepalived.params import Address, Pair

Kind = Literal[
    "healthy",
    "split brain",
    "stale address",
    "fault",
    "keepalived down",
    "no holder",
    "unsettled",
    "unknown",
    "unreachable",
]
# What may pass by itself within some advertisement intervals. Two answers are never of the same
# instant, so an address on its way from one to the other can look like either of these.
_PASSING: frozenset[Kind] = frozenset({"split brain", "stale address", "no holder", "unsettled"})


@dataclass(frozen=True)
class Verdict:
    """What is so with one address. `ill`: the one member that is not well, if it is one."""

    kind: Kind
    ip: str
    holder: str | None
    text: str
    ill: str | None = None

    @property
    def healthy(self) -> bool:
        """Whether one member holds the address and the other one can take it."""
        return self.kind == "healthy"

    @property
    def passing(self) -> bool:
        """Whether it may have changed when one looks again."""
        return self.kind in _PASSING

    def spares(self, member: str) -> bool:
        """Whether that member can be taken out: the other one holds the address, or can take it."""
        if self.healthy:
            return True
        broken = self.kind in ("fault", "keepalived down")
        return broken and self.ill == member and self.holder not in (None, member)


def judge(address: Address, pair: Pair, seen: Seen) -> Verdict:
    """Say what is so with one address of a pair."""
    ip, members = address.ip, [seen[name] for name in pair.members]
    silent = [member for member in members if not member.reachable]
    if silent:
        text = "; ".join(str(member.error) for member in silent)
        ill = silent[0].name if len(silent) == 1 else None
        holder = next((m.name for m in members if m.reachable and m.holds(address)), None)
        return Verdict("unreachable", ip, holder, text, ill)
    holders = [member for member in members if member.holds(address)]
    stale = [member for member in holders if not member.running]
    if stale:
        return _stale(address, stale[0], holders)
    strangers = [m for m in members if m.running and m.instance(address) is None]
    if strangers:
        return _unknown(address, strangers[0], holders)
    if len(holders) > 1:
        return _both(address, holders)
    if not holders:
        return _nobody(address, members)
    return _one(address, holders[0], seen[pair.peer(holders[0].name)])


def _said(address: Address, *members: Member) -> str:
    return ", ".join(
        f"{m.name} {'is dead' if not m.running else _state(m, address)}" for m in members
    )


def _state(member: Member, address: Address) -> str:
    state = member.state(address)
    return "says nothing" if state is None else state.name


def _stale(address: Address, dead: Member, holders: list[Member]) -> Verdict:
    others = ", ".join(m.name for m in holders if m is not dead)
    too = f", and {others} holds it too" if others else ""
    return Verdict(
        "stale address",
        address.ip,
        None if len(holders) > 1 else dead.name,
        f"{dead.name} still holds {address.ip}, and no keepalived runs there{too}: look why it "
        f"ended (`journalctl -u keepalived`), then `systemctl start keepalived` on {dead.name}",
        dead.name,
    )


def _unknown(address: Address, member: Member, holders: list[Member]) -> Verdict:
    holder = holders[0].name if len(holders) == 1 else None
    if member.instances is None:
        what = "expected keepalived's data as JSON, it gave none: is it built with --enable-json?"
    else:
        known = ", ".join(f"{i.router_id} ({i.name})" for i in member.instances) or "none"
        what = (
            f"expected an instance with virtual_router_id {address.router_id} and {address.ip}, "
            f"found {known}: compare keepalived.conf with the fleet file's pair"
        )
    return Verdict("unknown", address.ip, holder, f"{member.name}: {what}", member.name)


def _both(address: Address, holders: list[Member]) -> Verdict:
    names = " and ".join(member.name for member in holders)
    if all(member.state(address) == State.MASTER for member in holders):
        return Verdict(
            "split brain",
            address.ip,
            None,
            f"split brain: {names} both hold {address.ip}, both are MASTER: they do not hear each "
            "other's VRRP; let it through (protocol 112, a firewall, the switch, unicast_peer), "
            "or stop keepalived on one of them; touch nothing else until one holds it",
        )
    return Verdict(
        "stale address",
        address.ip,
        None,
        f"{names} both hold {address.ip} ({_said(address, *holders)}): one of them has it without "
        "being MASTER; remove it there (`ip address del`), or restart keepalived there",
    )


def _nobody(address: Address, members: list[Member]) -> Verdict:
    said = _said(address, *members)
    faulty = [m for m in members if not m.running or m.state(address) == State.FAULT]
    if faulty:
        down = not faulty[0].running
        return Verdict(
            "keepalived down" if down else "fault",
            address.ip,
            None,
            f"nobody holds {address.ip} ({said}): mend what keepalived tracks there, or start it",
            faulty[0].name if len(faulty) == 1 else None,
        )
    return Verdict(
        "no holder",
        address.ip,
        None,
        f"nobody holds {address.ip} ({said}): expected one MASTER; look whether something else "
        f"sends VRRP with virtual_router_id {address.router_id}",
    )


def _one(address: Address, holder: Member, other: Member) -> Verdict:
    ip, said = address.ip, _said(address, holder, other)
    if not other.running:
        text = f"{other.name} cannot take {ip}: keepalived does not run there; start it"
        return Verdict("keepalived down", ip, holder.name, text, other.name)
    match holder.state(address), other.state(address):
        case State.MASTER, State.BACKUP:
            return Verdict("healthy", ip, holder.name, f"{holder.name} holds {ip}")
        case State.MASTER, State.FAULT:
            text = f"{other.name} cannot take {ip}: it is in FAULT; mend what keepalived tracks"
            return Verdict("fault", ip, holder.name, f"{text} there", other.name)
        case State.FAULT, State.BACKUP | State.FAULT:
            text = f"{holder.name} holds {ip} and is in FAULT"
            return Verdict("fault", ip, holder.name, text, holder.name)
        case State.MASTER, State.MASTER:
            text = (
                f"split brain: {said}, though only {holder.name} has {ip} on an interface; let "
                "VRRP through between them, or stop keepalived on one"
            )
            return Verdict("split brain", ip, holder.name, text)
    text = f"{holder.name} holds {ip}, yet the states are: {said}; look at keepalived's log"
    return Verdict("unsettled", ip, holder.name, text)


def implied_holder(address: Address, me: Member, peer: Member) -> str | None:
    """Who holds an address when all has settled (pure); None: that is not known yet."""
    mine, theirs = me.instance(address), peer.instance(address)
    if mine is None or theirs is None:
        return None
    if theirs.state == State.MASTER:
        takes = mine.effective > theirs.effective and not mine.nopreempt
        return me.name if takes else peer.name
    if mine.state == State.MASTER:
        takes = theirs.effective > mine.effective and not theirs.nopreempt
        return peer.name if takes else me.name
    return None
