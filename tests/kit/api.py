"""The HTTP API of a test's own stack: the app itself, and a real server of it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from chatops.api.app import make_app
from chatops.api.context import Context
from chatops.authorise import Role
from chatops.serving import Server, make_server
from chatops.tokens import create_token
from tests.kit.stack import Stack, until

FLEET = """
hosts:
  lb1: {address: 127.0.0.1, connection: local}
  web1: {address: 127.0.0.1, connection: local}
  web2: {address: 127.0.0.1, connection: local}
  db1: {address: 127.0.0.1, connection: local}
  db2: {address: 127.0.0.1, connection: local}
balancers:
  lb1: {sockets: [/nonexistent/winch.sock]}
pools:
  web:
    balancers: [lb1]
    backends: [web]
    servers: {web1: {}, web2: {}}
    redeploy: {command: {run: "true {version}"}}
  db:
    balancers: [lb1]
    backends: [db]
    servers: {db1: {}, db2: {}}
    redeploy: {command: {run: "true"}}
vars: {version: "1"}
"""


class Api:
    """A real server of the API, and its clients."""

    def __init__(self, stack: Stack, server: Server, base: str) -> None:
        self.stack = stack
        self.server = server
        self.base = base
        self.clients: list[httpx.Client] = []

    @property
    def context(self) -> Context:
        """The parts of the app."""
        found: Context = self.server.config.app.state.winch  # type: ignore[union-attr]
        return found

    def token(self, name: str, role: Role, *scopes: str) -> str:
        return create_token(self.stack.store, name, role, scopes, by="test")

    def client(self, token: str | None = None) -> httpx.Client:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        made = httpx.Client(
            base_url=f"{self.base}/api/v1", headers=headers, timeout=30, trust_env=False
        )
        self.clients.append(made)
        return made

    def as_(self, name: str, role: Role, *scopes: str) -> httpx.Client:
        """A client with a new token."""
        return self.client(self.token(name, role, *scopes))


@contextmanager
def serving(stack: Stack, *, access: str | None = None, **options: Any) -> Iterator[Api]:
    """Serve the API of a stack on a port of its own."""
    app = app_of(stack, access=access, **options)
    server = make_server(app, "127.0.0.1", 0)
    thread = threading.Thread(target=server.run, name="uvicorn", daemon=True)
    thread.start()
    until(lambda: server.started or not thread.is_alive(), what="the server serves")
    port = server.servers[0].sockets[0].getsockname()[1]
    api = Api(stack, server, f"http://127.0.0.1:{port}")
    try:
        yield api
    finally:
        for client in api.clients:
            client.close()
        server.handle_exit(15, None)
        thread.join(timeout=20)


def app_of(
    stack: Stack, *, access: str | None = None, rate_limit: float = 10_000, **more: Any
) -> Any:
    """Make the app of a stack, with the fleet above."""
    fleet = write(stack.directory / "fleet.yaml", FLEET)
    rules = None if access is None else write(stack.directory / "access.yaml", access)
    return make_app(stack.engine, fleet=fleet, access=rules, rate_limit=rate_limit, **more)


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def events_of(lines: Iterator[str]) -> Iterator[tuple[str, str, Any]]:
    """Read server-sent events: id, kind, data."""
    found: dict[str, str] = {}
    for line in lines:
        if not line:
            if "data" in found:
                yield found["id"], found["event"], json.loads(found["data"])
            found = {}
            continue
        key, _, value = line.partition(":")
        found[key] = value.strip()
