"""What is wrong with a new nginx or its configuration, by the real command: the old one serves."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.kit.fixtures import stack
from tests.kit.stack import Stack
from tests.lab.load import Ab
from tests.lab.nginx_edge import Edge, edge, module_edge, steps_of, version_on_disk
from tests.lab.nginx_upgrade import NEW, OLD
from tests.lab.nginx_ways import Downloads, healthy
from tests.lab.test_roll import said
from tests.needs import needs_program

__all__ = ["edge", "module_edge", "stack"]

# An executable that passes every test as nginx does, and crashes when it is to serve.
_CRASHES = """
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
const char *version = "nginx version: nginx/1.26.3\\nconfigure arguments:";
int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++)
        if (argv[i][0] == '-' && argv[i][1] && strchr("tTvV", argv[i][1]))
            execv("/root/real-nginx", argv);
    abort();
}
"""
# True as soon as only the new version accepts, while the old master still lives.
ONLY_NEW = "old=$(cat /run/nginx.pid.oldbin 2>/dev/null) && ! pgrep -P $old -f 'worker process *$'"


@contextmanager
def serving_all_the_time(edge: Edge, version: str) -> Iterator[None]:
    """Nothing is lost, and then that version alone serves on web1, and can be reloaded."""
    web = edge.webs[0]
    with Ab(f"http://{web.address}/") as load, Downloads(web) as downloads:
        yield
    assert load.result.complete > 100
    assert load.result.lost == 0, load.result.output
    assert downloads.broken == []
    assert version_on_disk(web) == version
    healthy(web, version)


def upgrade(edge: Edge, stack: Stack, binary: Path, **group: Any) -> tuple[int, dict[str, Any]]:
    """Upgrade web1. Returns the exit code and the run's document."""
    fleet = edge.fleet(hosts=["web1"], **group)
    stack.worker()
    words = ("nginx", "upgrade", "edge", "--binary", str(binary), "--fleet", fleet, "--yes")
    done = stack.winch(*words, "--json")
    assert done.stdout, said(done)
    return done.returncode, json.loads(done.stdout)


def test_a_binary_that_crashes_at_start(edge: Edge, stack: Stack, tmp_path: Path) -> None:
    needs_program("gcc")
    source, binary = tmp_path / "crashes.c", tmp_path / "nginx"
    source.write_text(_CRASHES)
    subprocess.run(["gcc", "-o", binary, source], check=True)
    edge.webs[0].write_file("/root/real-nginx", edge.binary.read_bytes(), mode=0o755)

    with serving_all_the_time(edge, OLD):
        code, document = upgrade(edge, stack, binary)

    assert code == 8
    assert "exited on signal 6" in document["hosts"][0]["detail"]


def test_a_binary_that_fails_its_test(edge: Edge, stack: Stack, tmp_path: Path) -> None:
    binary = tmp_path / "nginx"
    binary.write_bytes(edge.binary.read_bytes().replace(b"\0gunzip\0", b"\0gunz1p\0"))
    edge.webs[0].write_file("/etc/nginx/conf.d/gunzip.conf", "gunzip on;\n")
    try:
        with serving_all_the_time(edge, OLD):
            code, document = upgrade(edge, stack, binary)
    finally:
        edge.webs[0].sh("rm /etc/nginx/conf.d/gunzip.conf")

    assert code == 3
    assert 'unknown directive "gunzip"' in document["detail"]
    assert {status for _, status in steps_of(document, "web1")} == {"cancelled"}
    assert "winch-" not in edge.webs[0].sh("ls /usr/sbin")


