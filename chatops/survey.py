"""`winch fleet check`: reach every host, and say what runs there and how the servers stand."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from chatops.looking import LookingHost
from tasks.haproxy.client import Runtime
from tasks.haproxy.facts import Backend
from tasks.haproxy.parsers import join, parse_info, parse_proc, parse_servers_state, parse_stat
from worker.errors import Refused, StepError, Unreachable
from worker.plan import HostSpec
from worker.remote import Command
from worker.ssh import Connections
from workflows.fleet import Fleet
from workflows.hosts import host_specs

_AT_ONCE = 32
_TIMEOUT = 20.0  # seconds

# One line a fact, `name=text`; versions go to stdout or stderr, as each program likes.
_FACTS = """
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
echo "os=$(. /etc/os-release 2>/dev/null; echo "$PRETTY_NAME")"
echo "kernel=$(uname -sr)"
echo "user=$(id -un)"
for program in haproxy nginx keepalived; do
  command -v "$program" > /dev/null || continue
  echo "$program=$("$program" -v 2>&1 | head -n 1)"
done
"""
_VERSION = re.compile(r"\bv?(\d+\.\d+[\w.+~-]*)")
PROGRAMS = ("haproxy", "nginx", "keepalived")


def survey(fleet: Fleet) -> tuple[dict[str, Any], int]:
    """Look at every host and balancer. Returns the document and the exit code.

    Exit code: 0; 4 when a host does not answer; 3 when one does, and a job on it would be refused.
    """
    specs = host_specs(fleet, fleet.hosts)
    connections = Connections()
    try:
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            names = list(specs)
            hosts = list(threads.map(lambda name: _host(connections, specs, name), names))
            answering = {host["name"] for host in hosts if host["reachable"]}
            sockets = [
                (name, socket)
                for name, balancer in fleet.balancers.items()
                for socket in balancer.sockets
                if name in answering
            ]
            processes = list(threads.map(lambda each: _socket(connections, specs, *each), sockets))
            masters = [
                (name, balancer.master_socket)
                for name, balancer in fleet.balancers.items()
                if balancer.master_socket is not None and name in answering
            ]
            said = list(threads.map(lambda each: _master(connections, specs, *each), masters))
    finally:
        connections.close()
    problems = [host["error"] for host in hosts if host["error"]]
    problems += [process["error"] for process in processes if process["error"]]
    problems += [problem for problem in said if problem is not None]
    problems += pool_problems(fleet, processes)
    document = {"hosts": hosts, "balancers": processes, "problems": problems}
    if len(answering) < len(hosts):
        return document, Unreachable.exit_code
    return document, Refused.exit_code if problems else 0


def _host(connections: Connections, specs: Mapping[str, HostSpec], name: str) -> dict[str, Any]:
    spec = specs[name]
    found: dict[str, Any] = {"name": name, "address": spec.address, "site": spec.site}
    try:
        host = LookingHost(connections, spec, specs)
        facts = parse_facts(host.read(Command.shell(_FACTS), timeout=_TIMEOUT).stdout)
    except StepError as error:
        return {**found, "reachable": False, **parse_facts(""), "error": str(error)}
    return {**found, "reachable": True, **facts, "error": None}


def parse_facts(text: str) -> dict[str, Any]:
    """Read what the host printed: os, kernel, user, and the versions of what is installed."""
    lines = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    versions = {}
    for program in PROGRAMS:
        if program in lines:
            version = _VERSION.search(lines[program])
            versions[program] = version[1] if version else lines[program]
    return {
        "os": lines.get("os") or None,
        "kernel": lines.get("kernel") or None,
        "user": lines.get("user") or None,
        "versions": versions,
    }


def _socket(
    connections: Connections, specs: Mapping[str, HostSpec], name: str, socket: str
) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name, "socket": socket, "version": None, "level": None}
    try:
        runtime = Runtime(LookingHost(connections, specs[name], specs), socket)
        level, info, state, stat = runtime.ask(
            "show cli level", "show info", "show servers state", "show stat"
        )
        found |= {"level": level.strip(), "version": parse_info(info).version}
        backends = join(parse_servers_state(state), parse_stat(stat))
    except StepError as error:
        return {**found, "backends": [], "error": str(error)}
    wrong = None
    if found["level"] != "admin":
        wrong = (
            f"{runtime.where}: expected a socket of level admin, it is {found['level']}: "
            "add `level admin` to this `stats socket` in haproxy.cfg and reload HAProxy"
        )
    return {**found, "backends": [_backend(each) for each in backends.values()], "error": wrong}


def _backend(backend: Backend) -> dict[str, Any]:
    return {
        "name": backend.name,
        "servers": [
            {
                "name": server.name,
                "status": server.status,
                "state": server.admin.forced,
                "weight": server.weight,
                "sessions": server.sessions,
                "check": server.check.removeprefix("* "),  # "* ": one is under way
            }
            for server in backend.servers.values()
        ],
    }


def _master(
    connections: Connections, specs: Mapping[str, HostSpec], name: str, socket: str
) -> str | None:
    runtime = Runtime(LookingHost(connections, specs[name], specs), socket)
    try:
        if parse_proc(runtime.read_text("show proc")):
            return None
    except StepError as error:
        return str(error)
    return (
        f"{runtime.where}: expected a master's socket that lists its workers, it lists none: is "
        "this the path given to `haproxy -S`?"
    )


def pool_problems(fleet: Fleet, processes: Iterable[dict[str, Any]]) -> list[str]:
    """List the backends and servers of the pools that a balancer does not know."""
    problems = []
    for process in processes:
        if process["error"] is not None and not process["backends"]:
            continue
        known = {
            backend["name"]: {server["name"] for server in backend["servers"]}
            for backend in process["backends"]
        }
        where = f"{process['name']} ({process['socket']})"
        for name, pool in fleet.pools.items():
            if process["name"] not in pool.balancers:
                continue
            for backend in pool.backends:
                if backend not in known:
                    problems.append(f"{where}: no backend {backend}, which pool {name} is in")
                    continue
                problems += [
                    f"{where}: no server {pool.server_name(host)} in backend {backend}, "
                    f"which pools.{name}.servers.{host} names"
                    for host in pool.servers
                    if pool.server_name(host) not in known[backend]
                ]
    return problems
