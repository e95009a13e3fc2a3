"""`winch nginx rollback` takes the group's newest upgrade back, and no older one by itself."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.fixtures import stack
from tests.kit.stack import ROOT, Stack
from tests.lab import rootfs
from tests.lab.nginx_edge import Edge, edge, module_edge, version_on_disk
from tests.lab.nginx_upgrade import NEW, OLD
from tests.lab.test_roll import said

__all__ = ["edge", "module_edge", "stack"]

NEWER = "1.26.4"  # trixie's once more, under another number


@pytest.fixture
def upgraded(edge: Edge, stack: Stack, tmp_path: Path) -> str:
    """Both hosts went from 1.22.1 to 1.26.3; then web1 alone to 1.26.4. Returns the fleet file."""
    newer = tmp_path / "nginx"
    content = (rootfs.ensure("trixie") / "usr/sbin/nginx").read_bytes()
    newer.write_bytes(content.replace(b"nginx/1.26.3", b"nginx/1.26.4"))
    fleet = edge.fleet(soak="100ms")
    stack.worker()
    for binary, more in ((edge.binary, ()), (newer, ("--limit", "web1"))):
        words = ("nginx", "upgrade", "edge", "--binary", str(binary), "--fleet", fleet, *more)
        done = stack.winch(*words, "--yes", "--json")
        assert done.returncode == 0, said(done)
    assert edge.versions() == [("steady", [NEWER]), ("steady", [NEW])]
    return fleet


def asked(stack: Stack, answer: str, *words: str) -> tuple[int, str]:
    """Give a command at a terminal, and answer its question. Returns exit code and what it said."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "chatops.cli", *words],
        env=stack.environment,
        cwd=ROOT,
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    os.close(theirs)
    os.write(ours, answer.encode())
    output, _ = process.communicate(timeout=120)
    os.close(ours)
    return process.returncode, output


def test_only_what_the_newest_upgrade_reached_goes_back_and_the_question_says_so(
    upgraded: str, edge: Edge, stack: Stack
) -> None:
    words = ("nginx", "rollback", "edge", "--fleet", upgraded)
    goes = f"web1: {NEWER} → {NEW}: the same upgrade with /usr/sbin/nginx.winch-{NEW}"
    stays = f"web2: stays at {NEW}: the newest upgrade of edge did not reach it, an older one came"

    code, text = asked(stack, "n\n", *words)
    assert code != 0
    assert goes in text
    assert stays in text
    assert edge.versions() == [("steady", [NEWER]), ("steady", [NEW])]
    planned = json.loads(stack.winch("plan", "nginx.rollback", *words[2:], "--json").stdout)
    (before,) = planned["before"]
    assert before["commands"][0] == goes
    assert before["commands"][1].startswith(stays)
    assert [step["commands"] for step in planned["hosts"][1]["steps"][:3]] == [[], [], []]

    code, text = asked(stack, "y\n", *words)
    assert code == 0, text
    assert goes in text
    assert edge.versions() == [("steady", [NEW]), ("steady", [NEW])]
    assert [version_on_disk(web) for web in edge.webs] == [NEW, NEW]

    code, text = asked(stack, "y\n", *words)
    assert code == 0, text
    assert f"web1: {NEW}, nothing to go back to" in text
    assert edge.versions() == [("steady", [NEW]), ("steady", [NEW])]


def test_an_older_upgrade_is_taken_back_only_when_that_is_said(
    upgraded: str, edge: Edge, stack: Stack
) -> None:
    words = ("nginx", "rollback", "edge", "web2", "--fleet", upgraded, "--yes")

    refused = stack.winch(*words)
    assert refused.returncode == 3, said(refused)
    assert f"web2: stays at {NEW}" in refused.stdout + refused.stderr
    assert "--older goes back there" in refused.stdout + refused.stderr
    assert edge.versions()[1] == ("steady", [NEW])

    done = stack.winch(*words, "--older")
    assert done.returncode == 0, said(done)
    assert edge.versions() == [("steady", [NEWER]), ("steady", [OLD])]


def test_a_host_in_the_middle_of_an_upgrade_by_hand_goes_back_whatever_was_reached(
    upgraded: str, edge: Edge, stack: Stack
) -> None:
    web = edge.webs[1]
    web.write_file("/usr/sbin/nginx.n", edge.binary.read_bytes() + b"by hand", mode=0o755)
    web.sh("mv /usr/sbin/nginx.n /usr/sbin/nginx; kill -USR2 $(cat /run/nginx.pid)")

    done = stack.winch("nginx", "rollback", "edge", "web2", "--fleet", upgraded, "--yes")

    assert done.returncode == 0, said(done)
    assert edge.versions() == [("steady", [NEWER]), ("steady", [NEW])]
    assert version_on_disk(web) == NEW


def test_a_run_is_rolled_back_by_its_number_whatever_came_after(
    upgraded: str, edge: Edge, stack: Stack
) -> None:
    done = stack.winch("rollback", "1")

    assert done.returncode in {0, 8}, said(done)
    assert stack.ended(1)["status"] == "rolled_back"
    assert edge.versions()[1] == ("steady", [OLD])
