"""A package repository and a dpkg database of the tests' own, used by this machine's real apt."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


class Repository:
    """Packages in a directory; `environment` leads apt and dpkg to them and to an empty root."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.packages = directory / "repository"
        self.root = directory / "root"
        for path in (
            *(self.packages, self.root / "etc/apt/apt.conf.d", self.root / "etc/apt/preferences.d"),
            *(self.root / "etc/apt/sources.list.d", self.root / "var/lib/apt/lists/partial"),
            *(self.root / "var/cache/apt/archives/partial", self.root / "var/log/apt"),
            *(self.root / "var/lib/dpkg/updates", self.root / "var/lib/dpkg/info"),
        ):
            path.mkdir(parents=True)
        (self.root / "var/lib/dpkg/status").touch()
        (self.root / "etc/apt/sources.list").write_text(
            f"deb [trusted=yes] file:{self.packages} ./\n"
        )
        config = directory / "apt.conf"
        config.write_text(
            f'Dir "{self.root}/";\nDir::State::status "{self.root}/var/lib/dpkg/status";\n'
            f'Dir::Bin::dpkg "/usr/bin/dpkg";\nDir::Bin::methods "/usr/lib/apt/methods";\n'
            'APT::Sandbox::User "root";\nAPT::Architecture "amd64";\n'
            f'DPkg::Options {{ "--root={self.root}"; "--log=/dev/null"; }};\n'
        )
        self.environment = {
            "APT_CONFIG": str(config),
            "DPKG_ROOT": str(self.root),
            "DPKG_ADMINDIR": str(self.root / "var/lib/dpkg"),
        }

    def add(
        self, name: str, version: str, *, source: str | None = None, depends: str | None = None
    ) -> None:
        """Build a package that holds one file and one configuration file."""
        tree = self.directory / "build" / f"{name}_{version}"
        (tree / "DEBIAN").mkdir(parents=True)
        (tree / "opt" / name).mkdir(parents=True)
        (tree / "opt" / name / "version").write_text(version)
        (tree / "etc").mkdir()
        (tree / "etc" / f"{name}.conf").write_text(f"default of {version}\n")
        (tree / "DEBIAN" / "conffiles").write_text(f"/etc/{name}.conf\n")
        lines = [f"Package: {name}", f"Version: {version}", "Architecture: all"]
        lines += ["Maintainer: nobody <nobody@localhost>", "Description: for a test"]
        lines += [f"Source: {source}"] if source is not None else []
        lines += [f"Depends: {depends}"] if depends is not None else []
        (tree / "DEBIAN" / "control").write_text("\n".join(lines) + "\n")
        self._run("dpkg-deb", "--build", "--root-owner-group", str(tree), str(self.packages))
        self.index()

    def withdraw(self, name: str, version: str) -> None:
        """Take a package out of the repository, as archives do with old versions."""
        for path in self.packages.glob(f"{name}_{version}_*.deb"):
            path.unlink()
        self.index()

    def index(self) -> None:
        """Write the list of packages."""
        text = self._run("dpkg-scanpackages", "--multiversion", ".")
        (self.packages / "Packages").write_text(text)

    def installed(self, name: str) -> str | None:
        """The version that is on the root file system, by its file."""
        path = self.root / "opt" / name / "version"
        return path.read_text() if path.exists() else None

    def config(self, name: str) -> Path:
        """The configuration file of a package."""
        return self.root / "etc" / f"{name}.conf"

    def apt(self, *words: str) -> None:
        """Run apt-get on the root file system."""
        self._run("apt-get", "-q", "-y", *words, **self.environment)

    def _run(self, *words: str, **environment: str) -> str:
        done = subprocess.run(
            words,
            cwd=self.packages,
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | environment,
        )
        if done.returncode != 0:
            raise AssertionError(f"{words}: {done.stdout}{done.stderr}")
        return done.stdout
