"""`winch up`: every part on this machine, in the foreground, each started again when it dies."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from worker.embedded import EmbeddedRedis, prepare_state_dir
from worker.errors import ServiceError
from worker.flowerstart import board_url, flower_command, flower_url
from worker.process import die_with_parent
from worker.settings import Settings

BACKOFF_FIRST = 0.5  # seconds before a child that died is started again; doubles
BACKOFF_MOST = 15.0
STEADY = 20.0  # seconds after which a child counts as healthy again
GRACE = 60.0  # seconds that a child gets to end its work
TICK = 0.2
_ALL = ("", "0.0.0.0", "::")  # noqa: S104 - to see that it is none of them
IMPATIENT = 2  # asked that often to stop, nothing is waited for

Say = Callable[[str], None]


def winch_command(*words: str) -> list[str]:
    """Say how this very Winch is called again, whatever PATH says."""
    script = Path(sys.executable).with_name("winch")
    if os.access(script, os.X_OK):
        return [str(script), *words]
    return [sys.executable, "-c", "from chatops.cli import main; main()", *words]


def next_backoff(before: float, lived: float) -> float:
    """Decide how long to wait before a dead child is started again, in seconds."""
    if lived >= STEADY or before == 0:
        return BACKOFF_FIRST
    return min(before * 2, BACKOFF_MOST)


@dataclass
class Part:
    """One child process, as it should run.

    `prepare` runs before each start, `ready` after it, until the part can be used. Both raise
    ServiceError.
    """

    name: str
    command: Sequence[str]
    prepare: Callable[[], None] | None = None
    ready: Callable[[subprocess.Popen[bytes]], None] | None = None


@dataclass
class _Running:
    part: Part
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    backoff: float = 0.0
    due: float = 0.0
    rest: bytes = field(default=b"")


class Supervisor:
    """Run parts until told to stop. `parts` in the order of starting; they stop in reverse.

    A part that dies is started again after a while that doubles. Output is prefixed by its name.
    """

    def __init__(
        self, parts: Sequence[Part], *, say: Say, environment: Mapping[str, str] | None = None
    ) -> None:
        self._all = [_Running(part) for part in parts]
        self._say = say
        self._environment = dict(os.environ if environment is None else environment)
        self._environment.setdefault("PYTHONUNBUFFERED", "1")
        self._selector = selectors.DefaultSelector()
        self._asked = 0  # how often we were asked to stop

    def start(self) -> None:
        """Start all parts, each after the one before is ready.

        Raises:
            ServiceError: one does not start; those that did are stopped again.
        """
        try:
            for running in self._all:
                if self._asked:
                    return
                self._start(running)
        except (ServiceError, OSError):
            self.stop()
            raise

    def run(self) -> int:
        """Watch the parts until asked to stop; then stop them. Returns an exit code."""
        while not self._asked:
            self._pump(TICK)
            self._revive()
        names = ", ".join(running.part.name for running in reversed(self._all))
        self._say(f"stopping {names}; once more Ctrl-C does not wait for steps under way")
        self.stop()
        return 0

    def ask_to_stop(self, _number: int = 0, _frame: FrameType | None = None) -> None:
        """Ask `run` to end (a signal handler). Asked twice, nothing is waited for any more."""
        self._asked += 1

    def stop(self) -> None:
        """Stop all parts, the last one started first.

        The order matters: Flower writes its history and needs nobody. The worker then ends the
        steps under way, for which it needs Redis and the database. Redis goes last, when nothing
        will be said any more, and writes its append-only file. A step that outlives the grace is
        cut off: it is made for that, and is run again later.
        """
        for running in reversed(self._all):
            process = running.process
            if process is None:
                continue
            if process.poll() is None:
                process.terminate()
                deadline = time.monotonic() + GRACE
                while (
                    process.poll() is None
                    and self._asked < IMPATIENT
                    and time.monotonic() < deadline
                ):
                    self._pump(TICK / 4)
                if process.poll() is None:
                    process.kill()
                    process.wait()
            self._drain(running)
            running.process = None

    def _start(self, running: _Running) -> None:
        if running.part.prepare is not None:
            running.part.prepare()
        process = subprocess.Popen(  # noqa: S603 - our own words, no shell
            list(running.part.command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self._environment,
            # A Ctrl-C of the terminal goes to its foreground group, which is ours alone: the
            # children hear from us, in the right order.
            process_group=0,
            # If we are killed without a chance to stop them, the kernel does. We start children
            # from the main thread only, whose death is ours.
            preexec_fn=die_with_parent(),  # noqa: PLW1509 - one system call, no locks
        )
        running.process = process
        running.started = time.monotonic()
        if process.stdout is not None:
            os.set_blocking(process.stdout.fileno(), False)
            self._selector.register(process.stdout, selectors.EVENT_READ, running)
        if running.part.ready is not None:
            try:
                running.part.ready(process)
            finally:
                self._pump(0)

    def _revive(self) -> None:
        now = time.monotonic()
        for running in self._all:
            process = running.process
            if process is not None and process.poll() is not None:
                self._drain(running)
                running.backoff = next_backoff(running.backoff, now - running.started)
                running.due = now + running.backoff
                running.process = None
                self._say(
                    f"{running.part.name}: ended with {describe_exit(process.returncode)};"
                    f" starting it again in {running.backoff:g} s"
                )
            elif process is None and now >= running.due:
                try:
                    self._start(running)
                except (ServiceError, OSError) as error:
                    if running.process is not None:
                        running.process.kill()
                        running.process.wait()
                    self._say(f"{running.part.name}: {error}")
                    if running.process is None:
                        running.backoff = next_backoff(running.backoff, 0)
                        running.due = time.monotonic() + running.backoff

    def _pump(self, seconds: float) -> None:
        """Pass the children's output on, for at most that long."""
        if not self._selector.get_map():
            time.sleep(seconds)
            return
        for key, _ in self._selector.select(seconds):
            self._read(key.data)

    def _read(self, running: _Running) -> bool:
        """Pass on what there is of one child's output. Returns False at its end."""
        process = running.process
        if process is None or process.stdout is None or process.stdout.closed:
            return False
        try:
            data = os.read(process.stdout.fileno(), 65536)
        except BlockingIOError:
            return False
        *lines, running.rest = (running.rest + data).split(b"\n")
        if not data:
            if running.rest:
                lines.append(running.rest)
                running.rest = b""
            self._selector.unregister(process.stdout)
            process.stdout.close()
        for line in lines:
            self._say(f"{running.part.name:<6} | {line.decode(errors='replace').rstrip()}")
        return bool(data)

    def _drain(self, running: _Running) -> None:
        while self._read(running):
            pass
        process = running.process
        # A grandchild may still hold the other end open; nobody waits for that one.
        if process is not None and process.stdout is not None and not process.stdout.closed:
            self._selector.unregister(process.stdout)
            process.stdout.close()


