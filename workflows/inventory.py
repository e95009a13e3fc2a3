"""Read an Ansible inventory, INI or YAML, as far as hosts, groups and connections go."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, NoReturn

from worker.errors import UsageError
from workflows.values import shown
from workflows.yamlfile import read_document, read_text

MAX_HOSTS = 50_000
MAX_DEPTH = 32
_RANGE = re.compile(r"\[([0-9]+|[A-Za-z]):([0-9]+|[A-Za-z])(?::([0-9]+))?\]", re.ASCII)
_SECTION = re.compile(r"\[([^\]:]+)(?::(children|vars|hosts))?\]\s*(?:[#;].*)?", re.ASCII)
_YAML_KEY = re.compile(r"^[A-Za-z0-9_.\"'-]+:\s*(#.*)?$", re.ASCII | re.MULTILINE)


@dataclass
class Group:
    """A group: its own hosts, the groups in it, and its variables."""

    hosts: list[str] = field(default_factory=list)
    children: list[str] = field(default_factory=list)
    vars: dict[str, str] = field(default_factory=dict)


@dataclass
class Inventory:
    """Hosts with their own variables, and groups, all in the file's order."""

    hosts: dict[str, dict[str, str]] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)

    def group(self, name: str) -> Group:
        """Return a group, made if need be."""
        return self.groups.setdefault(name, Group())

    def members(self, name: str, depth: int = 0) -> list[str]:
        """Return all hosts of a group, those of its children among them."""
        group = self.groups.get(name)
        if group is None or depth > MAX_DEPTH:
            return []
        below = [host for child in group.children for host in self.members(child, depth + 1)]
        return list(dict.fromkeys([*group.hosts, *below]))

    def variables(self) -> dict[str, dict[str, str]]:
        """Return what applies to each host: `all`, then outer groups, then inner, then its own."""
        found: dict[str, dict[str, str]] = {host: {} for host in self.hosts}
        for name in sorted(self.groups, key=lambda each: (self._depth(each), each)):
            own = self.groups[name].vars
            for host in found if name == "all" else self.members(name):
                found[host].update(own)
        for host, own in self.hosts.items():
            found[host].update(own)
        return found

    def _depth(self, name: str) -> int:
        """Return how far below the outermost group a group is; `all` is outermost."""
        if name == "all":
            return 0
        level, seen, around = 1, {name}, {name}
        while around := {
            parent
            for parent, group in self.groups.items()
            if parent != "all" and parent not in seen and around & set(group.children)
        }:
            seen |= around
            level += 1
        return level


def read_inventory(path: Path) -> Inventory:
    """Read an inventory file.

    Raises:
        UsageError: it cannot be read, or is none; one line that says where and why.
    """
    text = read_text(path)
    if text.startswith("#!"):
        raise UsageError(
            f"{path}: a program that prints an inventory; save what it prints first: "
            "ansible-inventory -i PROGRAM --list --yaml > inventory.yaml"
        )
    if path.suffix in {".yml", ".yaml", ".json"} or (
        _YAML_KEY.search(text) and not re.search(r"^\[", text, re.MULTILINE)
    ):
        inventory = _from_yaml(path)
    else:
        inventory = _Ini(path).read(text)
    if not inventory.hosts:
        raise UsageError(f"{path}: no hosts found; is it an Ansible inventory?")
    return inventory


def expand_ranges(pattern: str) -> list[str]:
    """Expand `web[01:03]` and `db-[a:c]`, as Ansible does, ends included.

    Raises:
        ValueError: a range that cannot be, or more hosts than a fleet may have.
    """
    parts: list[list[str]] = []
    count, position = 1, 0
    for match in _RANGE.finditer(pattern):
        values = _range(match)
        count *= len(values)
        if count > MAX_HOSTS:
            raise ValueError(f"{shown(pattern)} stands for more than {MAX_HOSTS} hosts")
        parts += [[pattern[position : match.start()]], values]
        position = match.end()
    return ["".join(each) for each in product(*parts, [pattern[position:]])]


