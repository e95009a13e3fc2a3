"""Debian's own nginx of another release: its package and its source, by this machine's apt."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.lab import rootfs
from tests.needs import needs_program

_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


class Release:
    """Debian's release of that name, with an apt configuration below a directory."""

    def __init__(self, directory: Path, suite: str = "trixie") -> None:
        """Read the release's lists (3 s)."""
        needs_program("apt-get")
        self.directory = directory
        for path in ("lists/partial", "cache/archives/partial"):
            (directory / path).mkdir(parents=True)
        signed = f" [signed-by={_KEYRING}]" if _KEYRING.exists() else ""
        (directory / "sources.list").write_text(
            f"deb{signed} {rootfs.mirror()} {suite} main\n"
            f"deb-src{signed} {rootfs.mirror()} {suite} main\n"
        )
        (directory / "apt.conf").write_text(
            f'Dir::Etc::sourcelist "{directory}/sources.list";\nDir::Etc::sourceparts "-";\n'
            f'Dir::State::lists "{directory}/lists";\nDir::Cache "{directory}/cache";\n'
            'APT::Sandbox::User "root";\nAcquire::Languages "none";\n'
        )
        self._apt("update")

    def package(self, name: str) -> Path:
        """Download a package."""
        self._apt("download", name)
        return next(self.directory.glob(f"{name}_*.deb"))

    def source(self, name: str) -> Path:
        """Download the tarball of the authors."""
        self._apt("source", "--download-only", name)
        return next(self.directory.glob(f"{name}_*.orig.tar.*z"))

    def _apt(self, *words: str) -> None:
        subprocess.run(
            ["apt-get", "-q", *words],
            cwd=self.directory,
            env={**os.environ, "APT_CONFIG": str(self.directory / "apt.conf")},
            check=True,
            capture_output=True,
        )
