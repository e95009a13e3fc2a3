"""The embedded Redis, for real: alone on its socket, durable, and gone afterwards."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import redis

from worker.embedded import EmbeddedRedis, answers
from worker.errors import ServiceError


def client(embedded: EmbeddedRedis) -> redis.Redis:
    return redis.Redis(unix_socket_path=str(embedded.socket), decode_responses=True)


def wait_gone(pid: int, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, f"{pid} lives on"
        time.sleep(0.02)


def test_it_listens_on_a_socket_of_its_owner_and_on_no_port(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path / "state") as embedded:
        assert embedded.process is not None
        assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
        assert embedded.socket.stat().st_mode & 0o777 == 0o700
        kinds = {c.family for c in psutil.Process(embedded.process.pid).net_connections("all")}
        assert kinds <= {socket.AF_UNIX}
        with client(embedded) as connection:
            assert connection.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
            assert connection.config_get("appendfsync") == {"appendfsync": "everysec"}
    assert not embedded.socket.exists()


def test_what_was_written_is_there_after_a_restart(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path) as embedded, client(embedded) as connection:
        connection.set("lease", "12")
    with EmbeddedRedis(tmp_path) as embedded, client(embedded) as connection:
        assert connection.get("lease") == "12"


def test_a_second_one_in_the_same_directory_is_refused_by_name(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path) as first:
        with pytest.raises(ServiceError, match=r"already runs here.*WINCH_STATE_DIR"):
            EmbeddedRedis(tmp_path).start()
        assert answers(first.socket)


def test_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(tmp_path / "redis.sock"))
    with EmbeddedRedis(tmp_path) as embedded:
        assert answers(embedded.socket)


def test_it_starts_again_after_it_was_killed(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path) as embedded:
        assert embedded.process is not None
        embedded.process.send_signal(signal.SIGKILL)
        embedded.process.wait()
        embedded.start()
        assert answers(embedded.socket)


def test_it_dies_with_a_parent_that_is_killed_and_the_next_one_starts(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from worker.embedded import EmbeddedRedis\n"
        f"e = EmbeddedRedis(Path({str(tmp_path)!r})); e.start()\n"
        "print(e.process.pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
    with EmbeddedRedis(tmp_path) as embedded:
        assert answers(embedded.socket)
        wait_gone(pid)


def test_a_path_too_long_for_a_socket_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="WINCH_STATE_DIR to a shorter one"):
        EmbeddedRedis(tmp_path / ("x" * 120)).start()


def test_a_directory_that_is_a_file_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(ServiceError, match="cannot be used as state directory"):
        EmbeddedRedis(tmp_path / "state").start()


def test_a_redis_that_cannot_start_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="exited with 1 at once"):
        EmbeddedRedis(tmp_path, executable="/bin/false").start()
    assert not os.path.lexists(tmp_path / "redis.sock")