@pytest.mark.parametrize("when", ["at once", "in the soak"])
def test_a_version_that_starts_and_answers_500(edge: Edge, stack: Stack, when: str) -> None:
    web = edge.webs[0]
    app = "/etc/nginx/conf.d/app.conf"
    web.write_file(
        "/etc/nginx/conf.d/0.conf", "map $nginx_version $new { default 0; ~^1\\.26 1; }\n"
    )
    answers = "location = /probed { if (-f /srv/bad$new) { return 500; } return 200; }"
    web.sh(f"cp {app} /root/app.conf; sed -i 's,server_tokens off;,&{answers},' {app}")
    web.sh("systemctl reload nginx")
    if when == "at once":
        web.sh("touch /srv/bad1")
    bad = {"command": {"run": f"{ONLY_NEW} && touch /srv/bad1 || :"}}
    verify = [{"http": {"url": "http://{address}/probed", "attempts": 2, "interval": "100ms"}}]
    try:
        with serving_all_the_time(edge, OLD):
            code, document = upgrade(edge, stack, edge.binary, verify=[bad, *verify])
    finally:
        web.sh(f"cp /root/app.conf {app}; rm -f /srv/bad* /etc/nginx/conf.d/0.conf")
        web.sh("systemctl reload nginx")

    assert code == 8, document
    assert "status 500" in document["hosts"][0]["detail"]
    steps = dict(steps_of(document, "web1"))
    # While both versions accept, a probe meets either of them.
    failed = ("probe.verify", "nginx.soak") if when == "at once" else ("nginx.soak",)
    assert any(name in document["detail"] for name in failed)
    assert steps["nginx.unstage"] == "succeeded"
    (restored,) = [
        step["detail"] for step in document["hosts"][0]["steps"] if step["name"] == "nginx.quit_new"
    ]
    assert "restored" in restored
    print(restored)


def test_a_configuration_that_is_broken_on_the_disk(edge: Edge, stack: Stack) -> None:
    web = edge.webs[0]
    web.write_file("/etc/nginx/conf.d/broken.conf", "nonsense on;\n")
    before = web.sh("pgrep -x nginx")
    fleet = edge.fleet(hosts=["web1"])
    stack.worker()
    words = ("nginx", "upgrade", "edge", "--binary", str(edge.binary), "--fleet", fleet, "--yes")
    with Ab(f"http://{web.address}/") as load:
        refused = stack.winch(*words, "--json")

    assert refused.returncode == 3
    document = json.loads(refused.stdout)
    assert "broken, for the running 1.22.1 too" in document["detail"]
    assert web.sh("pgrep -x nginx") == before
    assert load.result.lost == 0
    web.sh("rm /etc/nginx/conf.d/broken.conf")
    retried = stack.winch("retry", str(document["id"]))
    assert retried.returncode == 0, said(retried)
    assert stack.ended(document["id"])["status"] == "succeeded"
    healthy(web, NEW)


def test_a_configuration_that_breaks_in_the_soak_goes_back_before_quit(
    edge: Edge, stack: Stack
) -> None:
    web = edge.webs[0]
    breaks = f"{ONLY_NEW} && echo 'nonsense on;' >/etc/nginx/conf.d/broken.conf || :"
    (master,) = web.sh("cat /run/nginx.pid").split()

    with Ab(f"http://{web.address}/") as load:
        code, document = upgrade(edge, stack, edge.binary, verify=[{"command": {"run": breaks}}])

    web.sh("rm /etc/nginx/conf.d/broken.conf")
    assert code == 8, document
    assert "expected `systemctl reload nginx.service` to work" in document["hosts"][0]["detail"]
    assert load.result.lost == 0
    assert web.sh("cat /run/nginx.pid") == master  # it has never been away
    healthy(web, OLD)


def test_a_leftover_oldbin(edge: Edge, stack: Stack) -> None:
    edge.webs[0].write_file("/run/nginx.pid.oldbin", "4000000\n")

    with serving_all_the_time(edge, NEW):
        code, document = upgrade(edge, stack, edge.binary)

    assert (code, document["status"]) == (0, "succeeded")


def test_one_host_that_would_refuse_keeps_the_first_one_from_being_touched(
    edge: Edge, stack: Stack
) -> None:
    web1, web2 = edge.webs
    web2.sh("echo 'nonsense on;' >/etc/nginx/conf.d/broken.conf")
    fleet = edge.fleet()
    stack.worker()
    words = ("nginx", "upgrade", "edge", "--binary", str(edge.binary), "--fleet", fleet, "--yes")
    try:
        refused = stack.winch(*words, "--json")
        planned = stack.winch("plan", "nginx.upgrade", *words[2:-1], "--json")
        done = stack.winch(*words, "--exclude", "web2", "--json")
    finally:
        web2.sh("rm /etc/nginx/conf.d/broken.conf")

    assert refused.returncode == 3
    detail = json.loads(refused.stdout)["detail"]
    assert "web2: not upgraded to nginx 1.26.3: the configuration on the disk is broken" in detail
    assert "leave 1 of 2 out by `--exclude web2`" in detail
    assert planned.returncode == 3
    assert "`--exclude web2`" in json.loads(planned.stdout)["problems"][0]
    assert done.returncode == 0, said(done)
    assert edge.versions() == [("steady", [NEW]), ("steady", [OLD])]
    healthy(web1, NEW)
