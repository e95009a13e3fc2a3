"""What an asker can say about an upgrade of nginx: above all, where the new binary comes from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from pydantic import TypeAdapter, ValidationError

from tasks.nginx_binary.local import look_at_binary, look_at_source
from tasks.nginx_binary.params import ROOT, Argument, Version
from worker.errors import UsageError
from workflows.values import local_path, parse_duration, shown

_FORMS = "one of --binary FILE, --package VERSION, --build SOURCE.tar.gz"


@dataclass(frozen=True)
class NginxOptions:
    """Options of an upgrade. Exactly one of `binary`, `package` and `build` is needed for it.

    Paths are absolute and on this machine. `soak` (seconds) and `confirm` win over the fleet file.
    """

    binary: Path | None = None
    package: str | None = None
    build: Path | None = None
    build_host: str | None = None
    drop_arguments: tuple[str, ...] = ()
    drop_unknown: bool = False
    add_arguments: tuple[str, ...] = ()
    force: bool = False
    older: bool = False  # of a rollback: also from an upgrade that is not the group's newest
    soak: float | None = None
    confirm: Literal["auto", "manual"] | None = None

    @classmethod
    def parse(
        cls,
        *,
        binary: str | None = None,
        package: str | None = None,
        build: str | None = None,
        build_host: str | None = None,
        drop_arguments: Iterable[str] = (),
        drop_unknown: bool = False,
        add_arguments: Iterable[str] = (),
        force: bool = False,
        older: bool = False,
        soak: str | None = None,
        confirm: str | None = None,
    ) -> Self:
        """Read options as people write them.

        Raises:
            UsageError: an option is not what it must be, or goes with another one only.
        """
        drop, add = tuple(drop_arguments), tuple(add_arguments)
        for name, given in (
            ("--build-host", build_host),
            ("--drop-argument", drop),
            ("--drop-unknown", drop_unknown),
            ("--add-argument", add),
        ):
            if given and build is None:
                raise UsageError(f"{name} goes with --build SOURCE.tar.gz only")
        for name, arguments in (("--drop-argument", drop), ("--add-argument", add)):
            for argument in arguments:
                _check(TypeAdapter(Argument), argument, name, "an argument of configure, --with-…")
        if package is not None:
            _check(TypeAdapter(Version), package, "--package", "a version, such as 1.26.3")
        if confirm not in (None, "auto", "manual"):
            raise UsageError(f"--confirm: must be auto or manual, not {shown(confirm)}")
        return cls(
            binary=_path("--binary", binary),
            package=package,
            build=_path("--build", build),
            build_host=build_host,
            drop_arguments=drop,
            drop_unknown=drop_unknown,
            add_arguments=add,
            force=force,
            older=older,
            soak=_duration(soak),
            confirm="manual" if confirm == "manual" else "auto" if confirm == "auto" else None,
        )


@dataclass(frozen=True)
class Source:
    """Where the new binary comes from, looked at. `path` is where hosts are going to have it.

    `sha256` is the local file's; `version` None: not known before a host has looked.
    """

    kind: Literal["binary", "package", "build"]
    path: str
    file: Path | None = None
    sha256: str | None = None
    version: str | None = None


def source_of(options: NginxOptions) -> Source:
    """Look at what was given.

    Raises:
        UsageError: not exactly one of the three, or a file that is not what it should be.
    """
    given = [one for one in (options.binary, options.package, options.build) if one is not None]
    if len(given) != 1:
        count = "none" if not given else f"{len(given)} of them"
        raise UsageError(f"say where the new nginx comes from: {_FORMS}; got {count}")
    if options.binary is not None:
        binary = look_at_binary(options.binary)
        path = _place(f"binary-{binary.version}-{binary.sha256[:12]}")
        return Source("binary", path, options.binary, binary.sha256, binary.version)
    if options.build is not None:
        tarball = look_at_source(options.build)
        key = f"build-{tarball.version}-{tarball.sha256[:12]}"
        words = [*options.drop_arguments, str(options.drop_unknown), *options.add_arguments]
        if words != ["False"]:
            digest = hashlib.sha256("\n".join(words).encode()).hexdigest()
            key += f"-{digest[:8]}"
        return Source("build", _place(key), options.build, tarball.sha256, tarball.version)
    return Source("package", _place(f"package-{options.package}"))


def _place(key: str) -> str:
    return f"{ROOT}/{key}/nginx"


def _path(option: str, text: str | None) -> Path | None:
    if text is None:
        return None
    try:
        return local_path(text, Path.cwd())
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None


def _duration(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(f"--soak: {error}") from None


def _check(kind: TypeAdapter[str], text: str, option: str, expected: str) -> None:
    try:
        kind.validate_python(text)
    except ValidationError:
        raise UsageError(f"{option} {shown(text)}: must be {expected}") from None
