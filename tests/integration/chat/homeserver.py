"""A real Matrix homeserver: Synapse with SQLite, on loopback."""

from __future__ import annotations

import hashlib
import hmac
import importlib.util
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import yaml

from tests.integration.cli.conftest import free_ports
from tests.kit.stack import until
from tests.needs import in_ci

_SECRET = "only for tests"  # noqa: S105
_FAST = {"per_second": 1000, "burst_count": 1000}


def needs_synapse() -> None:
    """Skip (in CI: fail) where Synapse is not installed."""
    if importlib.util.find_spec("synapse") is None:
        message = "needs Synapse: pip install matrix-synapse"
        if in_ci():
            pytest.fail(message, pytrace=False)
        pytest.skip(message)


class Person:
    """Somebody with an account, by the client-server API."""

    def __init__(self, url: str, user: str, token: str) -> None:
        self.user = user
        self.token = token
        self._http = httpx.Client(
            base_url=f"{url}/_matrix/client/v3",
            headers={"Authorization": f"Bearer {token}"},
            timeout=30.0,
        )

    def call(self, method: str, path: str, **data: Any) -> dict[str, Any]:
        answer = self._http.request(method, path, json=data if method != "GET" else None)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def create_room(self, *invite: str, **more: Any) -> str:
        made = self.call("POST", "/createRoom", invite=list(invite), preset="private_chat", **more)
        return str(made["room_id"])

    def join(self, room: str) -> None:
        self.call("POST", f"/join/{quote(room)}")

    def members(self, room: str) -> list[str]:
        return list(self.call("GET", f"/rooms/{quote(room)}/joined_members")["joined"])

    def write(self, room: str, text: str, **more: Any) -> str:
        """Write a message. Returns its event's id."""
        path = f"/rooms/{quote(room)}/send/m.room.message/{uuid.uuid4().hex}"
        sent = self.call("PUT", path, msgtype="m.text", body=text, **more)
        return str(sent["event_id"])

    def events(self, room: str) -> list[dict[str, Any]]:
        """The room's messages, the oldest first."""
        found = self.call("GET", f"/rooms/{quote(room)}/messages?dir=b&limit=500")["chunk"]
        return [event for event in reversed(found) if event["type"] == "m.room.message"]

    def answer_to(self, room: str, event: str) -> str:
        """Wait for the answer to a message; its text."""

        def look() -> str:
            for one in self.events(room):
                relation = one["content"].get("m.relates_to", {})
                if (
                    relation.get("m.in_reply_to", {}).get("event_id") == event
                    and "rel_type" not in relation
                ):
                    return str(one["content"]["body"])
            return ""

        return until(look, seconds=30, what=f"an answer to {event}", every=0.1)

    def ask(self, room: str, text: str) -> str:
        return self.answer_to(room, self.write(room, text))

    def close(self) -> None:
        self._http.close()


class Homeserver:
    """Synapse, running."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._people: list[Person] = []

    def register(self, name: str, password: str = "correct horse") -> Person:  # noqa: S107
        path = f"{self.url}/_synapse/admin/v1/register"
        nonce = httpx.get(path, timeout=30).json()["nonce"]
        text = "\0".join((nonce, name, password, "notadmin"))
        mac = hmac.new(_SECRET.encode(), text.encode(), hashlib.sha1).hexdigest()
        body = {
            "nonce": nonce, "username": name, "password": password, "admin": False, "mac": mac
        }  # fmt: skip
        made = httpx.post(path, json=body, timeout=30)
        assert made.status_code == 200, made.text
        person = Person(self.url, made.json()["user_id"], made.json()["access_token"])
        self._people.append(person)
        return person

    def close(self) -> None:
        for person in self._people:
            person.close()


@contextmanager
def homeserver(directory: Path) -> Iterator[Homeserver]:
    """Run Synapse in a directory."""
    needs_synapse()
    (port,) = free_ports(1)
    config = {
        "server_name": "chat.test",
        "pid_file": str(directory / "pid"),
        "listeners": [
            {
                "port": port,
                "type": "http",
                "tls": False,
                "bind_addresses": ["127.0.0.1"],
                "resources": [{"names": ["client"]}],
            }
        ],
        "database": {"name": "sqlite3", "args": {"database": str(directory / "hs.db")}},
        "log_config": str(directory / "log.yaml"),
        "media_store_path": str(directory / "media"),
        "signing_key_path": str(directory / "signing.key"),
        "registration_shared_secret": _SECRET,
        "macaroon_secret_key": "m",
        "form_secret": "f",
        "report_stats": False,
        "trusted_key_servers": [],
        "federation_domain_whitelist": [],
        "rc_message": _FAST,
        "rc_login": {"address": _FAST, "account": _FAST, "failed_attempts": _FAST},
        "rc_joins": {"local": _FAST, "remote": _FAST},
        "rc_invites": {"per_room": _FAST, "per_user": _FAST, "per_issuer": _FAST},
    }
    log = {"version": 1, "root": {"level": "WARNING"}, "disable_existing_loggers": False}
    (directory / "log.yaml").write_text(yaml.safe_dump(log))
    (directory / "hs.yaml").write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "synapse.app.homeserver", "-c", str(directory / "hs.yaml")]
    subprocess.run([*command, "--generate-keys"], check=True, capture_output=True, timeout=60)
    said = directory / "said"
    with said.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, cwd=directory)
    server = Homeserver(f"http://127.0.0.1:{port}")
    try:
        until(
            lambda: _answers(server.url) or process.poll() is not None,
            seconds=60,
            what="the homeserver",
            every=0.1,
        )
        assert process.poll() is None, said.read_text()
        yield server
    finally:
        server.close()
        process.terminate()
        process.wait(30)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/_matrix/client/versions", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False
