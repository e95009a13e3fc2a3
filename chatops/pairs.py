"""Look at VRRP pairs: who holds what, and which member comes first. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from chatops.looking import LookingContext
from tasks.keepalived.facts import Member
from tasks.keepalived.means import choose
from tasks.keepalived.observe import Seen, look
from tasks.keepalived.params import Address, Pair
from tasks.keepalived.prepare import blind, lines, track_path
from tasks.keepalived.prospects import prospects
from tasks.keepalived.verdict import judge
from worker.errors import Failed, Refused, Unreachable
from worker.ssh import Connections
from workflows.hosts import host_specs
from workflows.model import Fleet
from workflows.pair_steps import pair_params

_AT_ONCE = 16


def see(fleet: Fleet, names: Iterable[str]) -> list[tuple[Pair, Seen]]:
    """Look at pairs. A member that does not answer, or makes no sense, is there with its error."""
    pairs = [pair_params(fleet, name) for name in names]
    specs = host_specs(fleet, [member for pair in pairs for member in pair.members])
    connections = Connections()

    def one(pair: Pair) -> Seen:
        try:
            return look(LookingContext(connections, specs, pair.members[0]), pair)
        except Failed as error:
            return {name: Member(name, error=str(error)) for name in pair.members}

    try:
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            return list(zip(pairs, threads.map(one, pairs), strict=True))
    finally:
        connections.close()


def backups(seen: Sequence[tuple[Pair, Seen]]) -> tuple[str, ...]:
    """Of each pair, the members that answer and hold nothing: with them an upgrade begins."""
    return tuple(
        name
        for pair, members in seen
        for name, member in members.items()
        if member.reachable and not any(member.holds(address) for address in pair.addresses)
    )


def holders(seen: Sequence[tuple[Pair, Seen]]) -> dict[str, list[str]]:
    """By pair, the members that hold something."""
    return {
        pair.name: [
            name
            for name, member in members.items()
            if any(member.holds(address) for address in pair.addresses)
        ]
        for pair, members in seen
    }


def gaps(seen: Sequence[tuple[Pair, Seen]]) -> list[str]:
    """Say which members cannot give up what they hold without a gap, and why."""
    said = []
    for pair, members in seen:
        for name in pair.members:
            me, peer = members[name], members[pair.peer(name)]
            if any(me.holds(address) for address in pair.addresses) and peer.running:
                means = choose(pair, me, peer)
                if means.gap:
                    said.append(f"{name} can give up what it holds only by {means}")
    return said


def status(seen: Sequence[tuple[Pair, Seen]]) -> tuple[dict[str, Any], int]:
    """Make the document of `winch pair status`, and the exit code: 0, 3 not well, 4 no answer."""
    documents = [_document(pair, members) for pair, members in seen]
    kinds = {address["verdict"] for each in documents for address in each["addresses"]}
    code = 0
    if kinds - {"healthy"}:
        code = Unreachable.exit_code if "unreachable" in kinds else Refused.exit_code
    return {"pairs": documents}, code


def _document(pair: Pair, seen: Seen) -> dict[str, Any]:
    verdicts = [judge(address, pair, seen) for address in pair.addresses]
    return {
        "name": pair.name,
        "healthy": all(verdict.healthy for verdict in verdicts),
        "members": [_member(pair, seen[name]) for name in pair.members],
        "addresses": [
            {
                "ip": address.ip,
                "interface": address.interface,
                "router_id": address.router_id,
                "home": address.home,
                "holder": verdict.holder,
                "holders": [name for name, member in seen.items() if member.holds(address)],
                "verdict": verdict.kind,
                "detail": verdict.text,
                "states": {name: _instance(seen[name], address) for name in pair.members},
            }
            for address, verdict in zip(pair.addresses, verdicts, strict=True)
        ],
        "prospects": prospects(pair, seen),
    }


def _member(pair: Pair, member: Member) -> dict[str, Any]:
    instances = [i for a in pair.addresses if (i := member.instance(a)) is not None]
    watched = sorted({path for i in instances for path in member.config.watched(i.name)})
    path = pair.track_file if pair.track_file in watched else next(iter(watched), None)
    return {
        "name": member.name,
        "reachable": member.reachable,
        "error": member.error,
        "keepalived": member.running,
        "unit": member.unit or None,
        "track_file": path,
        "track_value": None if path is None else member.values.get(path),
    }


def _instance(member: Member, address: Address) -> dict[str, Any] | None:
    instance = member.instance(address)
    if instance is None:
        return None
    return {
        "state": instance.state.name,
        "since": instance.since,
        "seconds": round(max(0.0, member.now - instance.since), 1),
        "priority": instance.priority,
        "effective_priority": instance.effective,
        "nopreempt": instance.nopreempt,
        "preempt_delay": instance.preempt_delay,
    }


def missing_lines(seen: Sequence[tuple[Pair, Seen]]) -> list[str]:
    """Say, member by member, which lines `winch pair prepare --install` would add."""
    said = []
    for pair, members in seen:
        for name, member in members.items():
            if not member.reachable or not member.running:
                why = member.error or "keepalived does not run there"
                said.append(f"# {name}: not known: {why}")
                continue
            names = blind(member, pair)
            path = track_path(pair)
            if names:
                said.append(f"# {name}: add to {member.conf}\n{lines(path, names)}")
            else:
                said.append(f"# {name}: nothing to add, {pair.name} watches {path} already")
    return said