def describe_exit(code: int) -> str:
    """Say in words how a process ended: `exit 1`, `SIGKILL`."""
    if code >= 0:
        return f"exit {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def parts_of(settings: Settings, redis: EmbeddedRedis | None) -> list[Part]:
    """List what runs on this machine, in the order of starting."""
    flower_command(settings)  # wrong options are refused before anything starts
    parts = [
        Part("worker", winch_command("worker")),
        Part("flower", winch_command("flower")),
        Part("web", winch_command("web")),
    ]
    if redis is not None:
        parts.insert(0, Part("redis", redis.command(), redis.prepare, redis.wait_ready))
    return parts


def links(settings: Settings) -> dict[str, str]:
    """Tell the parts where a browser finds the others, so that they link to each other.

    Where one listens on all addresses, only its owner knows by which name it is reached.
    """
    found = {}
    if settings.flower_url is None and settings.flower_address not in _ALL:
        found["WINCH_FLOWER_URL"] = flower_url(settings)
    if settings.public_url is None and settings.web_address not in _ALL:
        found["WINCH_PUBLIC_URL"] = board_url(settings)
    return found


def run_up(settings: Settings, *, say: Say | None = None) -> int:
    """Run everything on this machine until SIGINT, SIGTERM or SIGHUP. Returns the exit code.

    Raises:
        WinchError: it cannot start: a wrong setting, another one running, no Redis.
    """
    tell = say or (lambda line: print(line, flush=True))  # noqa: T201 - this is the output
    redis = None if settings.redis_url else EmbeddedRedis(settings.state_dir)
    prepare_state_dir(settings.state_dir)
    supervisor = Supervisor(
        parts_of(settings, redis), say=tell, environment=os.environ | links(settings)
    )
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, supervisor.ask_to_stop) for number in numbers}
    try:
        supervisor.start()
        web = f"http://{settings.web_address}:{settings.web_port}/"
        tell(f"Winch is up. Web: {web} · Flower: {flower_url(settings)} · Ctrl-C stops everything")
        return supervisor.run()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if redis is not None:
            redis.close()
