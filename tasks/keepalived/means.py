"""How a member gives up what it holds: the best means that it has (pure).

The peer takes over without a gap when it hears a priority lower than its own (RFC 3768, 6.4.2):
by a track_file, or by a reload with a lower priority. A peer with `nopreempt` does not listen to
that; it takes over only when the MASTER resigns, which costs Skew_Time: (256 - its priority) / 256
of an advertisement interval.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from tasks.keepalived.config import editable
from tasks.keepalived.facts import Instance, Member
from tasks.keepalived.params import Address, Pair

LOWEST = 1  # of an effective priority
OWNER = 255  # a priority that no weight changes
MOST_WEIGHT = 253  # beyond that a track_file means FAULT (keepalived.conf(5))

How = Literal["track_file", "reload", "stop"]


@dataclass(frozen=True)
class Means:
    """How a member gives up, or stays away. It is written down before it is used.

    `resigns`: by going through FAULT, because the peer waits for that. `value` and `fault`: what
    goes into the track_file. `names`: the instances to lower by a reload, in `files`. `gap`:
    seconds without the address that it costs. `why`: what stood in the way of a better one.
    """

    how: How
    gap: float = 0.0
    why: str = ""
    path: str = ""
    value: int = 0
    fault: int = 0
    resigns: bool = False
    names: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    def dump(self) -> dict[str, Any]:
        """Make JSON of it."""
        return asdict(self)

    @classmethod
    def load(cls, data: dict[str, Any]) -> Means:
        """Make it of JSON."""
        return cls(**{**data, "names": tuple(data["names"]), "files": tuple(data["files"])})

    def __str__(self) -> str:
        gap = f", a gap of about {self.gap:.2f} s" if self.gap else ", no gap"
        match self.how:
            case "track_file" if self.resigns:
                text = f"track_file {self.path} = {self.fault} (FAULT), then {self.value}"
            case "track_file":
                text = f"track_file {self.path} = {self.value}"
            case "reload":
                text = f"reload with priority {LOWEST}"
            case "stop":
                text = "systemctl stop keepalived"
        return f"{text}{gap}{f' ({self.why})' if self.why else ''}"


def choose(pair: Pair, me: Member, peer: Member) -> Means:
    """Choose how `me` gives up what it holds of the pair; or, if that is nothing, stays away."""
    places = [a for a in pair.addresses if me.instance(a) is not None]
    held = [a for a in places if me.holds(a)]
    mine = [i for a in places if (i := me.instance(a)) is not None]
    waits = [i for a in held if (i := peer.instance(a)) is not None and i.nopreempt]
    gap = max((skew(i) for a in held if (i := peer.instance(a)) is not None), default=0.0)
    by_file, no_file = _by_track_file(pair, me, peer, held, mine)
    if by_file is not None:
        return replace(by_file, resigns=True, gap=gap) if waits else by_file
    if waits:
        stubborn = f"{no_file}; {peer.name} has nopreempt and takes over only when this one stops"
        return Means("stop", gap=gap, why=stubborn)
    by_reload, no_reload = _by_reload(me, peer, held, mine)
    if by_reload is not None:
        return replace(by_reload, why=no_file)
    return Means("stop", gap=gap, why=f"{no_file}; {no_reload}")


def skew(instance: Instance) -> float:
    """Seconds after which a BACKUP takes over from a MASTER that has resigned."""
    return (256 - instance.effective) / 256 * instance.advert


def lowered(member: Member, instance: Instance) -> bool:
    """Whether an instance has been lowered by a reload, and not been let up again."""
    return bool(member.kept) and instance.priority == LOWEST


def number(text: str | None) -> int | None:
    """Read a track_file; an empty one counts as 0."""
    if text is None or re.fullmatch(r"\s*[+-]?\d*\s*", text) is None:
        return None
    return int(text) if text.strip() not in ("", "+", "-") else 0


def _by_track_file(
    pair: Pair, me: Member, peer: Member, held: Sequence[Address], mine: Sequence[Instance]
) -> tuple[Means | None, str]:
    """Find a file that all instances watch, and what to write there; or say why there is none."""
    watched = [me.config.watched(instance.name) for instance in mine]
    common = set.intersection(*(set(each) for each in watched)) if watched else set()
    if pair.track_file is not None:
        common &= {pair.track_file}
    elif len(common) > 1:
        return None, f"it is not clear which of {', '.join(sorted(common))} is meant"
    if not common:
        where = pair.track_file or "a track_file"
        return None, f"its instances do not watch {where}: see `winch pair prepare {pair.name}`"
    path = common.pop()
    weights = {each[path] for each in watched}
    weight = weights.pop()
    now = number(me.values.get(path, "0"))
    if weights or weight == 0 or now is None:
        return None, f"{path} has no one weight other than 0, or holds no number"
    if any(len(me.config.group_of(instance.name)) > 1 for instance in mine):
        return None, "its instances are in a sync group"
    sign = -1 if weight > 0 else 1
    steps = MOST_WEIGHT // abs(weight)
    value, fault = sign * steps, sign * (steps + 1)
    for address in held:
        own, other = me.instance(address), peer.instance(address)
        if own is None or other is None:
            continue
        lowered = own.effective + (value - now) * weight
        if own.priority == OWNER or (max(LOWEST, lowered) >= other.effective > 0):
            return None, f"{path} cannot lower {own.name} below {peer.name}'s {other.effective}"
    return Means("track_file", path=path, value=value, fault=fault), ""


def _by_reload(
    me: Member, peer: Member, held: Sequence[Address], mine: Sequence[Instance]
) -> tuple[Means | None, str]:
    names = sorted(frozenset().union(*(me.config.group_of(instance.name) for instance in mine)))
    unknown = [n for n in names if n not in me.config.instances or not editable(n)]
    if unknown or not names:
        return None, f"{', '.join(unknown) or 'no instance'} cannot be found in {me.conf}"
    for address in held:
        own, other = me.instance(address), peer.instance(address)
        if own is None or other is None:
            continue
        if LOWEST + max(0, own.effective - own.priority) >= other.effective:
            return None, f"no priority is below {peer.name}'s {other.effective}"
    files = tuple(sorted({me.config.instances[name].file for name in names}))
    return Means("reload", names=tuple(names), files=files), ""
