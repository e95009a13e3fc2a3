"""The sections of a fleet file: ssh, hosts, balancers, pairs, pools, nginx."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from workflows.deployments import Check, Redeploy, Section, drop_none, none_word
from workflows.hours import Hours
from workflows.kinds import (
    Address,
    Count,
    CountFromOne,
    Duration,
    Interface,
    IpAddress,
    LocalPath,
    Name,
    PositiveDuration,
    ProxyName,
    RemotePath,
    Socket,
    Text,
    Unit,
    User,
)
from workflows.values import ALL_PERCENT

Port = Annotated[int, Field(ge=1, le=65535)]


class Ssh(Section):
    """How to reach hosts over SSH; a host's own `ssh` wins, key by key."""

    user: User | None = None
    """The user to log in as."""
    port: Port = 22
    """The port of sshd."""
    identity_file: LocalPath | None = None
    """The private key; relative to the fleet file. Without it, the agent and the usual files."""
    known_hosts: LocalPath | None = None
    """The known hosts; relative to the fleet file. Without it, the user's and the system's."""
    become: Annotated[Literal["sudo", "doas"] | None, BeforeValidator(none_word)] = None
    """How to become root; none: not at all."""
    jump: Text | None = None
    """The host to go through: a name under hosts, or an address."""


class Host(Section):
    """A machine that Winch may touch."""

    address: Address
    """An IP address or a host name."""
    connection: Literal["ssh", "local"] = "ssh"
    """local: the worker's own machine."""
    site: Name | None = None
    """The Celery queue whose workers can reach it."""
    ssh: Ssh = Ssh()
    """What differs from the common ssh."""


class Balancer(Section):
    """An HAProxy; its key is a host."""

    sockets: list[Socket] = Field(default=["/run/haproxy/admin.sock"], min_length=1)
    """The Runtime API's sockets with level admin; all are told."""
    master_socket: Socket | None = None
    """The master CLI's socket (haproxy -S)."""
    config: list[RemotePath] = Field(default=["/etc/haproxy/haproxy.cfg"], min_length=1)
    """The configuration's files and directories."""
    unit: Unit = "haproxy.service"
    """The systemd unit."""
    verify: list[Check] = []
    """What must hold after a reload; without it, `verify` of the pairs that it is in."""


class VirtualAddress(Section):
    """An address that a VRRP pair holds."""

    ip: IpAddress
    """The address, without prefix length."""
    interface: Interface
    """Where it stands."""
    router_id: int = Field(ge=1, le=255)
    """virtual_router_id."""
    home: Name
    """The member that holds it when all is well."""


class PairPolicy(Section):
    """When members may be upgraded."""

    windows: list[Hours] = []
    """Upgrades begin in these hours only, and wait for them; without it, at any time."""


class Pair(Section):
    """Two hosts that hold addresses by VRRP."""

    members: list[Name] = Field(min_length=2, max_length=2)
    """The two hosts."""
    addresses: list[VirtualAddress] = Field(min_length=1)
    """What they hold; double-master is two addresses with different homes."""
    advert_interval: PositiveDuration = 1.0
    """advert_int."""
    track_file: RemotePath | None = None
    """keepalived's track_file: the graceful way to ask for a failover."""
    redeploy: Redeploy | None = None
    """How a member is upgraded."""
    verify: list[Check] = []
    """What must hold on an upgraded member."""
    policy: PairPolicy = PairPolicy()
    """When members may be upgraded."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(set(self.members)) != len(self.members):
            raise ValueError(f"the members are the same host twice ({self.members[0]})")
        homes: dict[tuple[str, int], str] = {}
        for address in self.addresses:
            home = homes.setdefault((address.interface, address.router_id), address.home)
            if home != address.home:
                raise ValueError(
                    f"router_id {address.router_id} on {address.interface} has two homes "
                    f"({home}, {address.home}): one VRRP instance has one"
                )
        ips = [address.ip for address in self.addresses]
        _no_twice(ips, "the address")
        return self


class Server(Section):
    """A server of a pool; its key is a host."""

    server: ProxyName | None = None
    """Its name in HAProxy, if that is not the host's name."""


class Drain(Section):
    """How a server is taken out."""

    timeout: PositiveDuration = 300.0
    """How long its sessions may take to end."""
    on_timeout: Literal["fail", "shutdown_sessions"] = "fail"
    """What then happens."""