def _range(match: re.Match[str]) -> list[str]:
    first, last, step = match[1], match[2], int(match[3] or 1)
    if step < 1 or first.isdigit() != last.isdigit():
        raise ValueError(f"{match[0]} is no range")
    if first.isdigit():
        low, high, width = int(first), int(last), len(first) if first.startswith("0") else 0
        if high - low >= MAX_HOSTS:
            raise ValueError(f"{match[0]} stands for more than {MAX_HOSTS} hosts")
        values = [str(number).zfill(width) for number in range(low, high + 1, step)]
    else:
        values = [chr(code) for code in range(ord(first), ord(last) + 1, step)]
    if not values:
        raise ValueError(f"{match[0]} is an empty range")
    return values


class _Ini:
    """Reads the INI form line by line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.inventory = Inventory()
        self.number = 0

    def read(self, text: str) -> Inventory:
        name, kind = "ungrouped", "hosts"
        for self.number, raw in enumerate(text.splitlines(), 1):
            line = raw.strip()
            if not line or line[0] in "#;":
                continue
            section = _SECTION.fullmatch(line)
            if section is not None:
                name, kind = section[1].strip(), section[2] or "hosts"
                self.inventory.group(name)
            elif line.startswith("[") and _RANGE.match(line) is None:
                self._refuse(f"{shown(line)} is no section: write [group], [group:children]")
            elif kind == "children":
                self.inventory.group(name).children.append(line.split()[0])
            elif kind == "vars":
                key, _, value = line.partition("=")
                self.inventory.group(name).vars[key.strip()] = _unquoted(value.strip())
            else:
                self._host(name, line)
        return self.inventory

    def _host(self, group: str, line: str) -> None:
        try:
            words = shlex.split(line, comments=True)
            names = expand_ranges(words[0])
        except ValueError as error:
            self._refuse(str(error))
        own: dict[str, str] = {}
        for word in words[1:]:
            key, equals, value = word.partition("=")
            if not equals:
                self._refuse(f"{shown(word)} is no KEY=VALUE")
            own[key] = value
        for name in names:
            host, colon, port = name.rpartition(":")
            if colon and port.isdigit() and ":" not in host:
                own, name = {"ansible_port": port, **own}, host  # noqa: PLW2901
            if len(self.inventory.hosts) >= MAX_HOSTS:
                self._refuse(f"more than {MAX_HOSTS} hosts")
            self.inventory.hosts.setdefault(name, {}).update(own)
            self.inventory.group(group).hosts.append(name)

    def _refuse(self, message: str) -> NoReturn:
        raise UsageError(f"{self.path}:{self.number}: {message}")


def _from_yaml(path: Path) -> Inventory:
    document = read_document(path)
    if "_meta" in document.data:
        raise UsageError(
            f"{path}: the JSON that a program prints; write the inventory as YAML instead: "
            "ansible-inventory -i SOURCE --list --yaml > inventory.yaml"
        )
    inventory = Inventory()
    pending: list[tuple[str, Any, int]] = [(key, group, 0) for key, group in document.data.items()]
    while pending:
        name, data, depth = pending.pop(0)
        group = inventory.group(name)
        if depth > MAX_DEPTH or not isinstance(data, dict | None):
            raise UsageError(f"{path}: group {shown(name)} is no group: hosts, children and vars")
        for pattern, own in _mapping(data, "hosts"):
            try:
                names = expand_ranges(pattern)
            except ValueError as error:
                raise UsageError(f"{path}: group {shown(name)}: {error}") from None
            for host in names:
                if len(inventory.hosts) >= MAX_HOSTS:
                    raise UsageError(f"{path}: more than {MAX_HOSTS} hosts")
                inventory.hosts.setdefault(host, {}).update(_texts(own))
                group.hosts.append(host)
        for child, below in _mapping(data, "children"):
            group.children.append(child)
            pending.append((child, below, depth + 1))
        group.vars.update(_texts((data or {}).get("vars")))
    return inventory


def _mapping(data: Any, key: str) -> Iterator[tuple[str, Any]]:
    found = (data or {}).get(key)
    if isinstance(found, dict):
        yield from found.items()


def _texts(data: Any) -> dict[str, str]:
    found = data if isinstance(data, dict) else {}
    return {key: value for key, value in found.items() if isinstance(value, str)}


def _unquoted(text: str) -> str:
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
    return text[1:-1] if quoted else text
