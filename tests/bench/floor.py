"""The floor: what a roll of one host costs when its commands are given by hand, and no more.

The same commands on the same balancers and the same host, over an SSH connection and a shell that
are open already, without a plan, records, leases, fencing, or a word to anybody.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.bench.site import BACKEND, Site
from worker.remote import Command
from worker.ssh import Connection, Connections

POLL_SECONDS = 0.01
_SCUR, _QCUR, _STATUS = 4, 2, 17  # columns of `show stat`


class Floor:
    """A person with open connections."""

    def __init__(self, site: Site, hosts: list[str]) -> None:
        """Open the connections to the balancers and to the hosts that will be rolled."""
        self._site = site
        self._connections = Connections()
        self._balancers = {name: self._open(name) for name in site.balancers}
        self._hosts = {name: self._open(name) for name in hosts}

    def close(self) -> None:
        """Disconnect."""
        self._connections.close()

    def roll(self, host: str, version: str) -> float:
        """Roll one host; return the seconds that it took."""
        began = time.monotonic()
        for name in self._balancers:  # are there enough others, and how does this one stand?
            self._say(name, f"show servers state {BACKEND}; show stat {BACKEND} 6 -1")
        self._everywhere(f"set server {BACKEND}/{host} state drain")
        self._until(host, lambda row: row[_SCUR] == "0" and row[_QCUR] == "0")
        self._everywhere(f"set server {BACKEND}/{host} state maint")
        self._redeploy(host, version)
        self._everywhere(f"set server {BACKEND}/{host} state drain")
        self._until(host, lambda row: row[_STATUS] == "DRAIN")
        self._everywhere(f"set server {BACKEND}/{host} state ready")
        self._until(host, lambda row: row[_STATUS] == "UP")
        return time.monotonic() - began

    def _redeploy(self, host: str, version: str) -> None:
        file = str(self._site.version_file(host))
        for script in ('printf %s "$1" > "$2"', 'grep -q "$1" "$2"'):
            result = self._hosts[host].run(Command.shell(script, version, file), timeout=10)
            if not result.ok:
                raise SystemExit(f"{host}: {script}: {result.stderr}")

    def _until(self, host: str, condition: Callable[[list[str]], bool]) -> None:
        number = self._site.hosts.index(host) + 1
        deadline = time.monotonic() + 60
        for name in self._balancers:
            while True:
                _, row = self._say(name, f"show stat {BACKEND} 4 {number}").split("\n", 1)
                if condition(row.split(",")):
                    break
                if time.monotonic() > deadline:
                    raise SystemExit(f"{host} on {name}: {row}")
                time.sleep(POLL_SECONDS)

    def _everywhere(self, command: str) -> None:
        for name in self._balancers:
            said = self._say(name, command).strip()
            if said:
                raise SystemExit(f"{name}: {command}: {said}")

    def _say(self, balancer: str, command: str) -> str:
        path = f"UNIX-CONNECT:{self._site.socket(balancer)}"
        talk = Command.of("socat", "-t", "10", "-", path, stdin=f"{command}\n")
        return self._balancers[balancer].run(talk, timeout=15).stdout

    def _open(self, name: str) -> Connection:
        connection = self._connections.get(self._site.spec(name), {})
        connection.run(Command.of("true"), timeout=20)
        return connection
