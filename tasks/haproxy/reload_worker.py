"""Talk to one worker by the master's socket: by its pid, so that no other can answer."""

from __future__ import annotations

from collections.abc import Iterable

from tasks.haproxy.client import Runtime
from tasks.haproxy.facts import ServerState
from tasks.haproxy.params import Balancer
from tasks.haproxy.parsers import parse_servers_conn
from tasks.haproxy.reload_state import read_states
from worker.errors import Refused
from worker.remote import Host


def master_runtime(host: Host, balancer: Balancer) -> Runtime:
    """The master's socket, of a run that holds the balancer's lease.

    Raises:
        Refused: the fleet file does not name it.
    """
    if balancer.master_socket is None:
        raise Refused(f"{balancer.host}: balancers.{balancer.host}.master_socket is not said")
    return Runtime(host, balancer.master_socket, exclusive=True)


def dump_states(host: Host, balancer: Balancer, pid: int) -> tuple[str, list[ServerState]]:
    """Read `show servers state` of a worker: as it is, and parsed."""
    dump = master_runtime(host, balancer).read_text(f"@!{pid} show servers state")
    return dump, read_states(dump)


def sessions_of(host: Host, balancer: Balancer, pids: Iterable[int]) -> dict[int, int]:
    """Count the requests that workers still have on servers; a worker that is gone is left out."""
    runtime = master_runtime(host, balancer)
    found: dict[int, int] = {}
    for pid in pids:
        reply = runtime.read_text(f"@!{pid} show servers conn")
        if reply.startswith("#"):
            found[pid] = sum(parse_servers_conn(reply).values())
    return found
