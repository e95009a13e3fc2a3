"""Parameters of the HAProxy steps."""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

from pydantic import Field, StringConstraints

from worker.step import Params

# What HAProxy itself accepts in the name of a proxy or a server (configuration manual, 2.2).
Name = Annotated[str, StringConstraints(pattern=r"\A[A-Za-z0-9_.:-]+\z", max_length=255)]
# A count ("1") or a share ("25%") of the servers in a backend, rounded up.
Count = Annotated[str, StringConstraints(pattern=r"\A[0-9]+%?\z")]
Percent = Annotated[int, Field(ge=1, le=100)]
# A unix socket's path, or HOST:PORT of a Runtime API over TCP as seen from the balancer.
Socket = Annotated[
    str, StringConstraints(pattern=r"\A(/[^\s,;'\"\\]+|[A-Za-z0-9_.\-\[\]:]+:[0-9]+)\z")
]


class Balancer(Params):
    """One HAProxy: the host it runs on and its Runtime API sockets (all are told everything)."""

    host: str
    sockets: list[Socket]
    master_socket: Socket | None = None


class Target(Params):
    """One server as HAProxy names it."""

    backend: Name
    server: Name

    def __str__(self) -> str:
        return f"{self.backend}/{self.server}"


class CheckPool(Params):
    """What must be true before a job on a pool touches anything (`haproxy.check_pool`).

    `targets`: every server that the job will touch; `hosts`: every machine it will need.
    """

    balancers: list[Balancer]
    targets: list[Target]
    hosts: list[str]
    min_available: Count = "1"
    count_backup: bool = False
    include_maintenance: bool = False
    takes_out: bool = True  # False for a job that only enables: no capacity is needed


class Drain(Params):
    """`haproxy.drain`: take the targets out on all balancers, without breaking a session.

    `timeout` in seconds, counted from the step's first start; then by `on_timeout`.
    `min_available`: that many other servers of each backend must be UP on each balancer.
    `include_maintenance`: go on when the server was already out before Winch came.
    """

    balancers: list[Balancer]
    targets: list[Target]
    timeout: float = Field(default=300.0, gt=0)
    on_timeout: Literal["fail", "shutdown_sessions"] = "fail"
    min_available: Count = "1"
    count_backup: bool = False
    include_maintenance: bool = False


class Enable(Params):
    """`haproxy.enable`: bring the targets back as they were before the lane's drain.

    `weights`: percent of the weight it had, one after the other, each held for `stable` seconds
    of uninterrupted UP. `timeout`: seconds for HAProxy to report UP at all.
    """

    balancers: list[Balancer]
    targets: list[Target]
    weights: list[Percent] = [100]
    stable: float = Field(default=3.0, ge=0)
    timeout: float = Field(default=60.0, gt=0)


# A path on the balancer that can stand in a line of HAProxy's configuration without quotes.
ConfigPath = Annotated[str, StringConstraints(pattern=r"\A/[A-Za-z0-9_./@%+,:=-]+\z")]


class Instance(Params):
    """One HAProxy as a process: what the steps of a reload work on.

    `config`: the files and directories that the fleet file names. `replaces`: the file that the
    candidate takes the place of; None: the first of `config`.
    """

    balancer: Balancer
    unit: str = "haproxy.service"
    config: list[ConfigPath] = ["/etc/haproxy/haproxy.cfg"]
    replaces: ConfigPath | None = None

    @property
    def target(self) -> str:
        """The file that a candidate takes the place of."""
        return self.replaces if self.replaces is not None else self.config[0]


OfInstance = TypeVar("OfInstance", bound=Instance)


class ReloadPreflight(Instance):
    """`haproxy.preflight`: this HAProxy can be reloaded, and what it reads is where it should be.

    `candidate`: a new file is going to be installed, of so many bytes. `mends`: put back what a
    reload that was killed has left; only for a run that holds the balancer's lease.
    """

    candidate: int | None = None
    mends: bool = True


class SaveState(Params):
    """`haproxy.save_state`: remember admin states and weights that were set at run time."""

    balancer: Balancer


class InstallConfig(Instance):
    """`haproxy.install_config`: check the configuration and put the candidate in place.

    `source`: the candidate, a file on the worker's machine, and its checksum; None: what is on the
    disk is only checked. Not its text: that may hold passwords, and parameters are in the database.
    """

    source: str | None = None
    sha256: str | None = None


class Reload(Instance):
    """`haproxy.reload`: a new worker that reads the configuration anew and keeps servers' states.

    `timeout`: seconds for the new worker to be there. `back`: as a step of the way back.
    """

    timeout: float = Field(default=30.0, gt=0)
    back: bool = False


class RestoreState(Params):
    """`haproxy.restore_state`: see that servers stand as saved; `watch`: seconds that old workers
    get to leave before they are reported."""

    balancer: Balancer
    watch: float = Field(default=2.0, ge=0)
