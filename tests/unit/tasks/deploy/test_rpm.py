"""Packages by dnf and yum, on a recording host."""

from __future__ import annotations

import pytest

from tasks.deploy import rpm
from tasks.deploy.params import Package, Redeploy
from tasks.deploy.steps import preview_redeploy, redeploy, restore
from tests.fakes import RecordingContext, RecordingHost
from worker.errors import Failed, Refused
from worker.remote import Command, Result
from worker.step import Done

LIST = """\
Installed Packages
nginx.x86_64            1:1.20.1-14.el9          @appstream
Available Packages
nginx.x86_64            1:1.20.1-14.el9          appstream
nginx.x86_64            1:1.26.3-1.el9           nginx-stable
nginx.x86_64            1:1.26.10-1.el9          nginx-stable
nginx-core.x86_64       1:1.99.0-1.el9           nginx-stable
"""
YUM_LIST = """\
Available Packages
a-package-with-a-really-very-long-name-that-yum-wraps.x86_64
                             1.0-1.el7              base
"""
WISH = Redeploy(package=Package(name="nginx", version="1.26"))


class Machine:
    """A host whose dnf installs and downgrades."""

    def __init__(self, installed: str | None = "1:1.20.1-14.el9", tool: str = "dnf") -> None:
        self.installed = installed
        self.host = RecordingHost()
        self.host.answers = {
            "for tool in": f"{tool}\n",
            "^rpm -q": self.query,
            f"{tool} -q list": LIST,
            f"{tool} -y": self.change,
        }

    def query(self, _command: Command) -> str | Result:
        if self.installed is None:
            return Result(1, "package nginx is not installed\n", "", 0.0)
        version = self.installed if ":" in self.installed else f"0:{self.installed}"
        return f"{version}\n"

    def change(self, command: Command) -> str:
        verb, package = command.argv[-2:]
        self.installed = None if verb == "remove" else package.removeprefix("nginx-")
        return "Complete!\n"


def test_lists_and_queries_are_parsed() -> None:
    assert rpm.parse_list(LIST, "nginx") == ["1:1.26.10-1.el9", "1:1.26.3-1.el9", "1:1.20.1-14.el9"]
    name = "a-package-with-a-really-very-long-name-that-yum-wraps"
    assert rpm.parse_list(YUM_LIST, name) == ["1.0-1.el7"]
    assert rpm.parse_query("0:1.20.1-14.el9\n") == "1.20.1-14.el9"
    assert rpm.parse_query("0:5.1-1\n0:5.14-1\n") == "5.14-1"
    assert rpm.parse_query("") is None


@pytest.mark.parametrize("tool", ["dnf", "yum"])
def test_the_newest_that_begins_so_is_installed_and_put_back_by_a_downgrade(tool: str) -> None:
    machine = Machine(tool=tool)
    forth = RecordingContext(machine.host)
    planned = preview_redeploy(forth, WISH)
    assert redeploy(forth, WISH) == Done(
        "nginx 1:1.20.1-14.el9 → 1:1.26.10-1.el9 (1.26 means 1:1.26.10-1.el9)"
    )
    assert machine.host.acts == planned
    assert forth.memory["before"]["version"] == "1:1.20.1-14.el9"
    back = RecordingContext(machine.host, recalled={"deploy.redeploy": forth.memory})
    assert restore(back, WISH) == Done("nginx is 1:1.20.1-14.el9 again")
    assert machine.host.acts == [
        f"env LC_ALL=C {tool} -y install nginx-1:1.26.10-1.el9",
        f"env LC_ALL=C {tool} -y downgrade nginx-1:1.20.1-14.el9",
    ]


def test_nothing_is_done_when_the_version_stands() -> None:
    machine = Machine("1:1.26.10-1.el9")
    outcome = redeploy(RecordingContext(machine.host), WISH)
    assert isinstance(outcome, Done)
    assert not outcome.changed
    assert machine.host.acts == []


def test_a_package_that_was_not_there_is_removed_again() -> None:
    machine = Machine(None)
    forth = RecordingContext(machine.host)
    redeploy(forth, WISH)
    back = RecordingContext(machine.host, recalled={"deploy.redeploy": forth.memory})
    restore(back, WISH)
    assert machine.installed is None
    assert machine.host.acts[-1] == "env LC_ALL=C dnf -y remove nginx"


def test_a_version_that_nobody_has_is_refused() -> None:
    machine = Machine()
    with pytest.raises(Refused, match=r"nginx 1\.28 is in none .* offer 1:1\.26\.10-1\.el9"):
        redeploy(
            RecordingContext(machine.host),
            Redeploy(package=Package(name="nginx", version="1.28")),
        )
    assert machine.host.acts == []


def test_a_version_that_did_not_come_is_a_failure() -> None:
    machine = Machine()
    machine.host.answers["dnf -y"] = "Nothing to do.\n"
    with pytest.raises(Failed, match=r"expected 1:1\.26\.10-1\.el9; look at `dnf history`"):
        redeploy(RecordingContext(machine.host), WISH)


def test_a_host_without_a_known_package_manager_is_refused() -> None:
    host = RecordingHost()
    host.answers = {"for tool in": Result(1, "", "", 0.0)}
    with pytest.raises(Refused, match="expected apt-get, dnf or yum"):
        redeploy(RecordingContext(host), WISH)
