"""A real `winch web`, with a fleet and tokens of the test's own."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from chatops.authorise import Role
from chatops.tokens import create_token
from tests.kit.stack import ROOT, Stack, until
from worker.engine import Approval
from worker.plan import Plan

FLEET = """
vars: {version: "1.26"}
hosts:
  lb1: {address: 127.0.0.2, connection: local, site: dc1}
  lb2: {address: 127.0.0.3, connection: local, site: dc1}
  web1: {address: 127.0.0.11, connection: local}
  web2: {address: 127.0.0.12, connection: local}
  web3: {address: 127.0.0.13, connection: local}
balancers:
  lb1: {sockets: [/nonexistent/winch.sock]}
  lb2: {sockets: [/nonexistent/winch.sock]}
pairs:
  edge:
    members: [lb1, lb2]
    addresses: [{ip: 10.0.0.100, interface: eth0, router_id: 50, home: lb1}]
    redeploy: {package: {name: haproxy, version: "{version}"}}
pools:
  web:
    balancers: [lb1, lb2]
    backends: [web_servers]
    servers: {web1: {}, web2: {}, web3: {}}
    redeploy: {command: {run: "true {version}"}}
"""


class Site:
    """Where the board is served, and how somebody gets in. It may be stopped and started again."""

    def __init__(self, stack: Stack, environment: dict[str, str]) -> None:
        self.stack = stack
        self.clients: list[httpx.Client] = []  # closed at the end
        self._environment = environment
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.base = f"http://127.0.0.1:{self.port}"
        self._log = stack.directory / f"web-{self.port}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Run `winch web`, and wait until it answers."""
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "chatops.cli", "web", "--port", str(self.port)],
                env=self._environment,
                cwd=ROOT,
                stdout=output,
                stderr=output,
            )
        until(self._answers, seconds=60, what=f"winch web answers: see {self._log}")

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text()
        try:
            found = httpx.get(f"{self.base}/login", trust_env=False, timeout=5)
        except httpx.TransportError:
            return False
        return found.status_code == 200

    def stop(self) -> None:
        """Stop it; whoever is connected is cut off."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=30)
            self._process = None

    def token(self, name: str, role: Role, *scopes: str) -> str:
        return create_token(self.stack.store, name, role, scopes, by="test")

    def ask(self, plan: Plan, *, approval: Approval | None = None) -> int:
        """Write a run that alice asks for, of pool web."""
        run_id = self.stack.engine.create_run(
            plan,
            requested_by="http:alice",
            reason="CVE-2026-1234",
            scope="pool:web",
            asker="http:alice",
            approval=approval,
        )
        self.stack.engine.advance(run_id)
        return run_id

    def client(self, **more: Any) -> httpx.Client:
        made = httpx.Client(base_url=self.base, timeout=30, trust_env=False, **more)
        self.clients.append(made)
        return made


@contextmanager
def serving(stack: Stack, **environment: str) -> Iterator[Site]:
    """Serve the board of a stack by a real `winch web`, on a free port."""
    fleet = stack.directory / "fleet.yaml"
    fleet.write_text(FLEET)
    served = Site(
        stack,
        {
            **stack.environment,
            "WINCH_FLEET": str(fleet),
            "WINCH_FLOWER_URL": "http://127.0.0.1:5555",
            **environment,
        },
    )
    try:
        served.start()
        yield served
    finally:
        for client in served.clients:
            client.close()
        served.stop()
