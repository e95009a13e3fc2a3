"""Whether the names in a fleet file mean something.

Works on the plain data, so that one pass tells of wrong shapes and wrong names alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from workflows.problems import Problem, nearest
from workflows.values import check_address
from workflows.yamlfile import KeyPath

# Where names stand ("*" is any key, "#" any item, "@" the keys themselves), and in which section
# they must be found.
_REFERENCES: list[tuple[KeyPath, str]] = [
    (("balancers", "@"), "hosts"),
    (("pairs", "*", "members", "#"), "hosts"),
    (("pools", "*", "balancers", "#"), "balancers"),
    (("pools", "*", "servers", "@"), "hosts"),
    (("nginx", "*", "hosts", "#"), "hosts"),
]
# The gate of a run is a lane without a host of its own; it shows under this name.
GATE = "preflight"


def reference_problems(data: dict[str, Any]) -> Iterator[Problem]:
    """Find names that refer to nothing, and jumps that go in a circle."""
    for pattern, section in _REFERENCES:
        known = _mapping(data.get(section))
        for path, name in _find(data, pattern, ()):
            if name not in known:
                yield Problem(path, f"{name!r} is not under {section}{nearest(name, known)}")
    yield from _homes(data)
    yield from _jumps(data)
    for name in _mapping(data.get("hosts")):
        if name == GATE or name.startswith(f"{GATE}."):
            yield Problem(("hosts", name), f"the name {GATE} is taken by Winch's own checks")


def _find(value: Any, pattern: KeyPath, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    if not pattern:
        if isinstance(value, str):
            yield path, value
        return
    head, rest = pattern[0], pattern[1:]
    if head == "#":
        for index, item in enumerate(value if isinstance(value, list) else []):
            yield from _find(item, rest, (*path, index))
    elif head == "@":
        yield from (((*path, key), key) for key in _mapping(value))
    elif head == "*":
        for key, item in _mapping(value).items():
            yield from _find(item, rest, (*path, key))
    elif head in _mapping(value):
        yield from _find(value[head], rest, (*path, head))


def _homes(data: dict[str, Any]) -> Iterator[Problem]:
    for path, home in _find(data, ("pairs", "*", "addresses", "#", "home"), ()):
        members = data["pairs"][path[1]].get("members")
        names = (
            [name for name in members if isinstance(name, str)] if isinstance(members, list) else []
        )
        if home not in names:
            yield Problem(path, f"{home!r} is not one of the members{nearest(home, names)}")


def _jumps(data: dict[str, Any]) -> Iterator[Problem]:
    hosts = _mapping(data.get("hosts"))
    own = {path[1]: name for path, name in _find(data, ("hosts", "*", "ssh", "jump"), ())}
    for path, name in [
        *_find(data, ("ssh", "jump"), ()),
        *_find(data, ("hosts", "*", "ssh", "jump"), ()),
    ]:
        if name in hosts:
            continue
        hint = nearest(name, hosts)
        if "did you mean" in hint:
            yield Problem(path, f"{name!r} is not under hosts{hint}")
            continue
        try:
            check_address(name)  # a machine that is only passed through need not be a host
        except ValueError as error:
            yield Problem(path, f"not under hosts, and {error}")
    for host in own:
        chain: list[str] = [str(host)]
        while (following := own.get(chain[-1])) is not None and following not in chain:
            chain.append(following)
        if following == host:
            circle = " → ".join([*chain, following])
            yield Problem(("hosts", host, "ssh", "jump"), f"the jumps go in a circle: {circle}")


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
