"""Would `systemctl reload` work now? Found out without doing it.

A reload replaces the workers, and nginx closes the idle keep-alive connections of those that go: a
client that never repeats a request would lose a second one by the same upgrade. So everything that
a reload depends on is looked at instead: that systemd may reload the unit and follows the master,
and that each command of `ExecReload=` would do its part (systemd.service, ExecReload=).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tasks.nginx import config
from tasks.nginx.control import Nginx
from tasks.nginx.examine import test_configuration
from tasks.nginx.facts import Unit, options_in
from worker.errors import Failed
from worker.remote import Command

Kind = Literal["nginx", "test", "kill", "foreign"]
_LINE = re.compile(r"\{ path=(?P<path>\S+) ; argv\[\]=(?P<argv>.*?) ; ignore_errors=")
_RELOAD = re.compile(r" -s reload\b")
_TEST = re.compile(r" -q?tq?(?= |$)")
_KILL = re.compile(r"(?:^|[/ \"'])kill +(?:-s *|-n *|-)(?:SIG)?(?:HUP|1)\b")
_CAT = re.compile(r"(?:cat|<) *(\S+?)[)`\"']")


@dataclass(frozen=True)
class ExecLine:
    """One command of `ExecReload=`, its words joined by spaces, as systemd shows it."""

    path: str
    argv: str

    @property
    def kind(self) -> Kind:
        """nginx: `-s reload`; test: `-t`; kill: HUP to a pid; foreign: anything else."""
        if "nginx" in posixpath.basename(self.path):
            if _RELOAD.search(self.argv):
                return "nginx"
            return "test" if _TEST.search(self.argv) else "foreign"
        return "kill" if _KILL.search(self.argv) else "foreign"

    @property
    def options(self) -> tuple[str, ...]:
        """The -c, -p, -g and -e of an nginx."""
        text = _TEST.sub("", _RELOAD.sub("", self.argv))
        return options_in(text.partition(" ")[2])

    @property
    def pid_file(self) -> str | None:
        """The file that a kill takes its pid from; None: `$MAINPID`, or it cannot be told."""
        found = _CAT.search(self.argv)
        return found[1] if found is not None else None

    @property
    def main_pid(self) -> bool:
        """Whether a kill goes to the pid that systemd follows."""
        return "$MAINPID" in self.argv or "${MAINPID}" in self.argv


def exec_lines(shown: Sequence[str]) -> list[ExecLine]:
    """Read the values of ExecReload= as `systemctl show` prints them."""
    found = (_LINE.search(text) for text in shown)
    return [ExecLine(match["path"], match["argv"]) for match in found if match is not None]


def prove(nginx: Nginx, unit: Unit) -> str:
    """See that each command of the unit's ExecReload= would reach the master and be accepted.

    Whether systemd follows that master is not asked here. Returns what is to be told of it.

    Raises:
        Failed: a reload would not work.
    """
    lines = exec_lines(unit.exec_reload)
    if not unit.can_reload or not lines:
        return "has no ExecReload"
    for line in lines:
        _prove(nginx, line)
    foreign = [line.argv for line in lines if line.kind == "foreign"]
    if foreign:
        return f"reloads it by `{foreign[0][:100]}`, which was not tried"
    return "can reload it"


def _prove(nginx: Nginx, line: ExecLine) -> None:
    if line.kind == "kill":
        if not line.main_pid and line.pid_file is not None:
            _same_pid_file(nginx, line, line.pid_file)
        return
    if line.kind == "foreign":
        return
    tested = test_configuration(nginx.host, line.path, line.options)
    if not tested.ok:
        raise _would_fail(nginx, f"`{line.path} -t` fails: {tested.said}: mend the configuration")
    if line.kind == "test":
        return
    said = config.setting(tested.tree, "pid") if tested.tree is not None else None
    built = config.parse_build(_version(nginx, line.path))
    options = dict(zip(line.options[::2], line.options[1::2], strict=False))
    prefix = options.get("-p") or built.prefix
    _same_pid_file(nginx, line, posixpath.join(prefix, said[0]) if said else built.pid_path)


def _version(nginx: Nginx, path: str) -> str:
    result = nginx.host.read(Command.of(path, "-V"), check=False)
    return result.stderr + result.stdout


def _same_pid_file(nginx: Nginx, line: ExecLine, path: str) -> None:
    ours = nginx.instance.pid_file
    if config.plain_run(path) != config.plain_run(ours):
        raise _would_fail(
            nginx,
            f"`{line.argv[:100]}` takes the pid from {path}, and nginx writes it to {ours}: "
            "make them the same",
        )


def _would_fail(nginx: Nginx, why: str) -> Failed:
    return Failed(
        f"{nginx.host.name}: expected `systemctl reload {nginx.instance.unit}` to work: {why}, "
        "then retry"
    )
