"""Write names and values into a fleet file so that every YAML reader takes them as meant."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from typing import Any

import yaml

from workflows.references import GATE


class Names:
    """Makes names that a fleet file accepts, each for one thing only."""

    def __init__(self) -> None:
        self._made: dict[Hashable, str] = {}
        self._taken: set[str] = set()

    def of(self, text: str, key: Hashable = None) -> str:
        """Return the name of a thing: made from `text`, the same for the same `key`."""
        key = text if key is None else key
        if key not in self._made:
            base = re.sub(r"[^A-Za-z0-9_.-]", "-", text)[:56].lstrip(".-") or "host"
            if base.partition(".")[0] == GATE:
                base = f"host-{base}"
            name, number = base, 1
            while name in self._taken:
                number += 1
                name = f"{base}-{number}"
            self._made[key] = name
            self._taken.add(name)
        return self._made[key]


def scalar(text: str) -> str:
    """Write a text so that every YAML reader takes it for that text."""
    if re.fullmatch(r"[A-Za-z0-9_/~.][A-Za-z0-9_./@+-]*", text, re.ASCII):
        try:
            if yaml.safe_load(text) == text:
                return text
        except (yaml.YAMLError, ValueError):
            pass
    return f'"{"".join(map(_escaped, text))}"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    return character if character.isprintable() else f"\\U{ord(character):08x}"


def flow(value: Any) -> str:
    """Write plain data on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{scalar(k)}: {flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flow, value)) + "]"
    return str(value) if isinstance(value, int) else scalar(str(value))
