"""Reloads of HAProxy on whole hosts, asked for by the real command line, done by a real worker."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kit.stack import Stack
from tests.lab import haproxy
from tests.lab.farm import Farm, build_farm
from tests.lab.host import LabHost
from tests.lab.load import Ab, Download
from tests.lab.topology import Lab
from tests.lab.waiting import wait_for
from tests.needs import needs_nspawn, needs_program
from workflows.fleet import load_fleet
from workflows.jobs import plan_job
from workflows.options import Options

pytestmark = pytest.mark.lab

STEPS = [
    "haproxy.preflight",
    "haproxy.save_state",
    "haproxy.install_config",
    "haproxy.reload",
    "haproxy.restore_state",
]
RELOADS = {"bookworm": 30, "trixie": 8}


@pytest.fixture(scope="module")
def site(request: pytest.FixtureRequest) -> Iterator[Farm]:
    """One balancer (2.6; on trixie 3.0) before three servers."""
    needs_nspawn()
    needs_program("ab")
    with Lab(getattr(request, "param", "bookworm")) as lab:
        yield build_farm(lab, balancers=1, servers=3, limit_rate="400k")


on_both = pytest.mark.parametrize("site", ["bookworm", "trixie"], indirect=True)


@pytest.fixture
def farm(site: Farm) -> Farm:
    site.reset()
    site.balancers[0].sh(f"rm -f {haproxy.CONFIG}.winch-*")
    return site


def reload(stack: Stack, fleet: Path, *more: str) -> tuple[int, dict[str, Any]]:
    """Run `winch haproxy reload lb1` to its end; its exit code and what became of it."""
    arguments = ["haproxy", "reload", "lb1", "--fleet", str(fleet), "--yes", "--json", *more]
    done: subprocess.CompletedProcess[str] = stack.winch(*arguments)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def detail(document: dict[str, Any], name: str) -> str:
    steps = document["hosts"][0]["steps"]
    return next(step["detail"] for step in steps if step["name"] == name)


def requests_of(server: LabHost) -> int:
    """Requests of clients that a server has logged; health checks ask for /health."""
    return int(server.sh("grep -c '\"GET / ' /var/log/nginx/access.log || true"))


def worker(balancer: LabHost) -> str:
    text = haproxy.runtime(balancer, "show proc", haproxy.MASTER_SOCKET)
    match = re.search(r"# workers\n(\d+)", text)
    return match[1] if match else ""


@on_both
def test_reloads_without_end_lose_no_request_and_a_drained_server_gets_none(
    farm: Farm, stack: Stack
) -> None:
    balancer, out = farm.balancers[0], farm.servers[0]
    fleet = farm.fleet()
    stack.worker()
    done = stack.winch("drain", "web", "web1", "--fleet", str(fleet), "--yes")
    assert done.returncode == 0, done.stderr
    # Drained rather than in maintenance: the state in which HAProxy has more to forget.
    haproxy.runtime(balancer, "set server web_servers/web1 state drain")
    haproxy.runtime(balancer, "set weight web_servers/web2 50")
    before, asked = farm.settings(), requests_of(out)
    with Ab(farm.urls[0], concurrency=20) as load:
        for _ in range(RELOADS[farm.lab.suite]):
            # As the command line does, without an interpreter to start each time.
            plan = plan_job(load_fleet(fleet), "haproxy.reload", "lb1", [], Options())
            document = stack.ended(stack.run(plan), seconds=60)
            assert document["status"] == "succeeded", document
    assert load.result.complete > 1000
    assert load.result.lost == 0, load.result
    assert requests_of(out) == asked
    assert farm.settings() == before
    assert [step["name"] for step in document["hosts"][0]["steps"]] == STEPS
    assert "1 servers stayed out (0 requests to them)" in detail(document, "haproxy.reload")


def test_a_new_configuration_is_installed_and_a_roll_goes_on_behind_it(
    farm: Farm, stack: Stack, tmp_path: Path
) -> None:
    balancer = farm.balancers[0]
    fleet = farm.fleet()
    balancer.sh(f"chmod 640 {haproxy.CONFIG}; chown root:haproxy {haproxy.CONFIG}")
    new = tmp_path / "haproxy.cfg"
    new.write_text(farm.haproxy_config + "\nlisten extra\n    bind :8099\n    mode http\n")
    stack.worker()
    with Ab(farm.urls[0]) as load:
        roll = stack.winch("roll", "web", "--fleet", str(fleet), "--set", "version=1.26",
                           "--yes", "--no-wait")  # fmt: skip
        run_id = int(roll.stdout)
        for _ in range(3):
            code, document = reload(stack, fleet, "--config", str(new))
            assert code == 0, document
        ended = stack.ended(run_id, seconds=90)
    assert ended["status"] == "succeeded", ended
    assert load.result.lost == 0, load.result
    assert balancer.read_file(haproxy.CONFIG) == new.read_text()
    assert balancer.sh(f"stat -c %a:%G {haproxy.CONFIG}") == "640:haproxy"
    assert balancer.read_file(f"{haproxy.CONFIG}.winch-old") == farm.haproxy_config
    assert set(farm.versions().values()) == {"1.26"}
    assert {admin for admin, _ in farm.settings().values()} == {0}


def test_what_cannot_be_read_or_bound_changes_nothing(
    farm: Farm, stack: Stack, tmp_path: Path
) -> None:
    balancer = farm.balancers[0]
    fleet = farm.fleet()
    stack.worker()
    serving = worker(balancer)
    broken = tmp_path / "broken.cfg"
    broken.write_text(farm.haproxy_config.replace("balance ", "balanse "))
    code, document = reload(stack, fleet, "--config", str(broken))
    assert code == 3, document
    assert "unknown keyword 'balanse'" in document["detail"]
    assert balancer.read_file(f"{haproxy.CONFIG}.winch-refused") == broken.read_text()
    assert "balanse" in balancer.read_file(f"{haproxy.CONFIG}.winch-refused.err")
    taken = tmp_path / "taken.cfg"
    taken.write_text(farm.haproxy_config + "\nlisten extra\n    bind :22\n    mode http\n")
    code, document = reload(stack, fleet, "--config", str(taken))
    assert code == 3, document
    assert ":22 is taken by another process, s" in document["detail"]  # sshd, or systemd for it
    assert balancer.read_file(haproxy.CONFIG) == farm.haproxy_config
    assert worker(balancer) == serving


@pytest.mark.parametrize(
    ("meanwhile", "said"),
    [
        (lambda file: file.unlink(), "cannot read it (No such file or directory)"),
        (lambda file: file.write_text("global\n"), "expected checksum"),
    ],
    ids=["gone", "another one"],
)
def test_a_file_that_the_worker_does_not_find_as_it_was_asked_for_is_refused_by_name(
    farm: Farm, stack: Stack, tmp_path: Path, meanwhile: Callable[[Path], object], said: str
) -> None:
    balancer = farm.balancers[0]
    serving = worker(balancer)
    file = tmp_path / "new.cfg"
    file.write_text(farm.haproxy_config + "\n# new\n")
    asked = stack.winch(
        "haproxy", "reload", "lb1", "--fleet", str(farm.fleet()), "--config", str(file), "--no-wait"
    )
    assert asked.returncode == 0, asked.stderr
    meanwhile(file)
    stack.worker()
    document = stack.ended(int(asked.stdout))
    assert document["exit_code"] == 3, document
    assert said in document["detail"]
    assert str(file) in document["detail"]
    assert socket.gethostname() in document["detail"], "which machine's file is meant"
    assert balancer.read_file(haproxy.CONFIG) == farm.haproxy_config
    assert balancer.sh(f"ls {haproxy.CONFIG}.winch-* 2> /dev/null || true") == ""
    assert worker(balancer) == serving
    assert [c for c in stack.commands(document["id"]) if c["changes"]] == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file or directory"),
        ("", "is no configuration of HAProxy"),
        ("x" * 1_100_000, "can be sent"),
    ],
    ids=["absent", "empty", "too large"],
)
def test_a_file_that_cannot_be_a_configuration_is_wrong_usage_and_no_run(
    farm: Farm, stack: Stack, tmp_path: Path, content: str | None, said: str
) -> None:
    file = tmp_path / "new.cfg"
    if content is not None:
        file.write_text(content)
    asked = stack.winch(
        "haproxy", "reload", "lb1", "--fleet", str(farm.fleet()), "--config", str(file), "--yes"
    )
    assert asked.returncode == 5, asked.stderr
    assert said in asked.stderr
    assert str(file) in asked.stderr
    assert json.loads(stack.winch("runs", "--json").stdout) == []


@on_both
def test_a_reload_that_fails_brings_the_old_file_back_and_the_drain_holds(
    farm: Farm, stack: Stack, tmp_path: Path
) -> None:
    balancer = farm.balancers[0]
    fleet = farm.fleet()
    stack.worker()
    # journald drops what a unit says above its rate, and HAProxy has logged a lot of requests.
    balancer.sh("systemctl restart systemd-journald")
    # A variable hides the bind from the look before the reload.
    balancer.sh("mkdir -p /etc/systemd/system/haproxy.service.d && printf '[Service]\\n"
                "Environment=SPARE=22\\n' > /etc/systemd/system/haproxy.service.d/spare.conf && "
                "systemctl daemon-reload && systemctl restart haproxy")  # fmt: skip
    wait_for(lambda: haproxy.stat(balancer), "HAProxy answers")
    haproxy.runtime(balancer, "set server web_servers/web1 state drain")
    asked = requests_of(farm.servers[0])
    bad = tmp_path / "bad.cfg"
    bad.write_text(farm.haproxy_config + '\nlisten extra\n    bind ":${SPARE}"\n    mode http\n')
    code, document = reload(stack, fleet, "--config", str(bad))
    assert code == 8, document
    assert document["status"] == "rolled_back"
    assert balancer.read_file(haproxy.CONFIG) == farm.haproxy_config
    assert balancer.read_file(f"{haproxy.CONFIG}.winch-refused") == bad.read_text()
    assert "cannot bind" in balancer.read_file(f"{haproxy.CONFIG}.winch-refused.err")
    assert farm.settings()["lb1 web_servers/web1"][0] == 8
    assert requests_of(farm.servers[0]) == asked
    with Ab(farm.urls[0]) as load:
        wait_for(lambda: requests_of(farm.servers[1]) > 0, "it serves")
    assert load.result.lost == 0


def test_a_download_through_the_old_worker_is_reported_and_not_broken(
    farm: Farm, stack: Stack
) -> None:
    fleet = farm.fleet()
    stack.worker()
    download = Download(farm.balancers[0].address).start()
    wait_for(lambda: download.begun, "the download has begun")
    old = worker(farm.balancers[0])
    code, document = reload(stack, fleet)
    assert code == 0, document
    assert f"old workers that have not left: {old} with 1 sessions" in detail(
        document, "haproxy.restore_state"
    )
    download.wait()
    assert download.complete, download


def test_a_directory_of_fragments_is_checked_whole_and_one_file_of_it_replaced(
    farm: Farm, stack: Stack, tmp_path: Path
) -> None:
    balancer = farm.balancers[0]
    balancer.sh("mkdir -p /etc/haproxy/conf.d && cp /etc/default/haproxy /root/default && echo "
                "'EXTRAOPTS=\"-S /run/haproxy-master.sock -f /etc/haproxy/conf.d\"' "
                ">> /etc/default/haproxy")  # fmt: skip
    fragment = "/etc/haproxy/conf.d/10-extra.cfg"
    text = "listen extra\n    bind :8098\n    mode http\n    server one 127.0.0.1:1\n"
    balancer.write_file(fragment, text)
    balancer.sh("systemctl restart haproxy")
    try:
        wait_for(lambda: haproxy.stat(balancer), "HAProxy answers")
        stack.worker()
        haproxy.runtime(balancer, "set server extra/one state maint")
        new = tmp_path / "10-extra.cfg"
        new.write_text(text.replace(":8098", ":8097"))
        code, document = reload(stack, farm.fleet(), "--config", str(new), "--replaces", fragment)
        assert code == 0, document
        assert balancer.read_file(fragment) == new.read_text()
        assert haproxy.servers_state(balancer)["extra/one"].admin == 1
        new.write_text("listen web_servers\n    bind :8097\n    mode http\n    balanse x\n")
        code, document = reload(stack, farm.fleet(), "--config", str(new), "--replaces", fragment)
        assert code == 3, document
    finally:
        balancer.sh("cp /root/default /etc/default/haproxy; rm -r /etc/haproxy/conf.d; "
                    "systemctl restart haproxy")  # fmt: skip
