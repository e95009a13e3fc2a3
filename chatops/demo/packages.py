"""The programs of the demo: from PATH, or out of the distribution's packages without installing.

On Debian and Ubuntu the packages, and the libraries they need that are not installed, are
downloaded and unpacked under the demo's own directory. That needs no root and starts no service.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from worker.errors import WinchError

PACKAGES = {"nginx": "nginx", "haproxy": "haproxy", "sshd": "openssh-server"}
NSS_WRAPPER = "libnss-wrapper"
SBIN = "/usr/local/sbin:/usr/sbin:/sbin"
APT_SECONDS = 300.0

_NEW_PACKAGE = re.compile(r"^Inst (\S+) \(", re.MULTILINE)  # an installed one has "[1.2]" there

_INSTALL_LINES = {
    "debian": "sudo apt-get install",
    "fedora": "sudo dnf install",
    "rhel": "sudo dnf install",
    "suse": "sudo zypper install",
    "arch": "sudo pacman -S",
    "alpine": "sudo apk add",
}


@dataclass(frozen=True)
class Programs:
    """Where each program is, and how it is run. `roots` are the unpacked packages, if any."""

    paths: Mapping[str, Path]
    root: Path | None = None

    def environment(self, name: str) -> dict[str, str]:
        """Say what must be in the environment of that program: where its libraries lie."""
        if self.root is None or not self.paths[name].is_relative_to(self.root):
            return {}
        return {"LD_LIBRARY_PATH": ":".join(map(str, library_directories(self.root)))}


def on_path(name: str) -> Path | None:
    """Look for a program on PATH and where daemons usually lie."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:{SBIN}")
    return None if found is None else Path(found)


def library_directories(root: Path) -> list[Path]:
    """List the directories below `root` in which shared libraries lie."""
    libraries = {path.parent for path in root.glob("**/lib*.so.*")}
    return sorted(d for d in libraries if d.parent.name in {"lib", "lib64"} or d.name == "lib")


def new_packages(simulation: str) -> list[str]:
    """Read from `apt-get --simulate install` which packages are not installed yet.

    A newer version of an installed one is left out: what is there serves, and a second libc beside
    the running loader would not.
    """
    return _NEW_PACKAGE.findall(simulation)


def install_line(os_release: str, missing: Iterable[str]) -> str:
    """Say the one line that installs the packages, by /etc/os-release."""
    words = {
        word
        for key, _, value in (line.partition("=") for line in os_release.splitlines())
        if key in {"ID", "ID_LIKE"}
        for word in value.strip("\"'").split()
    }
    words |= {"debian"} if "ubuntu" in words else set()
    words |= {"suse"} if any("suse" in word for word in words) else set()
    packages = " ".join(sorted(PACKAGES.get(name, name) for name in missing))
    if words & {"arch", "alpine"}:
        packages = packages.replace("openssh-server", "openssh")
    for family, command in _INSTALL_LINES.items():
        if family in words:
            return f"{command} {packages}"
    return f"install {packages} with your package manager"


class Apt:
    """apt-get as an ordinary user, with lists and cache of its own when the system's do not do."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        cache = directory / "cache"
        (cache / "archives" / "partial").mkdir(parents=True)
        self._options = ["-o", f"Dir::Cache={cache}"]
        self._options += ["-o", "APT::Sandbox::User="]  # as root, do not write as _apt

    def run(self, *words: str, cwd: Path | None = None) -> str:
        """Run apt-get; returns what it printed.

        Raises:
            WinchError: it failed; its last line is in the message.
        """
        try:
            done = subprocess.run(  # noqa: S603 - words of our own, no shell
                ["apt-get", "-qq", *self._options, *words],  # noqa: S607 - found by PATH on purpose
                cwd=cwd,
                env={**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=APT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise WinchError(
                f"apt-get {words[0]}: no end within {APT_SECONDS:.0f} s; is the mirror reachable?"
            ) from None
        if done.returncode != 0:
            last = (done.stderr.strip() or "no message").splitlines()[-1]
            raise WinchError(f"apt-get {' '.join(words)}: exit {done.returncode}: {last}")
        return done.stdout

    def update(self) -> None:
        """Fetch lists of our own: the system's may be empty or old, and only root renews them."""
        lists = self._directory / "lists"
        (lists / "partial").mkdir(parents=True)
        self._options += ["-o", f"Dir::State::Lists={lists}"]
        self.run("update")

    def fetch(self, wanted: list[str]) -> list[Path]:
        """Download the packages, and those they need that are not installed.

        Raises:
            WinchError: apt-get does not find or get them.
        """
        target = self._directory / "packages"
        target.mkdir(exist_ok=True)
        simulation = self.run("install", "--simulate", "--no-install-recommends", *wanted)
        names = list(dict.fromkeys([*wanted, *new_packages(simulation)]))
        self.run("download", *names, cwd=target)
        return sorted(target.glob("*.deb"))


def unpack_packages(names: Iterable[str], directory: Path) -> Path:
    """Download and unpack packages under `directory`. Returns the root of what was unpacked.

    Raises:
        WinchError: a package cannot be had.
    """
    scratch, root = directory / "apt", directory / "root"
    scratch.mkdir(exist_ok=True)
    root.mkdir(exist_ok=True)
    apt = Apt(scratch)
    wanted = sorted(names)
    try:
        files = apt.fetch(wanted)
    except WinchError:
        apt.update()
        files = apt.fetch(wanted)
    for file in files:
        subprocess.run(  # noqa: S603 - words of our own, no shell
            ["dpkg", "-x", str(file), str(root)],  # noqa: S607 - found by PATH on purpose
            check=True,
        )
    shutil.rmtree(scratch)
    return root


def find_programs(
    directory: Path,
    *,
    extra_packages: Iterable[str] = (),
    skip_path: bool = False,
    say: Callable[[str], None],
) -> Programs:
    """Find nginx, haproxy and sshd, unpacking under `directory` what is missing.

    `skip_path`: act as if PATH had none of them.

    Raises:
        WinchError: one is missing and cannot be unpacked here; the message is what to run.
    """
    found = {name: None if skip_path else on_path(name) for name in PACKAGES}
    missing = sorted(name for name, path in found.items() if path is None)
    wanted = {PACKAGES[name] for name in missing} | set(extra_packages)
    if not wanted:
        return Programs({name: path for name, path in found.items() if path is not None})
    release = Path("/etc/os-release")
    line = install_line(release.read_text() if release.exists() else "", wanted)
    if on_path("apt-get") is None or on_path("dpkg") is None:
        raise WinchError(f"the demo needs {', '.join(sorted(wanted))}: run `{line}`")
    say(f"{', '.join(sorted(wanted))}: not here, unpacking the packages (nothing is installed)")
    try:
        root = unpack_packages(wanted, directory)
    except (WinchError, OSError, subprocess.CalledProcessError) as error:
        raise WinchError(f"{error}; or run `{line}`") from error
    paths = {name: path or root / "usr" / "sbin" / name for name, path in found.items()}
    for name, path in paths.items():
        if not os.access(path, os.X_OK):
            raise WinchError(f"{name}: its package did not bring {path}; run `{line}`")
    return Programs(paths, root)
