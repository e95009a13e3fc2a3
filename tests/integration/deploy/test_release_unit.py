"""A release and the unit that runs it. `systemctl` is a script here; the lab has the real one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tasks.deploy.params import Redeploy
from tasks.deploy.steps import preview_redeploy, redeploy, restore
from tests.integration.deploy.local import BreakingHost, Lane, LocalHost
from tests.integration.deploy.test_release import serving, tarball, wish
from worker.errors import Failed, Unreachable

SYSTEMCTL = """#!/bin/sh
cd "$(dirname "$0")" || exit 1
case $1 in
show) printf '%s\\n' LoadState=loaded Type=notify Result=success CanReload=yes SubState=x \\
    "ActiveState=$(cat active)" "InvocationID=$(cat starts)" ;;
restart|reload|stop)
    echo "$1" >> verbs
    case $1 in
    restart) echo $(($(cat starts) + 1)) > starts; echo active > active ;;
    stop) echo inactive > active ;;
    esac
    if [ -e broken ]; then echo failed > active; exit 1; fi ;;
esac
"""


class Systemctl:
    """A stand-in for one unit."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self.directory = directory
        (directory / "systemctl").write_text(SYSTEMCTL)
        (directory / "systemctl").chmod(0o755)
        (directory / "journalctl").write_text("#!/bin/sh\necho no such module\n")
        (directory / "journalctl").chmod(0o755)
        (directory / "starts").write_text("7\n")
        (directory / "active").write_text("active\n")
        self.environment = {"PATH": f"{directory}:{os.environ['PATH']}"}

    @property
    def verbs(self) -> list[str]:
        """What was asked of it."""
        path = self.directory / "verbs"
        return path.read_text().split() if path.exists() else []


@pytest.fixture
def systemctl(tmp_path: Path) -> Systemctl:
    return Systemctl(tmp_path / "bin")


@pytest.fixture
def params(tmp_path: Path) -> Redeploy:
    srv = tmp_path / "srv"
    redeploy(Lane().redeploying(LocalHost()), wish(tarball(tmp_path / "a.tar", "1"), "1", srv))
    return wish(tarball(tmp_path / "b.tar", "2"), "2", srv, unit="app.service")


def test_the_unit_is_restarted_after_the_swap_and_after_the_swap_back(
    tmp_path: Path, systemctl: Systemctl, params: Redeploy
) -> None:
    host, lane = LocalHost(systemctl.environment), Lane()
    planned = preview_redeploy(lane.redeploying(host), params)
    assert planned[-1] == "systemctl restart -- app.service"
    redeploy(lane.redeploying(host), params)
    assert systemctl.verbs == ["restart"]
    restore(lane.restoring(host), params)
    assert systemctl.verbs == ["restart", "restart"]
    assert serving(tmp_path / "srv") == "1"


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("breaks_at", range(1, 5))
def test_a_break_anywhere_ends_in_one_restart(
    tmp_path: Path, systemctl: Systemctl, params: Redeploy, breaks_at: int, after: bool
) -> None:
    lane = Lane()
    with pytest.raises(Unreachable):
        redeploy(
            lane.redeploying(
                BreakingHost(breaks_at, after=after, environment=systemctl.environment)
            ),
            params,
        )
    redeploy(lane.redeploying(LocalHost(systemctl.environment)), params)
    assert serving(tmp_path / "srv") == "2"
    assert systemctl.verbs == ["restart"]


def test_a_unit_that_the_redeploy_never_came_to_is_not_restarted_by_a_restore(
    tmp_path: Path, systemctl: Systemctl, params: Redeploy
) -> None:
    lane = Lane()
    with pytest.raises(Unreachable):
        redeploy(
            lane.redeploying(BreakingHost(3, after=True, environment=systemctl.environment)),
            params,
        )
    assert serving(tmp_path / "srv") == "2"
    restore(lane.restoring(LocalHost(systemctl.environment)), params)
    assert serving(tmp_path / "srv") == "1"
    assert systemctl.verbs == []


def test_a_broken_release_fails_with_its_journal_and_the_old_one_is_back(
    tmp_path: Path, systemctl: Systemctl, params: Redeploy
) -> None:
    lane = Lane()
    (systemctl.directory / "broken").touch()
    with pytest.raises(Failed, match="its journal: no such module"):
        redeploy(lane.redeploying(LocalHost(systemctl.environment)), params)
    (systemctl.directory / "broken").unlink()
    restore(lane.restoring(LocalHost(systemctl.environment)), params)
    assert serving(tmp_path / "srv") == "1"
    assert (systemctl.directory / "active").read_text() == "active\n"
