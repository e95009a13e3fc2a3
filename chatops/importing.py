"""`winch fleet import --haproxy HOST`: ask a live HAProxy what stands behind it."""

from __future__ import annotations

import re
from pathlib import Path

from chatops.looking import LookingHost
from tasks.haproxy.client import Runtime
from tasks.haproxy.discover import fleet_from_state
from worker.errors import UsageError
from worker.plan import HostSpec, SshSpec
from worker.ssh import Connections
from workflows.fleet import load_fleet
from workflows.hosts import host_specs
from workflows.importer import render_haproxy
from workflows.values import check_address

_WHERE = re.compile(
    r"(?:(?P<user>[A-Za-z0-9_][A-Za-z0-9_.-]*)@)?"
    r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<address>[A-Za-z0-9_.-]+))(?::(?P<port>\d{1,5}))?",
    re.ASCII,
)
_LAST_PORT = 65535


def from_haproxy(where: str, socket: str, fleet_file: Path) -> str:
    """Write a fleet file from the HAProxy on a host.

    `where`: a host of `fleet_file`, if that is there; else as `parse_where` reads it.

    Raises:
        UsageError: `where` is neither.
        StepError: the host or its HAProxy does not answer.
    """
    specs = {}
    if fleet_file.exists() and where in (fleet := load_fleet(fleet_file)).hosts:
        specs = host_specs(fleet, [where])
        balancer = fleet.balancers.get(where)
        socket = balancer.sockets[0] if balancer is not None else socket
    spec = specs.get(where) or parse_where(where)
    connections = Connections()
    try:
        runtime = Runtime(LookingHost(connections, spec, specs), socket)
        state, stat, info = runtime.ask("show servers state", "show stat", "show info")
    finally:
        connections.close()
    found = fleet_from_state(state, stat, info)
    return render_haproxy(found, balancer=spec.name, address=spec.address, sockets=[socket])


def parse_where(where: str) -> HostSpec:
    """Read `local` or [USER@]ADDRESS[:PORT].

    Raises:
        UsageError: it is neither.
    """
    if where == "local":
        return HostSpec(name="localhost", address="127.0.0.1", connection="local")
    found = _WHERE.fullmatch(where)
    address = "" if found is None else (found["v6"] or found["address"])
    try:
        check_address(address)
    except ValueError:
        found = None
    if found is None or not 0 < int(found["port"] or 22) <= _LAST_PORT:
        raise UsageError(
            f"--haproxy {where[:80]!r}: must be a host of the fleet file, [USER@]ADDRESS[:PORT], "
            "or `local`"
        )
    ssh = SshSpec(user=found["user"], port=int(found["port"] or 22))
    return HostSpec(name=address, address=address, ssh=ssh)
