"""`winch web` serves the networks that the environment configures."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlencode

import httpx
from slack_sdk.signature import SignatureVerifier

from tests.integration.cli.conftest import Machine, free_ports
from tests.kit.stack import until

SECRET = "the signing secret"  # noqa: S105
ACCESS = 'people: {alice: {role: viewer, identities: ["slack:UALICE"]}}\n'


def test_slack_is_answered_with_secrets_from_files(machine: Machine, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    files = {"access": ACCESS, "secret": f"{SECRET}\n", "token": "xoxb-1\n"}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    environment = machine.environment | {
        "WINCH_ACCESS": str(tmp_path / "access"),
        "WINCH_SLACK_SIGNING_SECRET_FILE": str(tmp_path / "secret"),
        "WINCH_SLACK_BOT_TOKEN_FILE": str(tmp_path / "token"),
        "WINCH_SLACK_API_URL": "http://127.0.0.1:9/",
    }
    log = tmp_path / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "chatops.cli", "web", "--port", str(port)],
            env=environment,
            stdout=file,
            stderr=file,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: serves(url) or process.poll() is not None, seconds=60, what="winch web")
        assert process.poll() is None, log.read_text()
        body = urlencode({"command": "/winch", "text": "help", "user_id": "UALICE",
                          "channel_id": "C1", "trigger_id": "1", "team_id": "T1"})  # fmt: skip
        stamp = str(int(time.time()))
        signature = SignatureVerifier(SECRET).generate_signature(timestamp=stamp, body=body)
        headers = {
            "content-type": "application/x-www-form-urlencoded",
            "x-slack-request-timestamp": stamp,
            "x-slack-signature": str(signature),
        }
        answer = httpx.post(f"{url}/chatops/slack", content=body, headers=headers, timeout=20)
        assert answer.status_code == 200
        assert "You are viewer" in answer.json()["text"]
        assert httpx.post(f"{url}/chatops/slack", content=body, timeout=20).status_code == 401
        assert httpx.post(f"{url}/chatops/mattermost", content=body).status_code == 404
        process.terminate()
        # Uvicorn ends as it was told to: by the signal.
        assert process.wait(30) in (0, -15), log.read_text()
    finally:
        process.kill()
        process.wait()
    assert SECRET not in log.read_text()


def serves(url: str) -> bool:
    try:
        return httpx.get(f"{url}/openapi.json", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def test_half_a_configuration_is_refused_before_anything_is_served(machine: Machine) -> None:
    done = machine.winch("web", WINCH_SLACK_SIGNING_SECRET="s")  # noqa: S106
    assert done.returncode == 5
    assert "WINCH_SLACK_BOT_TOKEN is missing" in done.stderr
    done = machine.winch("chat", "matrix")
    assert done.returncode == 5
    assert "WINCH_MATRIX_HOMESERVER" in done.stderr
    done = machine.winch("chat", "slack")
    assert done.returncode == 5
    assert "WINCH_SLACK_APP_TOKEN_FILE" in done.stderr
