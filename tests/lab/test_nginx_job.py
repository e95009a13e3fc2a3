"""nginx upgraded over a group, asked for by the real command line, done by real workers."""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.kit.fixtures import stack
from tests.kit.stack import Stack, until
from tests.lab import haproxy
from tests.lab.host import LabHost
from tests.lab.load import Ab, Download, KeepAlive
from tests.lab.nginx_edge import CONTRACT, Edge, edge, module_edge, steps_of, version_on_disk
from tests.lab.nginx_origins import Release
from tests.lab.nginx_upgrade import NEW, OLD
from tests.lab.test_roll import said
from tests.needs import needs_program

__all__ = ["edge", "module_edge", "stack"]


def test_an_uploaded_binary_serves_and_the_old_one_comes_back_without_a_lost_request(
    edge: Edge, stack: Stack
) -> None:
    fleet = edge.fleet()
    stack.worker()
    web = edge.webs[0]
    with ExitStack() as running:
        downloads = [Download(one.address).start() for one in edge.webs]
        until(lambda: all(download.begun for download in downloads), what="downloads have begun")
        loads = [running.enter_context(Ab(f"http://{one.address}/")) for one in edge.webs]
        words = ("nginx", "upgrade", "edge", "--binary", str(edge.binary), "--fleet", fleet)
        done = stack.winch(*words, "--yes", "--json")
        assert done.returncode == 0, said(done)
        document = json.loads(done.stdout)
        assert document["vars"]["version"] == NEW
        for host in ("web1", "web2"):
            assert steps_of(document, host) == [(name, "succeeded") for name in CONTRACT]
        assert edge.versions() == [("steady", [NEW])] * 2
        status = stack.winch("nginx", "status", "edge", "--fleet", fleet, "--json")
        assert status.returncode == 0, status.stderr
        seen = json.loads(status.stdout)["hosts"]
        assert [(one["phase"], one["versions"], one["on_disk"]) for one in seen] == (
            [("steady", [NEW], NEW)] * 2
        )
        assert web.main_pid("nginx") == seen[0]["masters"][0]["pid"]

        again = stack.winch(*words, "--yes")
        assert again.returncode == 3, said(again)
        assert "runs already" in again.stdout + again.stderr

        back = stack.winch("nginx", "rollback", "edge", "--fleet", fleet, "--yes", "--json")
        assert back.returncode == 0, said(back)
        assert edge.versions() == [("steady", [OLD])] * 2
        assert [version_on_disk(one) for one in edge.webs] == [OLD, OLD]
        for download in downloads:
            download.wait()
            assert download.complete, download
    for load in loads:
        assert load.result.complete > 500
        assert load.result.lost == 0, load.result
    assert "Active: active (running)" in web.sh("systemctl status nginx --no-pager")


def test_a_plan_says_what_is_uploaded_and_done_and_touches_nothing(
    edge: Edge, stack: Stack
) -> None:
    words = ("nginx.upgrade", "edge", "--binary", str(edge.binary), "--fleet", edge.fleet())
    done = stack.winch("plan", *words, "--json")
    assert done.returncode == 0, done.stderr + done.stdout
    document = json.loads(done.stdout)
    upload, preflight = document["before"]
    assert preflight["name"] == "nginx.preflight_group"
    assert preflight["commands"][0].endswith("nginx -T  # when it is there")
    assert [line.split(" to ")[0] for line in upload["commands"]] == [
        f"{host}: upload {edge.binary}" for host in ("web1", "web2")
    ]
    assert [step["name"] for step in document["hosts"][0]["steps"]] == CONTRACT
    assert not edge.webs[0].exists("/var/lib/winch")
    shown = stack.winch("plan", *words)
    assert "before\n  nginx.upload_binary" in shown.stdout


