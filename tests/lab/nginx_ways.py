"""An nginx of each origin, what stays in order with it, and downloads that never cease."""

from __future__ import annotations

import re
import threading
from types import TracebackType
from typing import Self

from tasks.nginx.params import Instance
from tests.kit.stack import until
from tests.lab import rootfs
from tests.lab.host import LabHost
from tests.lab.load import Download
from tests.lab.nginx_upgrade import NEW, OLD, observe

ECHO = "usr/lib/nginx/modules/ngx_http_echo_module.so"


def start_by_hand(host: LabHost) -> Instance:
    """Stop the unit; start an nginx with paths and options of its own, past systemd."""
    host.sh(
        "systemctl stop nginx; mkdir -p /opt/web; cp /usr/sbin/nginx /opt/web/nginx;"
        " sed 's,^pid .*,pid /opt/web/web.pid;,; /^worker_processes/d' /etc/nginx/nginx.conf"
        " >/opt/web/web.conf;"
        " cp -r /etc/nginx/conf.d /opt/web/; sed -i 's,/etc/nginx/conf.d,/opt/web/conf.d,' "
        " /opt/web/web.conf; cp /etc/nginx/mime.types /opt/web/;"
        " /opt/web/nginx -c /opt/web/web.conf -g 'worker_processes 2;'",
    )
    until(lambda: host.exists("/opt/web/web.pid"), what="nginx runs")
    return Instance(
        host=host.name,
        group="edge",
        binary="/opt/web/nginx",
        pid_file="/opt/web/web.pid",
        unit=None,
    )


def load_modules(host: LabHost) -> None:
    """Let nginx load a dynamic module that is there for both versions; it answers at port 81."""
    for suite, version in (("bookworm", OLD), ("trixie", NEW)):
        module = (rootfs.ensure(suite) / ECHO).read_bytes()
        host.write_file(f"/opt/modules-{version}/echo.so", module)
    host.write_file("/etc/nginx/modules-enabled/e.conf", "load_module /opt/modules/echo.so;\n")
    host.write_file("/etc/nginx/conf.d/e.conf", "server { listen 81; location / { echo echoed; } }")
    use_modules(host, OLD)
    host.sh("systemctl restart nginx")


def use_modules(host: LabHost, version: str) -> None:
    """Let the modules on the disk be those of a version."""
    host.sh(f"ln -sfT /opt/modules-{version} /opt/modules.n && mv -fT /opt/modules.n /opt/modules")


def healthy(host: LabHost, version: str, at: Instance | None = None) -> None:
    """One master of that version, systemd in step with it, and a reload that works.

    An nginx that was started by hand is none of systemd's: its own unit stays inactive.
    """
    facts, now = observe(host, at)
    assert str(now) == "steady"
    assert now.new is not None
    assert now.new.version == version
    assert facts.disk is not None
    assert facts.disk.version == version
    if at is not None and at.unit is None:
        shown = host.sh("systemctl status nginx --no-pager --lines=0", check=False)
        assert "Active: inactive (dead)" in shown, shown
        return
    status_is_right(host)
    workers = set(now.new.workers)
    host.sh("systemctl is-active nginx && systemctl reload nginx")
    until(
        lambda: (then := observe(host)[1]).new and not workers & set(then.new.workers),
        what="new workers after a reload",
    )
    until(lambda: len(observe(host)[1].new.children) == len(workers), what="the old ones left")  # type: ignore[union-attr]
    status_is_right(host)


def status_is_right(host: LabHost) -> None:
    """`systemctl status` shows the one master as main process, and exactly its processes."""
    (master,) = observe(host)[0].masters
    shown = host.sh("systemctl status nginx --no-pager --lines=0")
    assert "Active: active (running)" in shown, shown
    assert f"Main PID: {master.pid} (nginx)" in shown, shown
    listed = {int(pid) for pid in re.findall(r"─ *(\d+) \"?nginx: ", shown)}
    assert listed == {master.pid, *(child.pid for child in master.children)}, shown


class Downloads:
    """Slow downloads, some at any moment, one after the other, until the end of the `with`."""

    def __init__(self, host: LabHost, count: int = 3) -> None:
        """Describe them; `with` starts them."""
        self.complete = 0
        self.broken: list[str] = []
        self._host = host
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(count)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(120)

    def _work(self) -> None:
        while not self._stop.is_set():
            download = Download(self._host.address).start()
            download.wait(120)
            with self._lock:
                if download.complete:
                    self.complete += 1
                else:
                    self.broken.append(repr(download))
