"""nginx's error log: only what was written since a mark, and what of it matters."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from worker.remote import Command, Host

_MARK = 'stat -L -c "%d:%i %s" "$1" 2>/dev/null || echo "- 0"'
# "$1" path, "$2" device and inode, "$3" size. A log that was rotated is read from its beginning.
_SINCE = """
from=1
[ "$(stat -L -c %d:%i "$1" 2>/dev/null)" = "$2" ] && from=$(($3 + 1))
tail -c "+$from" "$1" 2>/dev/null | grep -E '\\[(emerg|alert|crit|error)\\]|new binary process' |
    cut -c 1-400 | tail -n 500
:
"""
_LINE = re.compile(
    r"(?:^\S+ \S+ |^nginx: )?\[(?P<level>[a-z]+)\] (?:(?P<pid>\d+)#\d+: )?(?:\*\d+ )?(?P<text>.*)$"
)
_CRASHED = re.compile(r"exited (on signal|with fatal code)")
_SAID_AT_MOST = 3


@dataclass(frozen=True)
class Line:
    """One line of the log. `pid` 0: it does not say."""

    level: str
    pid: int
    text: str


@dataclass(frozen=True)
class Mark:
    """The end of a log at some moment."""

    path: str
    inode: str
    size: int


def mark(host: Host, path: str) -> Mark | None:
    """Remember where the log ends now. None: nginx does not log to a file."""
    if not path.startswith("/") or path.startswith("/dev/"):
        return None
    inode, _, size = host.read(Command.shell(_MARK, path)).stdout.strip().rpartition(" ")
    return Mark(path, inode, int(size))


def lines_since(host: Host, at: Mark | None) -> list[Line]:
    """Read the notable lines that were written since a mark (at most 500)."""
    if at is None:
        return []
    command = Command.shell(_SINCE, at.path, at.inode, str(at.size))
    return parse(host.read(command).stdout)


def parse(text: str) -> list[Line]:
    """Take lines apart; what is no line of nginx is left out."""
    found = (_LINE.match(line) for line in text.splitlines())
    return [Line(m["level"], int(m["pid"] or 0), m["text"].strip()) for m in found if m]


def reason(lines: Iterable[Line]) -> str:
    """Say why a new binary did not come up, in nginx's own words; "" if it did not say."""
    lines = list(lines)
    for level in ("emerg", "alert", "crit", "notice"):
        texts = list(dict.fromkeys(f"[{ln.level}] {ln.text}" for ln in lines if ln.level == level))
        if level == "notice":
            texts = [text for text in texts if "new binary process" in text]
        if texts:
            return "; ".join(texts[:_SAID_AT_MOST])
    return ""


def troubles(lines: Iterable[Line], pids: Iterable[int]) -> list[str]:
    """What must not be logged by these processes: an emergency, or a worker that crashed."""
    ours = set(pids)
    return [
        f"[{line.level}] {line.text}"
        for line in lines
        if line.pid in ours
        and (line.level == "emerg" or (line.level == "alert" and _CRASHED.search(line.text)))
    ]


def last_exit(host: Host, path: str) -> str:
    """What the log last said about the end of a new binary; "" if nothing."""
    if not path.startswith("/") or path.startswith("/dev/"):
        return ""
    script = 'tail -c 65536 "$1" 2>/dev/null | grep "new binary process" | tail -n 1'
    found = parse(host.read(Command.shell(script, path), check=False).stdout)
    return f"“{found[-1].text}”" if found else ""
