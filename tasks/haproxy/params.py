"""Parameters of the HAProxy steps."""

from __future__ import annotations

from typing import Annotated, Literal

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
