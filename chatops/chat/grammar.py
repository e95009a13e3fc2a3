"""What is written in chat rooms, as requests. Pure; a mistake gets the nearest right command.

roll web version=1.26 limit=web1        drain web web1        nginx upgrade edge package=1.26.3
status [RUN]        retry|skip|pause|resume|approve|abort|rollback RUN [HOST]
leases        freeze [SCOPE] until=… reason="…"        unfreeze [SCOPE]        help

Jobs take at=22:00, too; and what a freeze holds up goes on with: override-freeze reason="…"
"""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from chatops.chat.requests import Ask, Freeze, Mistake, Request, Start, Status, Steer
from chatops.orders import NO_OVERRIDE, OVERRIDING, STEERING, Order, Override
from worker.errors import UsageError
from workflows.jobs import JOBS
from workflows.nginx_options import NginxOptions
from workflows.options import Options
from workflows.values import has_control, shown

MAX_TEXT = 2000  # characters
_MOST_RUN = 2**31 - 1  # of a PostgreSQL integer
_CLOSE = 0.6
_CLOSE_KEY = 0.75
# What telephones make of quotes: double ones, the single right and left one.
_QUOTES = str.maketrans("\u201c\u201d\u201e\u00ab\u00bb\u2018\u2019", '"""""\'\'')
_OPTION = re.compile(r"--([a-z-]+)( (?='))?(?=(:)?)")


@dataclass(frozen=True)
class Command:
    """A command as it is written, and the action (`chatops.authorise`) that it is."""

    name: str
    usage: str
    summary: str
    action: str = "look"
    keys: tuple[str, ...] = field(default=())


_OVERRIDE = "override_freeze"
_COMMON = ("limit", "exclude", "max_unavailable", "stages", "at", _OVERRIDE, "reason")
_PLACES = {"pools": "POOL", "pairs": "PAIR", "nginx": "GROUP", "balancers": "BALANCER"}


def _commands() -> dict[str, Command]:
    found = {}
    for job in JOBS.values():
        name = job.name.replace(".", " ")
        place, more = _PLACES.get(job.target, "TARGET"), ""
        keys: tuple[str, ...] = _COMMON
        if job.name == "nginx.upgrade":
            keys, more = (*_COMMON, "package", "soak", "confirm"), " package=VERSION"
        elif job.target == "pools":
            keys = (*_COMMON, "include_maintenance")
            more = " HOST…" if job.needs_hosts else " [version=…] [limit=HOST,…]"
        found[name] = Command(name, f"{name} {place}{more}", job.summary, "start", keys)
    for name, usage, summary, action in (
        ("status", "status [RUN]", "a run, or the newest ones", "look"),
        ("retry", "retry RUN [HOST…]", "go on from the step that failed", "retry"),
        ("skip", "skip RUN HOST", "leave a host as it is, go on with the others", "skip"),
        ("pause", "pause RUN", "start no further host", "pause"),
        ("resume", "resume RUN", "let a paused run go on", "resume"),
        ("approve", "approve RUN", "let a run go on that waits for it", "approve"),
        ("abort", "abort RUN", "end a run now; hosts stay as they are", "abort"),
        ("rollback", "rollback RUN", "put back every host that was changed", "rollback"),
        ("leases", "leases", "who holds what", "look"),
        ("help", "help", "this", "look"),
    ):
        found[name] = Command(name, usage, summary, action)
    for name, summary in (("freeze", "let no job start"), ("unfreeze", "let jobs start again")):
        usage = f'{name} [SCOPE] until=TIME reason="…"' if name == "freeze" else f"{name} [SCOPE]"
        found[name] = Command(name, usage, summary, name, ("until", "reason"))
    return found


COMMANDS: dict[str, Command] = _commands()
_SYNONYMS = {"runs": "status", "show": "status", "?": "help", "--help": "help", "-h": "help"}
# What people say who do not know the word yet.
_MEANT = {
    "stop": "abort", "cancel": "abort", "kill": "abort", "continue": "resume", "go": "resume",
    "wait": "pause", "hold": "pause", "ok": "approve", "yes": "approve", "confirm": "approve",
    "undo": "rollback", "revert": "rollback", "deploy": "roll", "update": "roll", "list": "status",
    "again": "retry",
}  # fmt: skip
_WORD_PAIRS = frozenset(name.split()[0] for name in COMMANDS if " " in name)