class Enable(Section):
    """How a server comes back."""

    weights: list[Annotated[int, Field(ge=1, le=100)]] = Field(default=[100], min_length=1)
    """Percent of the weight it had, one after the other."""
    stable: Duration = 3.0
    """How long it must be UP without interruption at each."""
    timeout: PositiveDuration = 60.0
    """How long HAProxy may take to report it UP."""

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if self.weights != sorted(set(self.weights)) or self.weights[-1] != ALL_PERCENT:
            raise ValueError(f"weights must rise and end with 100, not {self.weights}")
        return self


class PoolPolicy(Section):
    """How many servers at once, and what a failure does."""

    max_unavailable: CountFromOne = "1"
    """How many servers may be out at once; a share is rounded down, to at least 1."""
    min_available: Count = "1"
    """How many other servers must stay UP in each backend; a share is rounded up."""
    stages: list[CountFromOne] = []
    """So many hosts, then so many in all, and so on: a stage begins when the one before is done."""
    max_failures: Count = "0"
    """How many hosts may fail before no further one starts; a share is rounded down."""
    on_failure: Literal["rollback", "stop"] = "rollback"
    """rollback: a failed host goes back; stop: it stays as it is, out of rotation."""
    lock_wait: Duration = 600.0
    """How long to wait for a lease that another run holds."""
    count_backup: bool = False
    """Whether backup servers count as available."""
    windows: list[Hours] = []
    """A roll starts servers in these hours only, and waits for them; without it, at any time."""


class Pool(Section):
    """Servers behind HAProxy."""

    balancers: list[Name] = Field(min_length=1)
    """The balancers before it; a server is taken out on all of them."""
    backends: list[ProxyName] = Field(min_length=1)
    """Every backend in which these servers stand."""
    servers: dict[Name, Annotated[Server, BeforeValidator(drop_none)]] = Field(min_length=1)
    """The servers, in the order in which they are rolled."""
    drain: Drain = Drain()
    """How a server is taken out."""
    redeploy: Redeploy | None = None
    """How it gets the new version."""
    verify: list[Check] = []
    """What must hold before it comes back."""
    enable: Enable = Enable()
    """How it comes back."""
    policy: PoolPolicy = PoolPolicy()
    """How many at once, and what a failure does."""

    @model_validator(mode="after")
    def _once(self) -> Self:
        _no_twice(self.balancers, "the balancer")
        _no_twice(self.backends, "the backend")
        _no_twice([self.server_name(host) for host in self.servers], "the server")
        return self

    def server_name(self, host: str) -> str:
        """Return what HAProxy calls the server on a host."""
        return self.servers[host].server or host


class NginxPolicy(Section):
    """How many nginx at once, and what a failure does."""

    max_unavailable: CountFromOne = "1"
    """How many hosts may be under way at once; a share is rounded down, to at least 1."""
    stages: list[CountFromOne] = []
    """So many hosts, then so many in all, and so on: a stage begins when the one before is done."""
    max_failures: Count = "0"
    """How many hosts may fail before no further one starts; a share is rounded down."""
    on_failure: Literal["rollback", "stop"] = "rollback"
    """rollback: a failed host goes back to the old binary; stop: it stays as it is."""
    lock_wait: Duration = 600.0
    """How long to wait for a lease that another run holds."""
    windows: list[Hours] = []
    """An upgrade starts hosts in these hours only, and waits for them; without it, at any time."""


class Nginx(Section):
    """nginx instances whose binary is upgraded in place."""

    hosts: list[Name] = Field(min_length=1)
    """The hosts on which it runs."""
    binary: RemotePath = "/usr/sbin/nginx"
    """The executable."""
    pid_file: RemotePath = "/run/nginx.pid"
    """The pid file."""
    unit: Annotated[Unit | None, BeforeValidator(none_word)] = "nginx.service"
    """The systemd unit; none: started by hand."""
    verify: list[Check] = []
    """What must hold while both masters serve, and afterwards."""
    soak: Duration = 600.0
    """How long the old master is kept, so that it can come back."""
    confirm: Literal["auto", "manual"] = "auto"
    """auto: QUIT after the soak; manual: wait for an approval."""
    drain: bool = False
    """Take each host out of the pools that it is in while its processes change."""
    reload: bool = False
    """Reload the unit at the end too, which closes idle keep-alive connections once more."""
    policy: NginxPolicy = NginxPolicy()
    """How many at once, and what a failure does."""

    @model_validator(mode="after")
    def _once(self) -> Self:
        _no_twice(self.hosts, "the host")
        return self


def _no_twice(names: list[str], what: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"{what} {name} stands there twice")
        seen.add(name)
