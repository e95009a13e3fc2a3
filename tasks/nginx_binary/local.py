"""Files on this machine that somebody wants to upgrade to: an nginx binary, an nginx source.

They are looked at when the job is planned, so that a slip is told at once.
"""

from __future__ import annotations

import hashlib
import re
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from tasks.deploy.archive import open_archive
from worker.errors import Refused, UsageError

_ELF = b"\x7fELF"
_ET_EXEC, _ET_DYN = 2, 3
# What `nginx -v` prints stands in the binary as it is.
_VERSION_IN_BINARY = re.compile(rb"nginx version: [^\s/\x00]{1,40}/(\d+(?:\.\d+)+)\b")
_VERSION_IN_SOURCE = re.compile(r'^#define\s+NGINX_VERSION\s+"([^"]+)"', re.MULTILINE)
_LARGEST_HEADER_BYTES = 1 << 16
MOST_BYTES = 512 << 20
ENDINGS = (".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".tar")


@dataclass(frozen=True)
class LocalFile:
    """A file that is what it should be. `version` is nginx's: 1.26.3."""

    path: Path
    sha256: str
    version: str


def look_at_binary(path: Path) -> LocalFile:
    """See that a file is an nginx executable for Linux.

    Raises:
        UsageError: it is none; the message says what it is.
    """
    data = _read(path, "--binary", "the nginx executable")
    if not data.startswith(_ELF):
        raise UsageError(f"--binary {path}: no ELF executable; give the nginx binary itself")
    little = data[5:6] == b"\x01"  # EI_DATA, elf(5)
    kind = int.from_bytes(data[16:18], "little" if little else "big")
    if kind not in (_ET_EXEC, _ET_DYN):
        raise UsageError(f"--binary {path}: an ELF file, but no executable (type {kind})")
    version = _VERSION_IN_BINARY.search(data)
    if version is None or b"configure arguments:" not in data:
        raise UsageError(f"--binary {path}: an executable, but no nginx: it has no version of it")
    return LocalFile(path, hashlib.sha256(data).hexdigest(), version[1].decode())


def look_at_source(path: Path) -> LocalFile:
    """See that a file is a source tarball of nginx that is safe to unpack.

    Raises:
        UsageError: it is none; the message says what is wrong.
    """
    if not path.name.endswith(ENDINGS):
        raise UsageError(f"--build {path}: must be a tarball of nginx ({', '.join(ENDINGS)})")
    if not path.is_file():
        raise UsageError(f"--build {path}: there is no such file; give nginx's source tarball")
    try:
        archive = open_archive(str(path))
        version = _source_version(path)
    except Refused as error:
        raise UsageError(f"--build: {error.message}") from None
    except (OSError, tarfile.TarError, zlib.error, EOFError, ValueError) as error:
        raise UsageError(f"--build {path}: cannot be read: {error}") from None
    if version is None:
        raise UsageError(
            f"--build {path}: no source of nginx: it needs one top directory with configure and "
            "src/core/nginx.h"
        )
    return LocalFile(path, archive.sha256, version)


def _source_version(path: Path) -> str | None:
    version: str | None = None
    tops: set[str] = set()
    configure = False
    with tarfile.open(path) as archive:
        for member in archive:
            top, _, rest = member.name.removeprefix("./").partition("/")
            tops.add(top)
            configure = configure or rest in ("configure", "auto/configure")
            if rest == "src/core/nginx.h" and member.isreg():
                file = archive.extractfile(member)
                text = b"" if file is None else file.read(_LARGEST_HEADER_BYTES)
                match = _VERSION_IN_SOURCE.search(text.decode("utf-8", "replace"))
                version = None if match is None else match[1]
    one_top = len(tops - {"", ".", "pax_global_header"}) == 1
    return version if configure and one_top else None


def _read(path: Path, option: str, what: str) -> bytes:
    try:
        if not path.is_file():
            raise UsageError(f"{option} {path}: there is no such file; give {what}")
        if path.stat().st_size > MOST_BYTES:
            raise UsageError(f"{option} {path}: larger than {MOST_BYTES >> 20} MiB; give {what}")
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{option} {path}: cannot be read: {error.strerror}") from None
