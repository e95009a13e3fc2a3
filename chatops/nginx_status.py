"""`winch nginx status`: in which phase each host of a group is."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from chatops.looking import LookingHost
from tasks.nginx.phase import Phase
from tasks.nginx.status import read_status
from worker.errors import Failed, StepError, Unreachable
from worker.ssh import Connections
from workflows.hosts import host_specs
from workflows.model import Fleet
from workflows.nginx import find_group, select_hosts
from workflows.nginx_lanes import instance_of
from workflows.options import Options

_AT_ONCE = 32


def nginx_status(fleet: Fleet, group: str, hosts: Sequence[str]) -> tuple[dict[str, Any], int]:
    """Look at the hosts of a group. Returns the document and the exit code.

    Exit code: 0 when each is steady, 2 when one is not, 4 when one does not answer.
    """
    names = select_hosts(group, find_group(fleet, group), Options(limit=tuple(hosts)))
    specs = host_specs(fleet, names)
    connections = Connections()

    def look(name: str) -> dict[str, Any]:
        found: dict[str, Any] = {"name": name, "reachable": True, "error": None}
        try:
            host = LookingHost(connections, specs[name], specs)
            seen = read_status(host, instance_of(fleet, group, name)).document()
        except Unreachable as error:
            return {**found, "reachable": False, "error": str(error), "phase": None}
        except StepError as error:
            return {**found, "error": str(error), "phase": None}
        seen.pop("host")
        return found | seen

    try:
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            seen = list(threads.map(look, names))
    finally:
        connections.close()
    document = {"group": group, "hosts": seen}
    if not all(host["reachable"] for host in seen):
        return document, Unreachable.exit_code
    steady = all(host["phase"] == str(Phase.STEADY) for host in seen)
    return document, 0 if steady else Failed.exit_code