def parse(text: str, *, lead: str = "/winch") -> Request:
    """Read what somebody has written. `lead` is how commands begin in that network.

    Raises:
        Mistake: it cannot be meant.
        UsageError: a value is not what it must be.
    """
    words = _words(text, lead)
    if not words:
        return Ask("help")
    name, rest = _name(words, lead)
    command = COMMANDS[name]
    if name in ("help", "leases"):
        return Ask("help" if name == "help" else "leases")
    if name == "status":
        return Status(_run(rest[0], command, lead) if rest else None)
    if name in STEERING:
        return _steer(command, rest, lead)
    positional, named = _split(command, rest, lead)
    if name in ("freeze", "unfreeze"):
        if len(positional) > 1 or named.keys() - set(command.keys):
            raise Mistake(f"`{lead} {command.usage}`")
        scope = positional[0] if positional else None
        lift = name == "unfreeze"
        return Freeze(scope, named.get("until"), named.get("reason"), lift)
    if not positional:
        raise Mistake(f"{name} needs to know of what: `{lead} {command.usage}`")
    return _start(command, positional, named)


def _words(text: str, lead: str) -> list[str]:
    text = text.strip().translate(_QUOTES)
    if len(text) > MAX_TEXT:
        raise Mistake(f"that is {len(text)} characters long; at most {MAX_TEXT} are read")
    if has_control(text):
        raise Mistake("one line, please: that holds a line break or a control character")
    try:
        words = shlex.split(text)
    except ValueError:
        raise Mistake('a quote is not closed: write reason="so" or leave the quotes out') from None
    if words and words[0].lower() in (lead, lead.lstrip("/!"), "/winch", "!winch"):
        del words[0]
    return words


def _name(words: Sequence[str], lead: str) -> tuple[str, list[str]]:
    """Find the command, and what follows it."""
    first = words[0].lower()
    first = _SYNONYMS.get(first, first)
    second = words[1].lower() if len(words) > 1 else ""
    if f"{first} {second}" in COMMANDS:
        return f"{first} {second}", list(words[2:])
    if first in COMMANDS:
        return first, list(words[1:])
    said = " ".join(words[:2] if first in _WORD_PAIRS else words[:1])
    raise Mistake(f"there is no {shown(said)}{_meant(words, first, second, lead)}")


def _meant(words: Sequence[str], first: str, second: str, lead: str) -> str:
    """Write the nearest right command, with what followed it."""
    rest: Sequence[str]
    if second in COMMANDS:  # `web roll`, `12 retry`
        name, rest = second, [words[0], *words[2:]]
    else:
        names = [name for name in COMMANDS if " " in name] if second else []
        pair = difflib.get_close_matches(f"{first} {second}", names, 1, _CLOSE + 0.15)
        single = [_MEANT[first]] if first in _MEANT else []
        single += difflib.get_close_matches(first, [*COMMANDS, *_SYNONYMS], 1, _CLOSE)
        halves = [name for name in COMMANDS if name.endswith(f" {first}")]
        if len(halves) > 1:
            return f"; did you mean {' or '.join(f'`{lead} {COMMANDS[n].usage}`' for n in halves)}?"
        if pair and first not in COMMANDS:
            name, rest = pair[0], words[2:]
        elif first in _WORD_PAIRS or (single and single[0] in _WORD_PAIRS):
            group = first if first in _WORD_PAIRS else single[0]
            known = ", ".join(n.split()[1] for n in COMMANDS if n.startswith(f"{group} "))
            return f"; {group} takes one of {known}"
        elif single:
            name, rest = _SYNONYMS.get(single[0], single[0]), words[1:]
        else:
            return f"; `{lead} help` lists what there is"
    if not rest and COMMANDS[name].usage != name and not COMMANDS[name].usage.endswith("[RUN]"):
        return f"; did you mean `{lead} {COMMANDS[name].usage}`?"
    again = " ".join([name, *(_written(word) for word in rest)])
    return f"; did you mean `{lead} {again[:200]}`?"


def _written(word: str) -> str:
    return word if word and " " not in word and '"' not in word else f'"{word}"'


def _run(text: str, command: Command, lead: str) -> int:
    digits = text.removeprefix("#")
    if digits.isascii() and digits.isdigit() and 0 < int(digits[:20]) <= _MOST_RUN:
        return int(digits)
    raise Mistake(f"{shown(text)} is no run's number: `{lead} {command.usage}`")


