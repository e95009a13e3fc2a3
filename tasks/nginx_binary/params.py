"""Parameters of the steps that get an nginx binary."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from tasks.nginx.params import AbsolutePath, Instance, NewBinary, Sha256
from worker.step import Params

ROOT = "/var/lib/winch/nginx"

# A version, or the beginning of one: 1.26, 1.26.3, 1.26.3-3+deb13u1, 1:1.24.0-1.el9.
Version = Annotated[
    str, StringConstraints(pattern=r"\A[0-9][0-9A-Za-z.+~:^-]*\z", min_length=1, max_length=100)
]
Argument = Annotated[str, StringConstraints(pattern=r"\A--[A-Za-z][^\x00-\x1f\x7f]*\z")]
BUILD_TIMEOUT_SECONDS = 1800.0


class CheckGroup(Params):
    """`nginx.check_group`: every machine that the job is going to need answers."""

    hosts: list[str]


class PreflightGroup(Params):
    """`nginx.preflight_group`: `nginx.preflight` on every host, before the first one is touched."""

    instances: list[Instance]
    new: NewBinary
    force: bool = False


class CheckRollback(Params):
    """`nginx.check_rollback`: from which version to which each host is going to go back.

    `older`: also where only an older upgrade than the group's newest is to be taken back. `all_`:
    these are all hosts of the run, not only those of one site.
    """

    instances: list[Instance]
    older: bool = False
    all_: bool = True


class Upload(Params):
    """`nginx.upload_binary`: a file of the worker's machine, to `target` on the hosts.

    `sha256` is what the file had when the job was planned.
    """

    hosts: list[str]
    file: str
    sha256: Sha256
    target: AbsolutePath


class Unpack(Params):
    """`nginx.unpack_package`: the binary out of the distribution's package; nothing is installed.

    `version`: a version or the beginning of one.
    """

    instances: list[Instance]
    version: Version
    target: AbsolutePath


class Build(Params):
    """`nginx.build_binary`: from source, with the arguments of `like`'s running nginx.

    `source`: a tarball on the worker's machine, of this `sha256`. `drop`: arguments (or only their
    names) to leave out; `drop_unknown`: also those that the source does not know; `add`: further
    ones. `jobs`: of make, None for one a processor. `timeout` of the compilation in seconds.
    """

    build_host: str
    like: Instance
    hosts: list[str]
    source: str
    sha256: Sha256
    version: str
    target: AbsolutePath
    drop: list[Argument] = []
    drop_unknown: bool = False
    add: list[Argument] = []
    jobs: int | None = Field(default=None, ge=1, le=256)
    timeout: float = Field(default=BUILD_TIMEOUT_SECONDS, gt=0)
