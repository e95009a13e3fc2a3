"""Read a YAML file into plain data, and remember on which line everything stands.

Scalars stay text: `1.20` is not the number 1.2, `no` not False, `80:80` not 4880 (the traps of
YAML 1.1); the models say what a value must be. Duplicate keys and tags are refused; anchors and
`<<` work, but may not blow the file up.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import Any, NoReturn

import yaml

from worker.errors import UsageError

MAX_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 32
MAX_VALUES = 500_000  # after anchors are followed; 10,000 hosts in a pool are some 100,000
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x84\x86-\x9f\ud800-\udfff\ufffe]")
_STRING_TAG = "tag:yaml.org,2002:str"
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

PathKey = str | int
KeyPath = tuple[PathKey, ...]


@dataclass(eq=False)
class Node:
    """One value: text, None, a list of nodes, or keys with the line of each and its node."""

    line: int
    value: str | list[Node] | dict[str, tuple[int, Node]] | None
    size: int = 1


@dataclass(frozen=True)
class Document:
    """A file's data, and where each of its keys stands."""

    label: str
    root: Node
    data: dict[str, Any] = field(default_factory=dict)

    def line(self, path: KeyPath) -> int:
        """Find the line of a key path, or of the nearest thing above it that exists."""
        node, line = self.root, self.root.line
        for key in path:
            if isinstance(node.value, dict) and isinstance(key, str) and key in node.value:
                line, node = node.value[key]
            elif isinstance(node.value, list) and isinstance(key, int) and key < len(node.value):
                node = node.value[key]
                line = node.line
            else:
                break
        return line


def read_document(path: Path) -> Document:
    """Read a YAML file whose top is a mapping.

    Raises:
        UsageError: it cannot be read or is no such file; one line that says where and why.
    """
    label = str(path)
    text = read_text(path)
    if not text.strip():
        raise UsageError(f"{label}: the file is empty; 'winch fleet import' can write one")
    bad = _UNPRINTABLE.search(text)
    if bad is not None:
        line = text.count("\n", 0, bad.start()) + 1
        code = f"U+{ord(bad[0]):04X}"
        raise UsageError(f"{label}:{line}: control character {code}; this is no YAML text file")
    try:
        root = _Builder(label, yaml.parse(text, Loader=_LOADER)).document()
    except yaml.YAMLError as error:
        raise _syntax_error(label, text, error) from None
    data = _plain(root, {})
    if not isinstance(data, dict):
        raise UsageError(
            f"{label}:{root.line}: the top must be a mapping (hosts: …), not {_a(data)}"
        )
    return Document(label, root, data)


def read_text(path: Path) -> str:
    """Read a bounded UTF-8 text file.

    Raises:
        UsageError: it is not there, not readable, no file, too large or not UTF-8.
    """
    try:
        mode = path.stat().st_mode
        if S_ISDIR(mode):
            raise UsageError(f"{path}: is a directory; name the file in it")
        if not S_ISREG(mode):
            raise UsageError(f"{path}: is no regular file")
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise UsageError(
            f"{path}: no such file; name one with --fleet or WINCH_FLEET, "
            "or write one with 'winch fleet import'"
        ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"{str(path)!r}: cannot be read: {reason}") from None
    if len(raw) > MAX_BYTES:
        raise UsageError(f"{path}: larger than {MAX_BYTES // 1024**2} MiB; this is no fleet file")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{path}:{line}: not UTF-8 text (byte 0x{raw[error.start]:02x})") from None


class _Builder:
    """Builds nodes from the parser's events, with bounds on depth and size."""

    def __init__(self, label: str, events: Iterator[Any]) -> None:
        self.label = label
        self.events = events
        self.anchors: dict[str, Node] = {}

    def document(self) -> Node:
        root: Node | None = None
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    self._refuse(event, "a second document (---); a fleet file is one document")
            elif isinstance(event, yaml.NodeEvent):
                root = self._node(event, 0)
        if root is None:
            raise UsageError(f"{self.label}: the file holds no values")
        return root

    def _node(self, event: Any, depth: int) -> Node:
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self.anchors:
                self._refuse(event, f"*{event.anchor} stands before its anchor &{event.anchor}")
            return self.anchors[event.anchor]
        if event.tag is not None and event.tag != _STRING_TAG:
            self._refuse(event, f"tags such as {event.tag} are not allowed")
        if depth > MAX_DEPTH:
            self._refuse(event, f"nested deeper than {MAX_DEPTH} levels")
        if isinstance(event, yaml.ScalarEvent):
            plain = event.style in (None, "") and event.tag is None
            node = Node(line, None if plain and event.value in _NULL else event.value)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = self._sequence(line, depth)
        else:
            node = self._mapping(line, depth)
        if node.size > MAX_VALUES:
            self._refuse(event, f"holds more than {MAX_VALUES} values with its anchors followed")
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        return node

    def _sequence(self, line: int, depth: int) -> Node:
        items: list[Node] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            items.append(self._node(event, depth + 1))
        return Node(line, items, 1 + sum(item.size for item in items))

    def _mapping(self, line: int, depth: int) -> Node:
        own: dict[str, tuple[int, Node]] = {}
        merged: dict[str, tuple[int, Node]] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key = self._node(event, depth + 1).value
            at = event.start_mark.line + 1
            if not isinstance(key, str):
                self._refuse(event, "a key must be plain text")
            node = self._node(next(self.events), depth + 1)
            if key == "<<":
                self._merge(event, node, merged)
            elif key in own:
                self._refuse(event, f"the key {key!r} stands here twice (line {own[key][0]} too)")
            else:
                own[key] = (at, node)
        keys = {**merged, **own}
        return Node(line, keys, 1 + len(keys) + sum(node.size for _, node in keys.values()))

    def _merge(self, event: Any, node: Node, into: dict[str, tuple[int, Node]]) -> None:
        sources = node.value if isinstance(node.value, list) else [node]
        for source in sources:
            if not isinstance(source.value, dict):
                self._refuse(event, "<< wants a mapping, or a list of mappings")
            for key, found in source.value.items():
                into.setdefault(key, found)

    def _refuse(self, event: Any, message: str) -> NoReturn:
        raise UsageError(f"{self.label}:{event.start_mark.line + 1}: {message}")


def _plain(node: Node, seen: dict[int, Any]) -> Any:
    """Strip the lines off; what an anchor shares stays shared."""
    if not isinstance(node.value, list | dict):
        return node.value
    known = seen.get(id(node))
    if known is None:
        if isinstance(node.value, list):
            known = [_plain(item, seen) for item in node.value]
        else:
            known = {key: _plain(item, seen) for key, (_, item) in node.value.items()}
        seen[id(node)] = known
    return known


def _a(data: object) -> str:
    return "a list" if isinstance(data, list) else "a single value"


def _syntax_error(label: str, text: str, error: yaml.YAMLError) -> UsageError:
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return UsageError(f"{label}: not YAML: {' '.join(str(error).split())}")
    problem = getattr(error, "problem", None) or "not YAML"
    lines = text.split("\n")
    at = lines[mark.line] if mark.line < len(lines) else ""
    if "\t" in at[: mark.column + 1]:
        problem = "a tab stands where YAML wants spaces; indent with spaces"
    elif "mapping values are not allowed" in problem:
        problem = "a ': ' where no key can stand; quote the value, or mend the indentation"
    return UsageError(f"{label}:{mark.line + 1}: {problem}")