def _steer(command: Command, rest: list[str], lead: str) -> Steer:
    if not rest:
        raise Mistake(f"{command.name} which run? `{lead} {command.usage}`")
    run = _run(rest[0], command, lead)
    # A host is never KEY=VALUE, so what is written like that is meant to be an option.
    overrides = command.name in OVERRIDING
    named: dict[str, str] = {}
    names = rest[1:]
    if overrides:
        known = replace(command, keys=(_OVERRIDE, "reason"))
        names, named = _split(known, rest[1:], lead)
    hosts = tuple(dict.fromkeys(names))
    takes = command.name in ("retry", "skip")
    if (hosts and not takes) or (command.name == "skip" and len(hosts) != 1):
        raise Mistake(f"`{lead} {command.usage.replace('RUN', str(run))}`")
    if named.keys() - {_OVERRIDE, "reason"} or ("reason" in named) != (_OVERRIDE in named):
        raise Mistake(f'`{lead} {command.name} {run} override-freeze reason="…"`')
    freeze = _yes(_OVERRIDE, named.get(_OVERRIDE))
    override = Override(True, named["reason"]) if freeze else NO_OVERRIDE
    return Steer(command.name, run, hosts, override)


def _split(command: Command, rest: list[str], lead: str) -> tuple[list[str], dict[str, str]]:
    """Tell names from KEY=VALUE."""
    positional: list[str] = []
    named: dict[str, str] = {}
    for word in rest:
        key, equals, value = word.lstrip("-").partition("=")
        if not equals and _OVERRIDE in command.keys and key.replace("-", "_") == _OVERRIDE:
            key, equals, value = _OVERRIDE, "=", "yes"
        if word.startswith("-") and not equals:
            raise Mistake(f"{shown(word)}: write key=value, as in `{lead} {command.usage}`")
        if not equals:
            positional.append(word)
            continue
        plain = key.replace("-", "_")
        key = plain if plain in command.keys else key
        if key in named:
            raise Mistake(f"{key}= is there twice; once, please")
        if key not in command.keys:
            # `cat=1` is a variable; nearly every short word is close to `at`.
            keys = [known for known in command.keys if known != "at"]
            near = difflib.get_close_matches(plain.lower(), keys, 1, _CLOSE_KEY)
            if near:
                raise Mistake(f"there is no {shown(key)}=; did you mean `{near[0]}={value[:60]}`?")
        named[key] = value
    return positional, named


def _start(command: Command, positional: list[str], named: Mapping[str, str]) -> Start:
    target, *hosts = positional
    job = command.name.replace(" ", ".")
    options = {key: value for key, value in named.items() if key in command.keys}
    variables = [f"{key}={value}" for key, value in named.items() if key not in command.keys]
    try:
        nginx = NginxOptions.parse(
            package=options.get("package"),
            soak=options.get("soak"),
            confirm=options.get("confirm"),
        )
        parsed = Options.parse(
            limit=[options["limit"]] if "limit" in options else (),
            exclude=[options["exclude"]] if "exclude" in options else (),
            set_=variables,
            max_unavailable=options.get("max_unavailable"),
            stages=options.get("stages"),
            include_maintenance=_yes("include_maintenance", options.get("include_maintenance")),
            nginx=nginx,
        )
        override = _yes(_OVERRIDE, options.get(_OVERRIDE))
    except UsageError as error:
        raise Mistake(in_chat(str(error))) from None
    order = Order(
        job, target, tuple(hosts), parsed, options.get("reason"), options.get("at"), override
    )
    return Start(order)


def in_chat(text: str) -> str:
    """Say an error of the command line's options as it is written here: `--limit` is `limit=`."""
    text = text.replace("--override-freeze --reason TEXT", 'override-freeze reason="…"')
    text = text.replace("--override-freeze takes --reason TEXT", 'override-freeze takes reason="…"')
    text = text.replace("--set KEY=VALUE", "KEY=VALUE").replace("--set: ", "")
    return _OPTION.sub(
        lambda match: match[1].replace("-", "_") + ("" if match[3] else "="),
        text.replace("--set ", ""),
    )


def _yes(key: str, text: str | None) -> bool:
    if text is None or text.lower() in ("no", "false", "0"):
        return False
    if text.lower() in ("yes", "true", "1"):
        return True
    raise UsageError(f"{key}={shown(text)}: must be yes or no")
