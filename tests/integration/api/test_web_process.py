"""`winch web` and `winch token`, as a supervisor and an operator use them."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from tests.kit.api import FLEET, write
from tests.kit.plans import Work
from tests.kit.stack import ROOT, Stack, until


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def web(stack: Stack, **environment: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    port = free_port()
    fleet = write(stack.directory / "fleet.yaml", FLEET)
    process = subprocess.Popen(
        [sys.executable, "-m", "chatops.cli", "web", "--port", str(port)],
        env={**stack.environment, "WINCH_FLEET": str(fleet), **environment},
        cwd=ROOT,
        stderr=subprocess.PIPE,
    )
    base = f"http://127.0.0.1:{port}/api/v1"

    def answers() -> bool:
        try:
            return httpx.get(f"{base}/healthz", trust_env=False).status_code == 200
        except httpx.TransportError:
            assert process.poll() is None, process.stderr and process.stderr.read().decode()
            return False

    try:
        until(answers, seconds=60, what="winch web answers")
        yield process, base
    finally:
        process.kill()
        process.communicate(timeout=20)


def test_a_token_is_made_used_listed_and_revoked(stack: Stack) -> None:
    made = stack.winch("token", "create", "ci", "--role", "viewer", "--scope", "pool:web,pair:*")
    assert made.returncode == 0, made.stderr
    token = made.stdout.strip()
    assert token.startswith("winch_")
    again = stack.winch("token", "create", "ci", "--role", "viewer")
    assert again.returncode == 5
    assert "there is a token ci already" in again.stderr
    with web(stack) as (_, base):
        headers = {"Authorization": f"Bearer {token}"}
        assert httpx.get(f"{base}/runs", headers=headers, trust_env=False).status_code == 200
        (known,) = json.loads(stack.winch("token", "list", "--json").stdout)
        assert known["scopes"] == ["pool:web", "pair:*"]
        assert known["used_at"] is not None
        assert token not in stack.winch("token", "list").stdout
        assert stack.winch("token", "revoke", "ci").returncode == 0
        assert httpx.get(f"{base}/runs", headers=headers, trust_env=False).status_code == 401
    assert stack.winch("token", "revoke", "ci").returncode == 5
    verified = stack.winch("audit", "verify")
    assert verified.returncode == 0
    assert "2 lines hold" in verified.stdout
    with (stack.directory / "winch.db").open("rb") as file:
        assert token.encode() not in file.read()


def test_the_server_ends_at_once_although_somebody_watches(stack: Stack, work: Work) -> None:
    run = stack.run(work.plan(["web1"]))
    token = stack.winch("token", "create", "w", "--role", "viewer").stdout.strip()
    with (
        web(stack) as (process, base),
        httpx.stream(
            "GET",
            f"{base}/runs/{run}/events",
            headers={"Authorization": f"Bearer {token}"},
            trust_env=False,
            timeout=30,
        ) as answer,
    ):
        lines = answer.iter_lines()
        until(lambda: next(lines).startswith("event: snapshot"), what="the snapshot")
        process.send_signal(signal.SIGTERM)
        list(lines)  # the stream ends
        assert process.wait(timeout=8) in (0, -signal.SIGTERM)


def test_an_address_that_is_taken_and_a_wrong_access_file_are_one_line(stack: Stack) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        said = stack.winch("web", "--port", str(taken.getsockname()[1]))
    assert said.returncode == 1
    assert "cannot serve on 127.0.0.1:" in said.stderr.splitlines()[-1]
    access = write(stack.directory / "access.yaml", "people:\n  a: {role: king}\n")
    said = stack.winch("web", "--port", "1", WINCH_ACCESS=str(access))
    assert said.returncode == 5
    assert "access.yaml:2: people.a.role: must be 'viewer', 'operator' or 'admin'" in said.stderr
