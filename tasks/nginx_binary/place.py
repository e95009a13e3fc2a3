"""Where binaries stand on a host: `/var/lib/winch/nginx/KEY/nginx`, checksum beside it."""

from __future__ import annotations

import base64
import gzip
import hashlib
import posixpath
import zlib
from pathlib import Path

from worker.errors import Failed
from worker.remote import Command, Host

PIECE_BYTES = 512 * 1024  # as base64 below the limit of a command's output
_TRANSFER_TIMEOUT_SECONDS = 60.0

# "$1" file. Prints its checksum, and the one that was written beside it.
_STANDING = """
[ -f "$1" ] && [ -x "$1" ] || exit 0
sha256sum <"$1" | cut -d ' ' -f 1
head -c 64 "$1.sha256" 2>/dev/null
"""
# "$1" directory: of root's, and nobody else may write into it.
_DIRECTORY = 'umask 022 && mkdir -p "$1" && test -w "$1"'


def root_of(target: str) -> str:
    """Return ROOT of `ROOT/KEY/nginx`, under which everything is written."""
    return posixpath.dirname(posixpath.dirname(target))


def standing(host: Host, path: str) -> str | None:
    """Return the checksum of the binary that stands complete at `path`, None if none does."""
    lines = host.read(Command.shell(_STANDING, path)).stdout.split()
    complete = len(lines) == 2 and lines[0] == lines[1]  # noqa: PLR2004 - file and record
    return lines[0] if complete else None


def make_directory(host: Host, path: str) -> None:
    """Make the directory in which a file is going to stand.

    Raises:
        Failed: not allowed, or there is no room.
    """
    directory = posixpath.dirname(path)
    result = host.act(Command.shell(_DIRECTORY, directory), check=False)
    if not result.ok:
        said = " ".join(result.stderr.split()) or "it cannot be written to"
        raise Failed(
            f"{host.name}: cannot make {directory}: {said}: Winch must be root there (`become: "
            "sudo` under ssh), on a file system with room"
        )


def install(host: Host, source: bytes | Path, path: str, sha256: str) -> bool:
    """Put a binary to its place unless it stands there already. Returns whether it was sent.

    Raises:
        Failed: it cannot be written, or reads back as something else.
    """
    if standing(host, path) == sha256:
        return False
    make_directory(host, path)
    host.put(source, path, mode=0o755)
    host.put(f"{sha256}  {posixpath.basename(path)}\n".encode(), f"{path}.sha256", mode=0o644)
    found = standing(host, path)
    if found != sha256:
        raise Failed(
            f"{host.name}: {path} was sent with SHA-256 {sha256[:12]}… and reads back as "
            f"{f'{found[:12]}…' if found else 'incomplete'}: look at the disk, then retry"
        )
    return True


def fetch(host: Host, path: str, sha256: str) -> bytes:
    """Read the gzipped copy of a binary from a host, and return the binary.

    Raises:
        Failed: what came is not what stands there.
    """
    packed = bytearray()
    while True:
        script = 'tail -c "+$2" "$1" | head -c "$3" | base64'
        words = (path, str(len(packed) + 1), str(PIECE_BYTES))
        result = host.read(Command.shell(script, *words), timeout=_TRANSFER_TIMEOUT_SECONDS)
        try:
            piece = base64.b64decode(result.stdout)
        except ValueError as error:
            raise Failed(f"{host.name}: {path} could not be read: {error}; retry") from error
        packed += piece
        if len(piece) < PIECE_BYTES:
            break
    try:
        data = gzip.decompress(bytes(packed))
    except (OSError, EOFError, zlib.error) as error:
        raise Failed(f"{host.name}: {path} could not be read: {error}; retry") from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise Failed(f"{host.name}: {path} changed while it was read; retry")
    return data
