"""keepalived.conf, as far as Winch must know it: which instance watches which track_file (pure).

keepalived's own JSON says everything else, and says it of what runs, not of what is on disk.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

MARK = "winch pair prepare"
BEGIN, END = f"# begin: {MARK}", f"# end: {MARK}"
_NAME = re.compile(r"[A-Za-z0-9_.-]+")


@dataclass(frozen=True)
class TrackFile:
    """A file whose number, times the weight, is added to the priority of what watches it."""

    name: str
    path: str
    weight: int = 1


@dataclass(frozen=True)
class ConfiguredInstance:
    """A vrrp_instance: the file that it stands in, and what it watches, with its own weights."""

    name: str
    file: str
    tracks: dict[str, int | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Config:
    """keepalived.conf and what it includes."""

    files: tuple[str, ...] = ()
    marked: tuple[str, ...] = ()  # files with lines of `winch pair prepare`
    track_files: dict[str, TrackFile] = field(default_factory=dict)
    instances: dict[str, ConfiguredInstance] = field(default_factory=dict)
    groups: tuple[frozenset[str], ...] = ()  # sync groups: their instances move together

    def group_of(self, instance: str) -> frozenset[str]:
        """The instance and those of its sync group."""
        return next((g for g in self.groups if instance in g), frozenset({instance}))

    def watched(self, instance: str) -> dict[str, int]:
        """The paths that an instance watches, and the weight of each for it."""
        found = self.instances.get(instance)
        if found is None:
            return {}
        return {
            self.track_files[name].path: self.track_files[name].weight if weight is None else weight
            for name, weight in found.tracks.items()
            if name in self.track_files
        }


def editable(name: str) -> bool:
    """Whether an instance's name can be looked for in the configuration's text."""
    return _NAME.fullmatch(name) is not None


def parse_config(files: Iterable[tuple[str, str]]) -> Config:
    """Read the files of a configuration: pairs of a path and its text, in their order."""
    listed = list(files)
    tracks: dict[str, TrackFile] = {}
    instances: dict[str, ConfiguredInstance] = {}
    groups: list[frozenset[str]] = []
    for path, text in listed:
        for words, block in _blocks(_tokens(text)):
            match words:
                case ["track_file" | "vrrp_track_file", name]:
                    tracks[name] = _track_file(name, block)
                case ["vrrp_instance", name]:
                    instances[name] = ConfiguredInstance(name, path, _watched(block))
                case ["vrrp_sync_group", _]:
                    groups += [
                        frozenset(word for line in inner for word in line)
                        for head, inner in _blocks(block)
                        if head == ["group"]
                    ]
    paths = tuple(path for path, _ in listed)
    marked = tuple(path for path, text in listed if BEGIN in text)
    return Config(paths, marked, tracks, instances, tuple(groups))


def _tokens(text: str) -> list[list[str]]:
    """Split into lines of words; a brace is a line of its own. Comments begin with # or !."""
    lines: list[list[str]] = []
    for raw in text.splitlines():
        line: list[str] = []
        for word in re.findall(r'"[^"]*"|[{}]|[#!].*|[^\s{}"]+', raw):
            if word[0] in "#!":
                break
            if word in "{}":
                lines += [line, [word]]
                line = []
            else:
                line.append(word.strip('"'))
        lines.append(line)
    return [line for line in lines if line]


def _blocks(lines: list[list[str]]) -> Iterator[tuple[list[str], list[list[str]]]]:
    """Yield the blocks of the outermost level: the line before the brace, and what is inside."""
    depth, head, start = 0, [""], 0
    for index, line in enumerate(lines):
        match line:
            case ["{"]:
                depth += 1
                if depth == 1:
                    head, start = (lines[index - 1] if index else [""]), index + 1
            case ["}"]:
                depth -= 1
                if depth == 0:
                    yield head, lines[start:index]


def _track_file(name: str, block: list[list[str]]) -> TrackFile:
    path, weight = "", 1
    for line in block:
        match line:
            case ["file", value, *_]:
                path = value
            case ["weight", value, *rest] if re.fullmatch(r"[+-]?\d+", value):
                weight = int(value) * (-1 if "reverse" in rest else 1)
    return TrackFile(name, path, weight)


def _watched(block: list[list[str]]) -> dict[str, int | None]:
    tracks: dict[str, int | None] = {}
    for head, inner in _blocks(block):
        if head != ["track_file"]:
            continue
        for line in inner:
            match line:
                case [name, "weight", value, *rest] if re.fullmatch(r"[+-]?\d+", value):
                    tracks[name] = int(value) * (-1 if "reverse" in rest else 1)
                case [name, *_]:
                    tracks[name] = None
    return tracks