def test_drained_first_a_client_behind_the_balancer_that_never_repeats_loses_nothing(
    edge: Edge, stack: Stack
) -> None:
    fleet = edge.fleet(drain=True)
    before = {name: s.settings for name, s in haproxy.servers_state(edge.balancer).items()}
    stack.worker()
    with ExitStack() as running:
        address = edge.balancer.address
        clients = [running.enter_context(KeepAlive(address, pause=0.001)) for _ in range(8)]
        for command in (
            ("upgrade", "edge", "--binary", str(edge.binary)),
            ("rollback", "edge"),
        ):
            done = stack.winch("nginx", *command, "--fleet", fleet, "--yes", "--json")
            assert done.returncode == 0, said(done)
            if command[0] == "upgrade":
                names = [name for name, _ in steps_of(json.loads(done.stdout), "web1")]
                assert names[:3] == ["nginx.preflight", "haproxy.drain", "nginx.stage"]
                assert names[6:8] == ["haproxy.enable", "nginx.soak"]
                assert edge.versions() == [("steady", [NEW])] * 2
    assert edge.versions() == [("steady", [OLD])] * 2
    assert sum(client.counts.ok for client in clients) > 1000
    assert sum(client.counts.lost for client in clients) == 0, [c.counts for c in clients]
    after = {name: s.settings for name, s in haproxy.servers_state(edge.balancer).items()}
    assert after == before


def test_a_new_version_that_fails_its_probe_goes_back_and_nobody_else_is_touched(
    edge: Edge, stack: Stack
) -> None:
    never = {"run": "test {version} = 9.9.9", "attempts": 2, "interval": "50ms"}
    fleet = edge.fleet(verify=[{"command": never}])
    stack.worker()
    words = ("nginx", "upgrade", "edge", "--binary", str(edge.binary), "--fleet", fleet)
    with Ab(f"http://{edge.webs[0].address}/") as load:
        done = stack.winch(*words, "--yes", "--json")
    document = json.loads(done.stdout)
    assert done.returncode == 8, said(done)
    assert [h["status"] for h in document["hosts"]] == ["rolled_back", "cancelled"]
    assert "probe.verify" in document["detail"]
    assert edge.versions() == [("steady", [OLD])] * 2
    assert version_on_disk(edge.webs[0]) == OLD
    assert load.result.lost == 0, load.result
    assert {name for name, status in steps_of(document, "web2")} == set(CONTRACT)
    assert {status for name, status in steps_of(document, "web2")} == {"cancelled"}


def test_a_host_that_does_not_answer_is_found_before_the_first_one_is_touched(
    edge: Edge, stack: Stack
) -> None:
    edge.webs[1].kill()
    stack.worker()
    words = ("nginx", "upgrade", "edge", "--binary", str(edge.binary), "--fleet", edge.fleet())
    done = stack.winch(*words, "--yes", "--json")
    assert done.returncode == 4, said(done)
    assert "web2" in json.loads(done.stdout)["detail"]
    assert not edge.webs[0].exists("/var/lib/winch")
    status = stack.winch("nginx", "status", "edge", "--fleet", edge.fleet())
    assert status.returncode == 4
    assert "steady" in status.stdout
    assert "not known" in status.stdout


def test_it_waits_for_an_approval_and_then_ends(edge: Edge, stack: Stack) -> None:
    fleet = edge.fleet(hosts=["web1"], policy={"lock_wait": "1s"})
    stack.worker()
    words = ("nginx", "upgrade", "edge", "--binary", str(edge.binary), "--fleet", fleet)
    done = stack.winch(*words, "--confirm", "manual", "--yes", "--no-wait")
    assert done.returncode == 0, said(done)
    run = int(done.stdout)
    until(lambda: stack.step(run, "web1", "nginx.soak")["status"] == "waiting")
    until(lambda: "approval" in str(stack.document(run)["hosts"]), what="it waits for approval")
    status = stack.winch("nginx", "status", "edge", "--fleet", fleet)
    assert status.returncode == 2
    assert f"{OLD} → {NEW}" in status.stdout
    assert edge.versions()[0] == ("old master idle", [OLD, NEW])
    other = stack.winch(*words, "--yes")  # what is under way is the first run's: it has the lease
    assert other.returncode == 6, said(other)
    assert stack.winch("approve", str(run)).returncode == 0
    assert stack.ended(run)["status"] == "succeeded"
    assert edge.versions()[0] == ("steady", [NEW])


