"""Probes against real servers, from the worker and with the tools of a host."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tasks.probe import from_host, from_worker
from tasks.probe.observation import Observation
from tasks.probe.params import CommandProbe, Http
from tests.integration.deploy.local import LocalHost
from tests.integration.probe.servers import closed_port, http_server, silent_port
from tests.needs import needs_program

Probing = Callable[[Http], Observation]


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with http_server() as port:
        yield port


@pytest.fixture(params=["worker", "curl", "python3", "wget"])
def probing(request: pytest.FixtureRequest) -> Probing:
    if request.param == "worker":
        return from_worker.http
    tool = str(request.param)
    needs_program(tool)
    return lambda probe: from_host.http(LocalHost(), tool, probe)


def wish(port: int, path: str, **more: object) -> Http:
    return Http.model_validate({"url": f"http://127.0.0.1:{port}{path}"} | more)


def test_the_right_status_and_body_pass(port: int, probing: Probing) -> None:
    assert probing(wish(port, "/ok", status=200, contains="v2")) == Observation(True, "status 200")


def test_a_wrong_body_fails_with_an_excerpt(port: int, probing: Probing) -> None:
    observation = probing(wish(port, "/ok", contains="v3"))
    assert observation == Observation(False, "status 200, body 'this is v2 of the app'")


def test_a_wrong_status_fails_with_an_excerpt(port: int, probing: Probing) -> None:
    observation = probing(wish(port, "/broken"))
    assert not observation.passed
    assert observation.seen.startswith("status 500, body 'Traceback: xxx")
    assert len(observation.seen) < 250


def test_redirects_are_not_followed(port: int, probing: Probing) -> None:
    assert probing(wish(port, "/moved", status=302)).passed
    assert probing(wish(port, "/moved")).passed  # 200 to 399
    observation = probing(wish(port, "/moved", status=200))
    assert observation.seen in {
        "status 302, body 'elsewhere'",
        "status 302, empty body",  # wget does not read it
    }


def test_headers_are_sent_and_head_has_no_body(port: int, probing: Probing) -> None:
    tricky = 'it\'s $(x) `y`; "z"'
    observation = probing(wish(port, "/echo", headers={"X-Probe": tricky}, contains=tricky))
    assert observation.passed, observation.seen
    assert probing(wish(port, "/ok", method="HEAD", status=200)).passed
    assert probing(wish(port, "/broken", method="HEAD")).seen.startswith("status 500")


def test_only_the_first_mebibyte_of_a_body_is_read(port: int, probing: Probing) -> None:
    assert probing(wish(port, "/huge", contains="xxxxxx")).passed
    assert not probing(wish(port, "/huge", contains="beyond")).passed


def test_a_closed_port_fails_at_once(probing: Probing) -> None:
    start = time.monotonic()
    observation = probing(wish(closed_port(), "/"))
    assert not observation.passed
    assert time.monotonic() - start < 3


@pytest.mark.parametrize("path", ["/drip", "/drip-headers"])
def test_a_dripping_server_cannot_hold_a_probe_beyond_its_timeout(
    port: int, probing: Probing, path: str
) -> None:
    start = time.monotonic()
    observation = probing(wish(port, path, timeout=0.5))
    assert not observation.passed
    assert time.monotonic() - start < 0.5 + from_host.GRACE_SECONDS + 1


def test_a_server_that_accepts_and_is_silent_fails_in_time(probing: Probing) -> None:
    with silent_port() as port:
        start = time.monotonic()
        assert not probing(wish(port, "/", timeout=0.5)).passed
        assert time.monotonic() - start < 0.5 + from_host.GRACE_SECONDS + 1


def test_the_worker_says_why_a_connection_failed() -> None:
    assert "refused" in from_worker.http(wish(closed_port(), "/")).seen.lower()
    drip = "no complete answer within 0.3 s"
    with silent_port() as port:
        assert from_worker.http(wish(port, "/", timeout=0.3)).seen == drip


def test_a_certificate_that_nobody_knows_fails_unless_told_otherwise(
    tmp_path: Path, probing: Probing
) -> None:
    needs_program("openssl")
    pem = tmp_path / "server.pem"
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    words += ["-nodes", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    key = tmp_path / "key.pem"
    subprocess.run([*words, "-keyout", key, "-out", pem], check=True, capture_output=True)
    pem.write_text(pem.read_text() + key.read_text())
    with http_server(pem) as port:
        url = f"https://127.0.0.1:{port}/ok"
        refused = probing(Http(url=url))
        assert not refused.passed
        assert "certificate" in refused.seen.lower()
        assert probing(Http(url=url, tls_verify=False, contains="v2")).passed


def test_proxies_of_the_environment_are_ignored(
    port: int, probing: Probing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{closed_port()}")
    assert probing(wish(port, "/ok")).passed


def test_tcp_connects_or_says_why(port: int) -> None:
    assert from_worker.tcp("127.0.0.1", port, 1) == Observation(True, "connected")
    assert from_host.tcp(LocalHost(), "127.0.0.1", port, 1) == Observation(True, "connected")
    closed = closed_port()
    assert "refused" in from_worker.tcp("127.0.0.1", closed, 1).seen.lower()
    assert "refused" in from_host.tcp(LocalHost(), "127.0.0.1", closed, 1).seen.lower()


def test_tcp_from_a_host_with_bash_only(port: int, tmp_path: Path) -> None:
    for name in ("sh", "bash", "timeout"):
        (tmp_path / name).symlink_to(needs_program(name))
    host = LocalHost({"PATH": str(tmp_path)})
    assert from_host.tcp(host, "127.0.0.1", port, 1).passed
    refused = from_host.tcp(host, "127.0.0.1", closed_port(), 1)
    assert "refused" in refused.seen.lower()


def test_a_command_is_judged_by_exit_code_and_output() -> None:
    host = LocalHost()
    active = CommandProbe(run="echo active", contains="active")
    assert from_host.command(host, active) == Observation(True, "exit code 0")
    failing = CommandProbe(run="echo inactive; exit 3")
    assert from_host.command(host, failing).seen == "exit code 3, output 'inactive'"
    assert from_host.command(host, CommandProbe(run="exit 3", exit=3)).passed
    slow = CommandProbe(run="sleep 60", timeout=0.2)
    assert from_host.command(host, slow) == Observation(False, "not ended within 0.2 s")
