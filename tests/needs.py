"""Skip a test that this machine cannot run, with the reason and the remedy; in CI, fail it.

CI is where the environment says `CI=true` (or `1`, `yes`).
"""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest

# Debian's package for a program, where it is not called like the program.
PACKAGES = {
    "ab": "apache2-utils",
    "docker": "docker.io",
    "ip": "iproute2",
    "nft": "nftables",
    "nsenter": "util-linux",
    "postgres": "postgresql",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "sshd": "openssh-server",
    "systemd-nspawn": "systemd-container",
}
# Daemons live where a user's PATH often does not look.
_SYSTEM_PATH = ":/usr/local/sbin:/usr/sbin:/sbin"
LAB_PROGRAMS = ("debootstrap", "systemd-nspawn", "ip", "mount", "nsenter", "ssh-keygen")


def in_ci() -> bool:
    """Whether a missing thing is an error instead of a skip."""
    return os.environ.get("CI", "").lower() in {"1", "true", "yes"}


def find_program(name: str) -> str | None:
    """The path of a program, also of one in an sbin directory."""
    return shutil.which(name, path=os.environ.get("PATH", os.defpath) + _SYSTEM_PATH)


def _missing(message: str) -> NoReturn:
    if in_ci():
        pytest.fail(f"{message} (missing, and CI=true: here this test must run)", pytrace=False)
    pytest.skip(message)


def needs_program(*names: str) -> str:
    """Skip (in CI: fail) unless all programs are installed; return the first one's path."""
    missing = [name for name in names if find_program(name) is None]
    if missing:
        packages = " ".join(sorted({PACKAGES.get(name, name) for name in missing}))
        _missing(f"needs {', '.join(missing)}: apt-get install {packages}")
    return find_program(names[0]) or names[0]


def needs_root(reason: str = "it changes the machine") -> None:
    """Skip (in CI: fail) unless the test runs as root."""
    if os.geteuid() != 0:
        _missing(f"needs root ({reason}): run the tests with sudo")


def needs_nspawn() -> None:
    """Skip (in CI: fail) where whole hosts cannot be booted: no root, no tools, no overlayfs."""
    needs_root("it boots whole hosts with systemd-nspawn")
    needs_program(*LAB_PROGRAMS)
    with open("/proc/filesystems", encoding="ascii") as file:  # noqa: PTH123
        if "\toverlay\n" not in file.read() and not shutil.which("modprobe"):
            _missing("needs overlayfs: modprobe overlay")
    if not os.access("/sys/fs/cgroup", os.W_OK):
        _missing("needs a writable /sys/fs/cgroup: run outside an unprivileged container")
