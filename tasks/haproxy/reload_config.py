"""The few lines of a HAProxy configuration that a reload must understand. No I/O in here.

Only sections, binds, servers and what loads their state are read from the host: the rest is
nobody's business, and may hold passwords.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

SECTIONS = (
    "global", "defaults", "frontend", "backend", "listen", "peers", "mailers", "resolvers",
    "userlist", "program", "cache", "fcgi-app", "ring", "http-errors", "log-forward",
    "log-profile", "crt-store", "traces", "acme",
)  # fmt: skip
LOADING = ("load-server-state-from-file", "server-state-file-name")
# Of these, the lines are read.
WORDS = (*SECTIONS, *LOADING, "bind", "stats", "server-state-file", "server-state-base",
         "hard-stop-after")  # fmt: skip
_BINDING = ("frontend", "listen", "peers", "log-forward")
_SERVING = ("backend", "listen")


@dataclass(frozen=True)
class Line:
    """A line: its file (as HAProxy was told of it), its number from 1, and its words."""

    file: str
    number: int
    words: tuple[str, ...]


def split_words(text: str) -> tuple[str, ...]:
    """Split a line into words as HAProxy does (configuration manual, 2.2): quotes, `\\`, `#`.

    Variables are left as they stand.
    """
    words: list[str] = []
    word: list[str] | None = None
    quote = ""
    at = 0
    while at < len(text):
        char = text[at]
        at += 1
        if quote:
            if char == quote:
                quote = ""
                continue
            if char == "\\" and quote == '"' and at < len(text):
                char, at = text[at], at + 1
        elif char.isspace():
            if word is not None:
                words.append("".join(word))
            word = None
            continue
        elif char == "#":
            break
        elif char in "'\"":
            quote, word = char, word or []
            continue
        elif char == "\\" and at < len(text):
            char, at = text[at], at + 1
        word = [*(word or []), char]
    if word is not None:
        words.append("".join(word))
    return tuple(words)


def parse_lines(text: str) -> list[Line]:
    """Parse what `structure.sh` prints: `== FILE`, and `NUMBER:LINE` of each file."""
    lines: list[Line] = []
    file = ""
    for row in text.splitlines():
        if row.startswith("== "):
            file = row.removeprefix("== ")
            continue
        number, _, line = row.partition(":")
        words = split_words(line)
        if number.isdigit() and words:
            lines.append(Line(file, int(number), words))
    return lines


@dataclass(frozen=True)
class Section:
    """A section: its head and the lines of it that were read."""

    head: Line
    lines: tuple[Line, ...]

    @property
    def kind(self) -> str:
        """`backend`, `listen`, …"""
        return self.head.words[0]

    @property
    def name(self) -> str:
        """Its name; "" where it has none."""
        return self.head.words[1] if len(self.head.words) > 1 else ""


def sections(lines: Iterable[Line]) -> list[Section]:
    """Put lines under the heads of their sections; a file does not end one, but the next head."""
    found: list[tuple[Line, list[Line]]] = []
    for line in lines:
        if line.words[0] in SECTIONS:
            found.append((line, []))
        elif found:
            found[-1][1].append(line)
    return [Section(head, tuple(own)) for head, own in found]


def bind_words(lines: Iterable[Line]) -> list[Line]:
    """List the lines that make HAProxy listen, as `bind ADDRESS WORD…`."""
    binds: list[Line] = []
    for section in sections(lines):
        for line in section.lines:
            if section.kind in _BINDING and line.words[0] == "bind":
                binds.append(line)
            if section.kind == "global" and line.words[:2] == ("stats", "socket"):
                binds.append(Line(line.file, line.number, ("bind", *line.words[2:])))
    return binds


def native_file(lines: Iterable[Line]) -> str | None:
    """Find the file from which the configuration itself loads the states of all servers."""
    base, name, loads = "", "", False
    for line in lines:
        match line.words:
            case ("server-state-base", path, *_):
                base = path
            case ("server-state-file", path, *_):
                name = path
            case ("load-server-state-from-file", "global", *_):
                loads = True
    if not name or not loads:
        return None
    return name if name.startswith("/") else f"{base.rstrip('/')}/{name}" if base else None


def hard_stop_after(lines: Iterable[Line]) -> str | None:
    """Say what bounds the life of old workers."""
    found = [
        line.words[1] for line in lines if line.words[0] == "hard-stop-after" and line.words[1:]
    ]
    return found[-1] if found else None


@dataclass(frozen=True)
class Carry:
    """How a configuration has to be changed for a moment, so that states are carried over.

    `after`: lines (by file and number) behind which two lines are to be put; `out`: lines that
    must not be there. `missing`: backends that it does not have (any more). `unclear`: what stands
    in the way, worded.
    """

    after: Mapping[str, list[int]] = field(default_factory=dict)
    out: Mapping[str, list[int]] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    unclear: str | None = None


def carry(lines: Sequence[Line], backends: Iterable[str]) -> Carry:
    """Find where each backend begins, and what in it says from where states are loaded."""
    serving = [section for section in sections(lines) if section.kind in _SERVING]
    named = {section.name: section for section in serving}
    variable = next((s for s in serving if "$" in s.name), None)
    after: dict[str, list[int]] = {}
    out: dict[str, list[int]] = {}
    missing: list[str] = []
    for backend in backends:
        section = named.get(backend)
        if section is None:
            if variable is not None:
                where = f"{variable.head.file}:{variable.head.number}"
                return Carry(unclear=f"{where} names a section by a variable, {variable.name}")
            missing.append(backend)
            continue
        after.setdefault(section.head.file, []).append(section.head.number)
        for line in section.lines:
            if line.words[0] in LOADING:
                out.setdefault(line.file, []).append(line.number)
    return Carry(after, out, tuple(missing))


def server_port(lines: Iterable[Line], backend: str, server: str) -> int | None:
    """Read the port of a server from its line; None where it cannot be told.

    0: the client's port. A `server-template` makes servers PREFIX1, PREFIX2, …
    """
    for section in sections(lines):
        if section.kind not in _SERVING or section.name != backend:
            continue
        for line in section.lines:
            match line.words:
                case ("server", name, address, *_) if name == server:
                    return _port(address)
                case ("server-template", prefix, _, address, *_) if (
                    server.startswith(prefix) and server[len(prefix) :].isdigit()
                ):
                    return _port(address)
    return None


def _port(address: str) -> int | None:
    """Read the port of an address: behind its last colon, also of a bare IPv6 address."""
    _, colon, port = address.rpartition(":")
    if not colon:
        return None if "$" in address else 0
    if not port or "]" in port:
        return 0
    port = port.removeprefix("+")
    return int(port) if port.isdigit() else None
