"""`winch demo` as a user runs it: a whole roll under load, and nothing left, however it ends."""

from __future__ import annotations

import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chatops.demo.watchdog import mentioning
from tests.needs import needs_program

COMMAND = [sys.executable, "-c", "from chatops.cli import main; main()", "demo"]


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A place for the demo, short enough for unix sockets."""
    for program in ("nginx", "haproxy", "sshd"):
        needs_program(program)
    directory = Path(tempfile.mkdtemp(prefix="wd-", dir="/tmp"))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


def start(scratch: Path, **more: object) -> subprocess.Popen[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("WINCH_")}
    environment |= {"TMPDIR": str(scratch), "COLUMNS": "160"}
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.Popen(COMMAND, env=environment, text=True, **(streams | more))


def until(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition was not met in time"
        time.sleep(0.1)


def read_until(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if text in line:
            return
    raise AssertionError(f"the demo ended before it said {text!r}")


def nothing_left(scratch: Path) -> bool:
    return not list(scratch.iterdir()) and not mentioning(scratch / "winch-demo-")


def test_a_roll_under_load_loses_nothing_reports_and_leaves_nothing(scratch: Path) -> None:
    process = start(scratch)
    output, _ = process.communicate(timeout=150)
    assert process.returncode == 0, output
    assert re.search(r"requests served\W+[\d,]{5,} in", output)
    assert re.search(r"failed\W+0\b", output)
    assert re.search(r"non-2xx\W+0\b", output)
    assert re.search(r"Winch demo v1: [\d,]+ · Winch demo v2: [\d,]+", output)
    assert re.search(r"time a host\W+web1 [\d.]+ s · web2 .* web3 .* web4", output)
    assert "http://127.0.0.1:" in output
    assert nothing_left(scratch)


def test_an_interrupt_ends_it_with_99_and_cleans_up(scratch: Path) -> None:
    process = start(scratch)
    read_until(process, "deploy.redeploy")
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 99, output
    assert nothing_left(scratch)


def test_killed_outright_it_still_leaves_nothing(scratch: Path) -> None:
    process = start(scratch)
    read_until(process, "deploy.redeploy")
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()
    until(lambda: nothing_left(scratch))


def test_on_a_terminal_it_stays_until_enter(scratch: Path) -> None:
    ours, theirs = pty.openpty()
    process = start(scratch, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    said = b""
    deadline = time.monotonic() + 120
    while b"Enter ends it" not in said:
        assert time.monotonic() < deadline
        said += os.read(ours, 65536)
    assert process.poll() is None
    assert mentioning(scratch / "winch-demo-")
    os.write(ours, b"\n")
    assert process.wait(60) == 0
    os.close(ours)
    assert nothing_left(scratch)