def test_out_of_a_package_comes_the_binary_and_none_of_its_scripts_run(
    edge: Edge, stack: Stack, tmp_path: Path
) -> None:
    deb = Release(tmp_path).package("nginx")
    version = deb.name.split("_")[1].replace("%3a", ":")
    (web,) = edge.webs[:1]
    web.write_file(f"/srv/repo/{deb.name}", deb.read_bytes())
    web.write_file("/srv/repo/Packages", _packages(deb, web))
    web.sh("rm -f /etc/apt/sources.list.d/*")
    web.write_file("/etc/apt/sources.list", "deb [trusted=yes] file:/srv/repo ./\n")
    status = web.sh("dpkg-query -W nginx; systemctl show -p ActiveEnterTimestamp nginx")
    fleet = edge.fleet(hosts=["web1"])
    stack.worker()
    words = ("nginx", "upgrade", "edge", "--fleet", fleet, "--yes", "--json")
    unknown = stack.winch(*words, "--package", "1.99")
    assert unknown.returncode == 3, said(unknown)
    detail = json.loads(unknown.stdout)["detail"]
    assert "its package sources have no nginx 1.99; they have nginx" in detail
    done = stack.winch(*words, "--package", "1.26")
    assert done.returncode == 0, said(done)
    assert edge.versions()[0] == ("steady", [NEW])
    assert web.read_file("/var/lib/winch/nginx/package-1.26/nginx.package").strip() == (
        f"nginx={version}"
    )
    assert web.sh("dpkg-query -W nginx; systemctl show -p ActiveEnterTimestamp nginx") == status


def _packages(deb: Path, host: LabHost) -> str:
    fields = host.run("dpkg-deb", "-f", f"/srv/repo/{deb.name}").stdout.strip()
    size = deb.stat().st_size
    digest = host.sh(f"sha256sum <'/srv/repo/{deb.name}'").split()[0]
    return f"{fields}\nFilename: ./{deb.name}\nSize: {size}\nSHA256: {digest}\n"


HEADERS = {
    "pcre2.h": "libpcre2-dev",
    "zlib.h": "zlib1g-dev",
    "openssl/ssl.h": "libssl-dev",
}
KEPT = Path("/var/lib/winch")
_LEFT_OUT = [  # their libraries are many, and the hosts' configuration does not use them
    "--with-http_geoip_module",
    "--with-http_image_filter_module",
    "--with-http_perl_module",
    "--with-http_xslt_module",
    "--with-stream_geoip_module",
]


@pytest.fixture
def builder() -> Iterator[None]:
    """This machine as a build host; what was not there before goes."""
    needs_program("gcc", "make", "tar")
    codename = platform.freedesktop_os_release().get("VERSION_CODENAME")
    lacking = [p for h, p in HEADERS.items() if not list(Path("/usr/include").rglob(h))]
    if lacking or codename != "bookworm":
        needs_program(f"{' '.join(lacking) or 'Debian 12, as the hosts of the lab,'}")
    before = KEPT.exists()
    try:
        yield
    finally:
        if not before:
            shutil.rmtree(KEPT, ignore_errors=True)


@pytest.mark.timeout(600)  # 35 s on an idle machine; a build gives way to everything else
def test_a_source_is_built_with_the_old_arguments_and_then_serves(
    edge: Edge, stack: Stack, tmp_path: Path, builder: None
) -> None:
    source = Release(tmp_path).source("nginx")
    fleet = Path(edge.fleet(hosts=["web1"]))
    text = fleet.read_text().replace(
        "hosts:\n", "hosts:\n  builder: {address: 127.0.0.1, connection: local}\n", 1
    )
    fleet.write_text(text)
    stack.worker()
    words = ["nginx", "upgrade", "edge", "--build", str(source), "--build-host", "builder"]
    words += [word for name in _LEFT_OUT for word in ("--drop-argument", name)]
    words += ["--fleet", str(fleet), "--yes", "--json"]
    refused = stack.winch(*words, "--add-argument", "--with-no_such_module")
    assert refused.returncode == 3, said(refused)
    detail = json.loads(refused.stdout)["detail"]
    assert "these are not known there: --with-no_such_module" in detail
    assert "--drop-unknown" in detail

    done = stack.winch(*words, seconds=500.0)
    assert done.returncode == 0, said(done)
    assert edge.versions()[0] == ("steady", [NEW])
    pid = edge.webs[0].main_pid("nginx")
    old, new = (
        edge.webs[0].sh(f"{path} -V 2>&1 | grep arguments").split(" --")
        for path in ("/root/nginx.old", f"/proc/{pid}/exe")
    )
    assert [word for word in old if not any(f"--{word}".startswith(n) for n in _LEFT_OUT)] == new
