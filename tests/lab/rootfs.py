"""Root file systems of the lab's hosts: made once with debootstrap, cached outside the checkout.

    python -m tests.lab.rootfs bookworm trixie     # build them now

The cache is `$WINCH_LAB_CACHE`, by default `~/.cache/winch-lab`. A file system is keyed by its
suite, its packages and `RECIPE`, built beside its final place and renamed, so that a killed build
leaves nothing that looks finished; a lock lets only one process build it. The mirror is the one
that this machine's apt uses, or `$WINCH_LAB_MIRROR`.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.lab.cleanup import unmount_below

RECIPE = 1  # raise it when `_furnish` changes
PACKAGES = (
    "ca-certificates",
    "curl",
    "dbus",
    "haproxy",
    "iproute2",
    "iputils-arping",
    "iputils-ping",
    "keepalived",
    "nftables",
    "nginx-light",
    "openssh-server",
    "procps",
    "python3-minimal",
    "socat",
    "sudo",
    "systemd",
    "systemd-sysv",
)
# A host starts with sshd and the network only; a test enables what it is about.
DISABLED = ("nginx", "haproxy", "keepalived", "nftables")
# Nothing that wakes up by itself, or that only delays a boot.
MASKED = (
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "console-getty.service",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "getty.target",
    "systemd-journal-flush.service",
    "systemd-networkd-wait-online.service",
)


def cache_directory() -> Path:
    """Where root file systems are kept between runs."""
    configured = os.environ.get("WINCH_LAB_CACHE")
    return Path(configured) if configured else Path.home() / ".cache" / "winch-lab"


def mirror() -> str:
    """The Debian mirror of this machine's apt, whatever the format of its sources.

    Raises:
        RuntimeError: apt has no source of the running release; the message says what to set.
    """
    configured = os.environ.get("WINCH_LAB_MIRROR")
    if configured:
        return configured
    # Works with every format of sources, and before the first `apt-get update`.
    planned = subprocess.run(
        ["apt-get", "update", "--print-uris"], check=True, capture_output=True, text=True
    ).stdout
    # Other publishers' sources, and Debian's own updates, have suites of other names.
    codename = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    releases = {codename, "oldstable", "stable", "testing", "unstable", "sid"}
    for uri, release in re.findall(r"^'(\S+?)/*/dists/([^/']+)/InRelease'", planned, re.MULTILINE):
        if release in releases:
            return str(uri)
    raise RuntimeError(
        "apt on this machine has no source of its own release: set WINCH_LAB_MIRROR to a mirror"
    )


def ensure(suite: str = "bookworm", extra: Sequence[str] = ()) -> Path:
    """Return the root file system of a suite, building it when it is not in the cache.

    `extra` packages make another root file system. A host must never write to it: it is the
    lower directory of every host's overlay.
    """
    packages = sorted({*PACKAGES, *extra})
    text = "\n".join([str(RECIPE), suite, *packages, *DISABLED, *MASKED])
    name = f"{suite}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    final = cache_directory() / name
    if final.is_dir():
        return final
    cache_directory().mkdir(parents=True, exist_ok=True)
    with _lock(cache_directory() / f"{name}.lock") as lock:
        if final.is_dir():
            return final
        for stale in cache_directory().glob(f".{name}-*"):  # of a killed build: we hold its lock
            _remove(stale)
        building = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=cache_directory()))
        try:
            _debootstrap(suite, packages, building, lock)
            _furnish(building)
            building.rename(final)
        finally:
            if building.is_dir():
                _remove(building)
    return final


def _remove(directory: Path) -> None:
    unmount_below(directory)  # debootstrap mounts /proc and /sys while it works
    shutil.rmtree(directory)


@contextmanager
def _lock(path: Path) -> Iterator[int]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def _debootstrap(suite: str, packages: Sequence[str], directory: Path, lock: int) -> None:
    directory.chmod(0o755)
    script = Path("/usr/share/debootstrap/scripts") / suite
    done = subprocess.run(
        ["debootstrap", "--variant=minbase", f"--include={','.join(packages)}"]
        + [suite, str(directory), mirror()]
        + ([] if script.exists() else ["/usr/share/debootstrap/scripts/sid"]),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        pass_fds=(lock,),  # it may outlive us, and then nobody else may build
    )
    if done.returncode != 0:
        log = directory / "debootstrap" / "debootstrap.log"
        said = (log.read_text(errors="replace") if log.exists() else "") + done.stdout + done.stderr
        raise RuntimeError(f"debootstrap {suite} exited with {done.returncode}: …{said[-2000:]}")


def _furnish(root: Path) -> None:
    """Make the fresh system a quiet host with the users `root` and `deploy`."""

    def chroot(*argv: str) -> None:
        subprocess.run(["chroot", str(root), *argv], check=True, capture_output=True)

    chroot("useradd", "--create-home", "--shell", "/bin/bash", "deploy")
    sudoers = root / "etc/sudoers.d/deploy"
    sudoers.write_text("deploy ALL=(ALL) NOPASSWD: ALL\n", encoding="ascii")
    sudoers.chmod(0o440)
    chroot("systemctl", "disable", *DISABLED)
    chroot("systemctl", "mask", *MASKED)
    chroot("systemctl", "set-default", "multi-user.target")
    chroot("systemctl", "enable", "ssh.service", "systemd-networkd.service")
    chroot("apt-get", "clean")
    for key in (root / "etc/ssh").glob("ssh_host_*"):
        key.unlink()  # every host gets its own
    for site in (root / "etc/nginx/sites-enabled").glob("*"):
        site.unlink()
    for lists in (root / "var/lib/apt/lists").glob("*_*"):
        lists.unlink()
    # An ex-MASTER that forwards packets would hide an outage.
    (root / "etc/sysctl.d/90-lab.conf").write_text("net.ipv4.ip_forward=0\n", encoding="ascii")
    (root / "etc/resolv.conf").unlink(missing_ok=True)
    (root / "etc/resolv.conf").write_text("# no name server: see /etc/hosts\n", encoding="ascii")
    (root / "etc/hostname").unlink(missing_ok=True)
    (root / "etc/machine-id").write_text("", encoding="ascii")
    # The journal of a short-lived host is kept in memory.
    journald = root / "etc/systemd/journald.conf.d/lab.conf"
    journald.parent.mkdir(parents=True, exist_ok=True)
    journald.write_text("[Journal]\nStorage=volatile\n", encoding="ascii")


if __name__ == "__main__":
    for name in sys.argv[1:] or ["bookworm"]:
        began = time.monotonic()
        print(f"{name}: {ensure(name)} ({time.monotonic() - began:.1f} s)")
