"""One host whose nginx a test puts into a state that `nginx.preflight` refuses."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.host import LabHost
from tests.lab.nginx_upgrade import Upgrade, install, put_binary, run_steps
from tests.lab.topology import Lab
from tests.needs import needs_nspawn
from worker.errors import Refused

CONF = "/etc/nginx/nginx.conf"


@pytest.fixture(scope="module")
def made() -> Iterator[tuple[Lab, LabHost]]:
    """One host for all tests; each leaves it as it was."""
    needs_nspawn()
    with Lab() as lab:
        host = lab.host("web1")
        install(lab, host)
        host.sh(
            "mkdir -p /root/saved; cp -a /etc/nginx /root/saved/etc;"
            " cp -a /usr/sbin/nginx /root/saved/bin"
        )
        yield lab, host


@pytest.fixture
def upgrade(made: tuple[Lab, LabHost]) -> Iterator[Upgrade]:
    """An upgrade of that host, whose nginx is steady."""
    lab, host = made
    yield Upgrade(lab, host)
    host.sh(
        "systemctl stop nginx; while pids=$(grep -l '^nginx: ' /proc/[0-9]*/cmdline); do"
        " for file in $pids; do file=${file#/proc/}; kill -KILL ${file%/cmdline}; done; done"
        " 2>/dev/null; rm -rf /run/nginx* /etc/nginx /etc/systemd/system/nginx.service.d;"
        " cp -a /root/saved/etc /etc/nginx; cp -a /root/saved/bin /usr/sbin/nginx.back;"
        " mv -f /usr/sbin/nginx.back /usr/sbin/nginx; systemctl daemon-reload;"
        " systemctl reset-failed nginx; systemctl start nginx"
    )
    put_binary(host)


def refusal(upgrade: Upgrade) -> str:
    """Run the preflight, expect a refusal, and see that it changed nothing."""
    host = upgrade.host
    state = (
        f"cat {upgrade.at.pid_file} {upgrade.at.pid_file}.oldbin 2>/dev/null;"
        f"sha256sum {upgrade.at.binary}; ls -la /usr/sbin; pgrep -x nginx"
    )
    before = host.sh(state, check=False)
    with pytest.raises(Refused) as caught:
        run_steps(host, upgrade.forward()[:1])
    assert host.sh(state, check=False) == before
    print(caught.value)
    return str(caught.value)


def edit(host: LabHost, expression: str) -> None:
    """Change the configuration on the disk by sed."""
    host.run("sed", "-i", expression, CONF)
