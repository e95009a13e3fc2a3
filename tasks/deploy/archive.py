"""What is in an archive, looked at on the worker before a host sees it."""

from __future__ import annotations

import hashlib
import posixpath
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from worker.errors import Refused

MARK = ".winch-sha256"  # in every unpacked release: the checksum of its archive

# Ending -> the words that unpack FILE into DIR; `-o`: files belong to who unpacks.
UNPACKERS: dict[str, tuple[str, ...]] = {
    ".tar": ("tar", "-xof"),
    ".tar.gz": ("tar", "-xozf"),
    ".tgz": ("tar", "-xozf"),
    ".tar.bz2": ("tar", "-xojf"),
    ".tar.xz": ("tar", "-xoJf"),
    ".zip": ("unzip", "-q", "-o"),
}


@dataclass(frozen=True)
class Archive:
    """A file that is safe to unpack."""

    path: Path
    sha256: str
    ending: str
    size: int

    def unpack(self, file: str, directory: str) -> tuple[str, ...]:
        """The words that unpack its copy `file` into `directory`."""
        words = UNPACKERS[self.ending]
        return (*words, file, "-d" if self.ending == ".zip" else "-C", directory)


@dataclass(frozen=True)
class _Member:
    name: str
    link: str | None  # the target of a hard link, inside the archive
    is_symlink: bool
    is_special: bool


def open_archive(path: str) -> Archive:
    """Look at an archive: its kind, its checksum, and that it writes only below its directory.

    Raises:
        Refused: no such file, not an archive of a known kind, or a member that would leave the
            directory (absolute, with `..`, through a symbolic link) or is a device.
    """
    file = Path(path)
    try:
        status = file.stat()
        return _open(file, status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise Refused(
            f"archive {path} cannot be read on the worker's machine: {error.strerror}, expected a "
            "file; put it there (on every worker's machine), or correct `archive`"
        ) from error
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, ValueError) as error:
        raise Refused(f"archive {path} is damaged: {error}; build it again") from error


@lru_cache(maxsize=16)  # one look for all hosts of a run; another size or time is another file
def _open(path: Path, size: int, mtime_ns: int) -> Archive:  # noqa: ARG001 - the key of the cache
    ending = next(
        (e for e in sorted(UNPACKERS, key=len, reverse=True) if path.name.endswith(e)), ""
    )
    if not ending:
        raise Refused(
            f"archive {path} has no ending that Winch can unpack: expected one of "
            f"{', '.join(UNPACKERS)}"
        )
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    bad = find_unsafe(_zip_members(path) if ending == ".zip" else _tar_members(path))
    if bad is not None:
        raise Refused(f"archive {path} is not unpacked: {bad}; build it without that member")
    return Archive(path, sha256, ending, size)


def _tar_members(path: Path) -> Iterator[_Member]:
    with tarfile.open(path) as archive:
        for member in archive:
            link = member.linkname if member.islnk() else None
            special = not (member.isreg() or member.isdir() or member.issym() or member.islnk())
            yield _Member(member.name, link, member.issym(), special)


def _zip_members(path: Path) -> Iterator[_Member]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            is_symlink = (info.external_attr >> 16) & 0o170000 == 0o120000  # noqa: PLR2004
            yield _Member(info.filename, None, is_symlink, False)


def _leaves(name: str) -> bool:
    return name.startswith("/") or ".." in name.split("/")


def find_unsafe(members: Iterator[_Member]) -> str | None:
    """Say what is wrong with the first member that would leave the directory; None if all stay.

    Symbolic links may point anywhere (`shared -> /var/lib/app` is usual), but nothing may be
    written through one.
    """
    symlinks: set[str] = set()
    for member in members:
        name = posixpath.normpath(member.name)
        if _leaves(member.name) or (member.link is not None and _leaves(member.link)):
            return f"member {member.name!r} leaves the directory"
        if name == MARK or (name == "." and member.is_symlink):
            return f"member {member.name!r} is in the place of Winch's own file"
        if member.is_special:
            return f"member {member.name!r} is a device or a pipe"
        parts = name.split("/")
        parents = {"/".join(parts[:count]) for count in range(1, len(parts))}
        if symlinks & (parents if member.is_symlink else parents | {name}):
            return f"member {member.name!r} is written through a symbolic link"
        if member.is_symlink:
            symlinks.add(name)
    return None
