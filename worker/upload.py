"""Write a file on a host: a temporary one beside it, checked by SHA-256, then renamed over it.

Small ones travel inside one guarded command, as base64. Larger ones are poured as they are into a
session of their own, and only the rename is guarded once more: a claim that was superseded in the
meantime leaves nothing behind.
"""

from __future__ import annotations

import base64
import hashlib
import posixpath
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from worker.errors import Failed, StepError
from worker.guard import Guard
from worker.remote import Command, Result
from worker.shell import Stream

SMALL = 1 << 18  # bytes
_PIECE = 1 << 18  # bytes
_STALL = 30.0  # seconds without any progress
_TIMEOUT = 120.0  # seconds for checksum and rename

# "$1" temporary, "$2" target, "$3" mode, "$4" SHA-256
_FINISH = """
trap 'rm -f "$1"' EXIT
trap 'exit 1' HUP INT TERM
case $(sha256sum <"$1") in
"$4 "*) ;;
*) echo 'its checksum is another one than what was sent' >&2; exit 65 ;;
esac
chmod "$3" "$1" && mv -fT "$1" "$2"
"""
_DECODE = '(umask 077 && base64 -d >"$1") || exit\n'
# "$1" temporary, "$2" size. A broken connection looks like the end of the file.
POUR = """
umask 077
cat >"$1" && [ "$(wc -c <"$1")" -eq "$2" ] && exit
rm -f "$1"; exit 1
"""


class Target(Protocol):
    """The host, as far as it is needed here."""

    @property
    def name(self) -> str:
        """Its name in messages."""

    def run(self, command: Command, *, timeout: float, guard: Guard | None = None) -> Result:
        """Run a command."""

    def fence(self, guard: Guard) -> None:
        """Write the guard's numbers."""

    def pour(self, command: Command, pieces: Iterator[bytes], stall: float) -> str:
        """Feed bytes to a command in a session of its own; return what it wrote to stderr."""


def put(target: Target, source: bytes | Path, path: str, *, mode: int, guard: Guard | None) -> None:
    """Write `source` (a path is a file of this machine) to `path` on the host.

    Raises:
        Failed: the file cannot be read here, or not be written there.
        Fenced: the host has seen a newer number; the target is as it was.
        Unreachable: the connection broke; the target is the old or the new file, complete.
    """
    temporary = posixpath.join(posixpath.dirname(path), f".winch-{secrets.token_hex(8)}")
    try:
        size = len(source) if isinstance(source, bytes) else source.stat().st_size
        digest = _sha256(source)
        words = (temporary, path, f"{mode:o}", digest)
        if size <= SMALL:
            data = source if isinstance(source, bytes) else source.read_bytes()
            text = base64.encodebytes(data).decode()
            finish = Command.shell(_DECODE + _FINISH, *words, stdin=text)
        else:
            finish = Command.shell(_FINISH, *words)
            if guard is not None:
                target.fence(guard)
            said = target.pour(Command.shell(POUR, temporary, str(size)), _pieces(source), _STALL)
            if said:
                raise Failed(f"{target.name}: cannot write {path}: {said}")
    except OSError as error:
        raise Failed(f"{target.name}: cannot read {source!s:.200}: {error}") from error
    try:
        result = target.run(finish, timeout=_TIMEOUT, guard=guard)
    except StepError:
        if size > SMALL:
            _remove(target, temporary)
        raise
    if not result.ok:
        said = " ".join(result.stderr.split()) or f"exit code {result.exit_code}"
        raise Failed(f"{target.name}: cannot write {path}: {said}")


def _remove(target: Target, temporary: str) -> None:
    try:
        target.run(Command.of("rm", "-f", temporary), timeout=10.0)
    except StepError:
        return  # the first error is the one to tell


def _pieces(source: bytes | Path) -> Iterator[bytes]:
    if isinstance(source, bytes):
        yield from (source[at : at + _PIECE] for at in range(0, len(source), _PIECE))
        return
    with source.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece


def _sha256(source: bytes | Path) -> str:
    digest = hashlib.sha256()
    for piece in _pieces(source):
        digest.update(piece)
    return digest.hexdigest()


def pour_into(stream: Stream, pieces: Iterator[bytes], stall: float) -> str:
    """Send all pieces, close the input, and return what came back on stderr until the end.

    Raises:
        TimeoutError, OSError: no progress, or the stream broke.
    """
    said = b""
    try:
        for piece in pieces:
            stream.send(piece, time.monotonic() + stall)
    except EOFError:
        said = b"the other end stopped reading"
    else:
        stream.finish()
    deadline = time.monotonic() + stall
    try:
        while True:
            out, err = stream.receive(deadline)
            if not out and not err and time.monotonic() >= deadline:
                raise TimeoutError
            said = (said + err)[-1000:]
    except EOFError:
        return " ".join(said.decode("utf-8", "replace").split())
