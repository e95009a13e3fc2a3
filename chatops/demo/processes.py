"""The demo's daemons as ordinary processes: started, waited for, and all of them ended."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chatops.demo import configs
from chatops.demo.configs import BALANCERS, SERVERS, Layout
from chatops.demo.identity import PRIVSEP_DIRECTORY, Identity
from chatops.demo.looking import START_SECONDS, connects, get, wait_for
from chatops.demo.packages import Programs
from chatops.demo.reaper import Reaper, end_descendants
from chatops.up import describe_exit
from worker.errors import WinchError
from worker.process import die_with_parent

# Since OpenSSH 9.8 sshd runs helpers, whose places are compiled in; these options move them.
SSHD_HELPERS = {"SshdSessionPath": "sshd-session", "SshdAuthPath": "sshd-auth"}


def make_key(path: Path) -> str:
    """Write an Ed25519 private key as OpenSSH does. Returns the public one as `type base64`."""
    key = Ed25519PrivateKey.generate()
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(secret)
    public = key.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    return public.decode()


def write_files(layout: Layout, identity: Identity, programs: Programs) -> None:
    """Write every configuration, key, release and script of the demo."""
    root = layout.directory
    for name in ("state", "run", "releases"):
        (root / name).mkdir(mode=0o700)
    for version in ("1", "2"):
        (root / "releases" / version).mkdir()
        (root / "releases" / version / "site.conf").write_text(configs.site_conf(version))
    (root / "download").write_bytes(b"w" * configs.DOWNLOAD_BYTES)
    for name in SERVERS:
        (root / name).mkdir()
        (root / name / "nginx.conf").write_text(configs.nginx_conf(layout, name))
    layout.redeploy.write_text(
        configs.redeploy_script(layout, programs.paths["nginx"], programs.environment("nginx"))
    )
    layout.redeploy.chmod(0o700)
    for name in BALANCERS:
        (root / f"{name}.cfg").write_text(configs.haproxy_cfg(layout, name))
    host_key = make_key(root / "host_key")
    (root / "authorized_keys").write_text(make_key(root / "id") + "\n")
    (root / "known_hosts").write_text(configs.known_hosts(layout, host_key))
    helpers = {}
    if programs.root is not None:
        for option, helper in SSHD_HELPERS.items():
            path = programs.root / "usr" / "lib" / "openssh" / helper
            if path.exists() and programs.environment("sshd"):
                helpers[option] = path
    (root / "sshd_config").write_text(
        configs.sshd_config(layout, use_pam=identity.locked, helpers=helpers)
    )
    (root / "passwd").write_text(identity.passwd(root))
    (root / "group").write_text(identity.groups())
    layout.fleet.write_text(configs.fleet_yaml(layout))


class Processes:
    """Everything that the demo started, to be ended in any case.

    Daemons that leave their parent (nginx, started over SSH) come to us: this process asks the
    kernel to be the one to whom orphans below it go (PR_SET_CHILD_SUBREAPER).
    """

    def __init__(self, layout: Layout, programs: Programs, *, spare: int) -> None:
        self.layout = layout
        self._spare = spare  # a process that is not ended with the rest: the watchdog
        self._programs = programs
        self._children: list[tuple[str, subprocess.Popen[bytes]]] = []
        self._reaper = Reaper(spare)
        self._reaper.start()

    def start(
        self, name: str, command: list[str], environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start one; its output goes to NAME.log in the demo's directory."""
        with (self.layout.directory / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - words of our own, no shell
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                process_group=0,
                preexec_fn=die_with_parent(),  # noqa: PLW1509 - one system call, no locks
            )
        self._children.append((name, process))
        return process

    def must_run(self, name: str, process: subprocess.Popen[bytes]) -> None:
        """Raise WinchError, with the log's last line, when it has ended."""
        code = process.poll()
        if code is not None:
            log = (self.layout.directory / f"{name}.log").read_text(errors="replace").strip()
            last = log.splitlines()[-1] if log else "it said nothing"
            raise WinchError(f"demo: {name} ended with {describe_exit(code)}: {last}")

    def start_sshd(self, identity: Identity) -> None:
        """Start the demo's own sshd."""
        layout = self.layout
        if layout.is_root and not PRIVSEP_DIRECTORY.exists():
            PRIVSEP_DIRECTORY.mkdir(mode=0o755, parents=True)  # one of the `leftovers`
        environment = self._programs.environment("sshd")
        if identity.needs_wrapper:
            if self._programs.root is None:
                raise WinchError("demo: libnss_wrapper is needed and was not unpacked")
            (library,) = list(self._programs.root.glob("**/libnss_wrapper.so"))[:1]
            environment |= {
                "LD_PRELOAD": str(library),
                "NSS_WRAPPER_PASSWD": str(layout.directory / "passwd"),
                "NSS_WRAPPER_GROUP": str(layout.directory / "group"),
            }
        # By its absolute path: it executes itself again for every connection.
        command = [str(self._programs.paths["sshd"]), "-D", "-e"]
        command += ["-f", str(layout.directory / "sshd_config")]
        process = self.start("sshd", command, environment)

        def listens() -> bool:
            self.must_run("sshd", process)
            return all(connects(a, layout.ssh_port) for a in (SERVERS | BALANCERS).values())

        wait_for("sshd listens", listens)

    def start_servers(self) -> None:
        """Start four nginx, by the very script that deploys them later."""
        for name in SERVERS:
            done = subprocess.run(  # noqa: S603 - words of our own, no shell
                [str(self.layout.redeploy), name, "1"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=START_SECONDS,
                check=False,
            )
            if done.returncode != 0:
                log = self.layout.directory / name / "error.log"
                text = (log.read_text(errors="replace") if log.exists() else "") + done.stderr
                last = (text.strip() or "no message").splitlines()[-1]
                raise WinchError(f"demo: nginx of {name} does not start: {last}")

    def start_balancers(self) -> None:
        """Start two HAProxy, and wait until they serve from every server."""
        layout = self.layout
        for name in BALANCERS:
            command = [str(self._programs.paths["haproxy"]), "-db"]
            command += ["-f", str(layout.directory / f"{name}.cfg")]
            process = self.start(name, command, self._programs.environment("haproxy"))

            def serves(name: str = name, process: subprocess.Popen[bytes] = process) -> bool:
                self.must_run(name, process)
                return get(BALANCERS[name], layout.balancer_port)[0] == 200  # noqa: PLR2004

            wait_for(f"{name} serves", serves)

    def stop(self) -> None:
        """End everything, the last one started first, then whoever is still there below us."""
        for _, process in reversed(self._children):
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(15)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        self._children.clear()
        self._reaper.stop()
        end_descendants(spare=self._spare)
