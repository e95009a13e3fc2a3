"""A Docker engine of the tests' own: no bridge, no firewall rules, images made on the spot."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.needs import find_program, needs_program, needs_root

_BRIDGE_FILTER = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
DEADLINE_SECONDS = 30


class Engine:
    """A running dockerd; `environment` leads the docker client to it."""

    def __init__(self, socket: Path) -> None:
        self.environment = {"DOCKER_HOST": f"unix://{socket}"}

    def docker(self, *words: str, stdin: bytes | None = None, check: bool = True) -> str:
        """Run docker; its output."""
        done = subprocess.run(
            ["docker", *words],
            input=stdin,
            capture_output=True,
            check=False,
            env=os.environ | self.environment,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"docker {words}: {done.stderr.decode()}")
        return done.stdout.decode().strip()

    def make_image(self, tag: str) -> str:
        """Import an image with sh, sleep and a file `/version` that says its tag; its id."""
        return self.docker("import", "-", tag, stdin=_root_file_system(tag))


def _root_file_system(version: str) -> bytes:
    programs = [shutil.which(name) or name for name in ("sh", "sleep", "cat")]
    files = {f"bin/{Path(program).name}": Path(program).resolve() for program in programs}
    for program in programs:
        listing = subprocess.run(["ldd", program], capture_output=True, check=True).stdout.decode()
        for library in re.findall(r"(/\S+) \(0x", listing):
            files[library.lstrip("/")] = Path(library).resolve()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, path in files.items():
            archive.add(path, name)
        info = tarfile.TarInfo("version")
        info.size = len(version)
        archive.addfile(info, io.BytesIO(version.encode()))
    return buffer.getvalue()


def _unmount_below(directory: Path) -> None:
    # The engine leaves the mount of its network namespace behind.
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for mount in sorted((m for m in mounts if m.startswith(f"{directory}/")), reverse=True):
        subprocess.run(["umount", "--lazy", mount], check=True)


def _leave_bridges_alone(setting: str) -> None:
    # The engine loads a module that makes every bridge of the machine pass the firewall.
    if _BRIDGE_FILTER.exists():
        _BRIDGE_FILTER.write_text(setting)


@contextlib.contextmanager
def running_engine() -> Iterator[Engine]:
    """Start dockerd, and end it with all that it ran."""
    needs_root("it starts a Docker engine")
    needs_program("dockerd", "docker", "ldd")
    before = _BRIDGE_FILTER.read_text() if _BRIDGE_FILTER.exists() else "0"
    root = Path(tempfile.mkdtemp(prefix="winch-docker-"))
    words = [
        find_program("dockerd") or "dockerd",
        *("--data-root", str(root / "data"), "--exec-root", str(root / "exec")),
        *("--pidfile", str(root / "pid"), "--host", f"unix://{root / 'sock'}"),
        *("--bridge=none", "--iptables=false", "--ip-forward=false", "--ip-masq=false"),
    ]
    with (root / "log").open("wb") as log:
        daemon = subprocess.Popen(words, stdout=log, stderr=log)
    try:
        engine = Engine(root / "sock")
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not engine.docker("version", "--format={{.Server.Version}}", check=False):
            if daemon.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(
                    f"dockerd does not answer: {(root / 'log').read_text()[-800:]}"
                )
            time.sleep(0.05)
        _leave_bridges_alone(before)
        try:
            yield engine
        finally:
            for container in engine.docker("ps", "-aq").split():
                engine.docker("rm", "-f", container, check=False)
    finally:
        daemon.terminate()
        daemon.wait(DEADLINE_SECONDS)
        _leave_bridges_alone(before)
        _unmount_below(root)
        shutil.rmtree(root)
