"""Wrong input is told at once, with exit code 5, before any service or host is asked."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FLEET = """\
hosts: {web1: {address: 127.0.0.1, connection: local}}
nginx: {edge: {hosts: [web1]}}
"""


def winch(directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    fleet = directory / "fleet.yaml"
    fleet.write_text(FLEET)
    nowhere = f"redis+socket://{directory}/none.sock"
    return subprocess.run(
        [sys.executable, "-m", "chatops.cli", "nginx", *words, "--fleet", str(fleet)],
        env={**os.environ, "WINCH_STATE_DIR": str(directory), "WINCH_REDIS_URL": nowhere},
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["upgrade", "edge"], "say where the new nginx comes from: one of --binary FILE"),
        (["upgrade", "edge", "--package", "1", "--build", "x.tar.gz"], "got 2 of them"),
        (["upgrade", "edge", "--binary", "nowhere"], "there is no such file"),
        (["upgrade", "edge", "--binary", "/etc/passwd"], "no ELF executable"),
        (["upgrade", "edge", "--binary", sys.executable], "no nginx"),
        (["upgrade", "edge", "--build", "/etc/passwd"], "must be a tarball of nginx"),
        (["upgrade", "edge", "--package", "1.26; reboot"], "must be a version"),
        (["upgrade", "edgy", "--package", "1.26"], "did you mean 'edge'?"),
        (["upgrade", "edge", "web2", "--package", "1.26"], "'web2' is not in nginx group edge"),
        (["upgrade", "edge", "--package", "1.26", "--soak", "1 day"], "--soak: '1 day'"),
        (["rollback", "nope"], "there is no nginx group 'nope'"),
        (["status", "nope"], "there is no nginx group 'nope'"),
    ],
)
def test_wrong_input_is_told_in_one_line(tmp_path: Path, words: list[str], reason: str) -> None:
    done = winch(tmp_path, *words)
    assert (done.returncode, done.stdout) == (5, ""), done.stderr
    assert reason in done.stderr
    assert len(done.stderr.splitlines()) == 1
