"""Look at both members of a pair, each in one round trip."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib import resources

from tasks.keepalived.facts import Member, parse_member
from tasks.keepalived.params import Pair
from worker.errors import Failed, Unreachable
from worker.remote import Command, Host
from worker.step import Context

SCRIPT = resources.files(__package__).joinpath("facts.sh").read_text(encoding="utf-8")
_TIMEOUT = 20.0  # seconds
_TRIES = 3  # of reading a dump that keepalived has not finished writing

Seen = Mapping[str, Member]


def observe(host: Host, track_file: str | None) -> Member:
    """Look at one member.

    Raises:
        Failed: what it says cannot be read.
        Unreachable: it does not answer.
    """
    command = Command.shell(SCRIPT, track_file or "")
    for _ in range(_TRIES):
        text = host.read(command, timeout=_TIMEOUT).stdout
        try:
            return parse_member(host.name, text)
        except (ValueError, KeyError) as error:
            problem = error
    raise Failed(
        f"{host.name}: expected keepalived's data as JSON, found what cannot be read ({problem}): "
        "look at /tmp/keepalived.json there"
    )


def look(context: Context, pair: Pair) -> Seen:
    """Look at both members at once. One that does not answer is in there, with its `error`."""

    def one(name: str) -> Member:
        try:
            return observe(context.on(name), pair.track_file)
        except Unreachable as error:
            return Member(name, error=str(error))

    with ThreadPoolExecutor(2) as threads:
        return dict(zip(pair.members, threads.map(one, pair.members), strict=True))


def look_at_both(context: Context, pair: Pair) -> Seen:
    """Look at both members.

    Raises:
        Unreachable: one of them does not answer.
    """
    seen = look(context, pair)
    errors = [member.error for member in seen.values() if member.error is not None]
    if errors:
        raise Unreachable("; ".join(errors))
    return seen
