"""Parameters of the nginx steps."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from tasks.probe.params import Check
from worker.step import Params


def _path(value: str) -> str:
    if not value.startswith("/") or re.search(r"[\x00-\x20\x7f]", value) or "//" in value:
        raise ValueError(f"{value!r} is not an absolute path without spaces")
    if {".", ".."} & set(value.split("/")) or value.endswith("/"):
        raise ValueError(f"{value!r} is not the plain path of a file")
    return value


AbsolutePath = Annotated[str, AfterValidator(_path)]
UnitName = Annotated[
    str, StringConstraints(pattern=r"\A[A-Za-z0-9_][A-Za-z0-9:_.\\@-]*\z", max_length=255)
]
Sha256 = Annotated[str, StringConstraints(pattern=r"\A[0-9a-f]{64}\z")]


class Instance(Params):
    """One nginx: where its binary, its pid file and its systemd unit are.

    `unit` None: it was started by hand. `group` is the fleet file's name for it, for messages that
    say which command to type.
    """

    host: str
    group: str = "GROUP"
    binary: AbsolutePath = "/usr/sbin/nginx"
    pid_file: AbsolutePath = "/run/nginx.pid"
    unit: UnitName | None = "nginx.service"


class NewBinary(Params):
    """The binary to upgrade to: a file on the host, put there beforehand.

    By convention it is `/var/lib/winch/nginx/KEY/nginx`, KEY naming where it came from. `sha256`
    None: what stands in `PATH.sha256` beside it, which whoever made it there wrote last (64 hex
    digits; what follows a space is ignored, as in the output of sha256sum). `version` None: what
    the binary itself says.
    """

    path: AbsolutePath
    sha256: Sha256 | None = None
    version: str | None = None


class Preflight(Params):
    """`nginx.preflight`: what must be true before anything is touched.

    `force`: also when that version runs already, and to finish an upgrade that is under way to
    this very binary.
    """

    instance: Instance
    new: NewBinary
    force: bool = False


class Stage(Params):
    """`nginx.stage`: back-up, then the new binary in its place on the disk; no process changes."""

    instance: Instance
    new: NewBinary


class UpgradeExecutable(Params):
    """`nginx.upgrade_executable` (USR2). `timeout`: seconds for the new master to serve."""

    instance: Instance
    new: NewBinary
    timeout: float = Field(default=30.0, gt=0)


class ShutdownWorkers(Params):
    """`nginx.shutdown_workers` (WINCH). `timeout`: seconds until no old worker accepts."""

    instance: Instance
    new: NewBinary
    timeout: float = Field(default=30.0, gt=0)


class Soak(Params):
    """`nginx.soak`: the new workers serve alone for `seconds`, watched; then the confirmation.

    Every `interval` seconds all checks are made. With `confirm` manual it then waits for a person.
    """

    instance: Instance
    new: NewBinary
    seconds: float = Field(default=600.0, ge=0)
    interval: float = Field(default=5.0, gt=0)
    checks: list[Check] = []
    confirm: Literal["auto", "manual"] = "auto"


class Quit(Params):
    """`nginx.quit`: end the old master. From here on there is no way back to its workers.

    `timeout`: seconds to wait for connections that old workers still hold. They are never cut;
    after that time the step ends and says what is left. That `systemctl reload` works is proved
    by everything that it depends on; with `reload` by doing it, which closes idle keep-alive
    connections once more.
    """

    instance: Instance
    new: NewBinary
    timeout: float = Field(default=3600.0, gt=0)
    reload: bool = False


class ReloadOld(Params):
    """`nginx.reload_old` (back): the old version accepts connections again.

    By HUP to the old master while it lives; else the same upgrade with the backed-up binary.
    `timeout`: seconds for its workers to serve. `leave_timeout`: seconds for an old master that
    was told to quit and cannot come back, because an upgrade is impossible while it lives.
    `older`: also when the newest upgrade of the group did not reach this host, and what would be
    taken back is an older one.
    """

    instance: Instance
    older: bool = True
    timeout: float = Field(default=30.0, gt=0)
    leave_timeout: float = Field(default=3600.0, gt=0)


class QuitNew(Params):
    """`nginx.quit_new` (back): the other version accepts no more."""

    instance: Instance
    older: bool = True
    timeout: float = Field(default=30.0, gt=0)


class Unstage(Params):
    """`nginx.unstage` (back): the old binary on the disk, one master, systemd in step with it.

    `timeout`: seconds to wait for connections that workers of the other version still hold; they
    are never cut.
    """

    instance: Instance
    older: bool = True
    timeout: float = Field(default=3600.0, gt=0)
