"""The demo from its beginning to its report."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType

import httpx
from rich.console import Console
from sqlmodel import col, select

from chatops.demo import watchdog
from chatops.demo.configs import BALANCERS, SERVERS, Layout
from chatops.demo.identity import Identity, who_we_are
from chatops.demo.load import Count, Load
from chatops.demo.looking import can_bind, free_port, wait_for
from chatops.demo.packages import NSS_WRAPPER, Programs, find_programs
from chatops.demo.place import leftovers, make_directory, make_layout, winch_environment
from chatops.demo.processes import Processes, write_files
from chatops.demo.report import show_report
from chatops.up import winch_command
from worker.errors import ServiceError, WinchError
from worker.models import Lane
from worker.store import Store

PR_SET_CHILD_SUBREAPER = 36  # prctl(2)
FLOWER_PORT = 5555
WARM_UP = 1.0  # seconds of load before the first change
UNPACK = "WINCH_DEMO_UNPACK"  # set: take programs from packages even when PATH has them


class Interrupted(Exception):
    """SIGINT or SIGTERM came: clean up and go."""


SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def interruptible() -> Iterator[None]:
    """Turn the signals that end a process into Interrupted, and ignore them from then on.

    A second Ctrl-C must not stop the cleaning half-way. `signals_restored` goes around it.
    """

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise Interrupted

    for number in SIGNALS:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)


@contextmanager
def signals_restored() -> Iterator[None]:
    """Put the handlers back as they were, at the very end."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def adopt_orphans() -> None:
    """Become the parent of every orphan below us, so that none of them is lost from sight."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)


def start_winch(processes: Processes, environment: Mapping[str, str], flower: str) -> None:
    """Start `winch up`, and wait until a worker has said that it is ready, and Flower answers."""
    up = processes.start("up", winch_command("up"), environment)
    log = processes.layout.directory / "up.log"

    def ready() -> bool:
        processes.must_run("up", up)
        if " ready." not in log.read_text(errors="replace"):
            return False
        with suppress(httpx.TransportError):
            return httpx.get(f"{flower}/healthcheck", trust_env=False).is_success
        return False

    wait_for("Winch is up", ready, 60)


def roll(layout: Layout, environment: Mapping[str, str]) -> int:
    """Really run `winch roll`, in the foreground. Returns its exit code."""
    command = winch_command(
        *("roll", "web", "--yes", "--set", "version=2"),
        *("--fleet", str(layout.fleet), "--reason", "the demo"),
    )
    return subprocess.run(command, env=dict(environment), check=False).returncode  # noqa: S603


def seconds_a_host(layout: Layout) -> dict[str, float]:
    """Read how long each host took. The database knows it finer than `winch show` prints it."""
    store = Store(f"sqlite:///{layout.state / 'winch.db'}")
    try:
        with store.read() as session:
            lanes = session.exec(select(Lane).where(col(Lane.host).in_(SERVERS))).all()
    except ServiceError:
        return {}
    finally:
        store.close()
    return {
        lane.host: lane.ended_at - lane.started_at
        for lane in lanes
        if not lane.gate and lane.started_at is not None and lane.ended_at is not None
    }


def stay(console: Console, flower: str) -> None:
    """Keep everything running until Enter, when somebody is there to press it."""
    if sys.stdin.isatty() and sys.stdout.isatty():
        console.print(f"All of it still runs. Look at {flower}; Enter ends it.")
        with suppress(EOFError):
            input()


def prepare(
    directory: Path, identity: Identity, *, unpack: bool, say: Callable[[str], None]
) -> Programs:
    """Find the programs.

    Raises:
        WinchError: one is missing, and what to do about it.
    """
    extra = [NSS_WRAPPER] if identity.needs_wrapper else []
    return find_programs(directory, extra_packages=extra, skip_path=unpack, say=say)


def show_fleet(console: Console, layout: Layout, programs: Programs, flower: str) -> None:
    """Say what runs now."""
    versions = ", ".join(f"{name} {path}" for name, path in sorted(programs.paths.items()))
    console.print(f"Programs: {versions}", soft_wrap=True)
    for names, port in ((BALANCERS, layout.balancer_port), (SERVERS, layout.web_port)):
        text = ", ".join(f"{name} {address}" for name, address in names.items())
        console.print(f"{text}, port {port}", soft_wrap=True)
    console.print(f"SSH on port {layout.ssh_port} of each · Flower at {flower}\n", soft_wrap=True)


def run_scenes(
    processes: Processes, environment: Mapping[str, str], console: Console
) -> tuple[int, Count, float, dict[str, float]]:
    """Roll the pool under load. The place for further scenes, an nginx upgrade say.

    Returns the roll's exit code, what the load counted, its seconds, and the seconds a host.
    """
    layout = processes.layout
    load = Load(list(BALANCERS.values()), layout.balancer_port)
    load.start()
    try:
        time.sleep(WARM_UP)  # a second of version 1, so that the report has something to compare
        console.print("Load is on. Rolling the pool to version 2:\n", soft_wrap=True)
        code = roll(layout, environment)
        time.sleep(WARM_UP)
    finally:
        count = load.stop()
    return code, count, load.seconds, seconds_a_host(layout)


def run_demo(*, unpack: bool | None = None, console: Console | None = None) -> int:
    """Run the demo. Returns 0 when the roll succeeded and no request was lost.

    `unpack`: take nginx, HAProxy and sshd from packages even when PATH has them.

    Raises:
        WinchError: something that it needs is missing; the message says what to do.
    """
    tell = console or Console()
    if not sys.platform.startswith("linux"):
        raise WinchError("winch demo: needs Linux (every address of 127.0.0.0/8, /proc)")
    began = time.monotonic()
    identity = who_we_are()
    adopt_orphans()
    try:
        with signals_restored(), ExitStack() as stack, interruptible():
            directory = make_directory()
            outside = leftovers()
            dog = watchdog.start(directory, outside)
            stack.callback(dog.communicate)
            stack.callback(watchdog.remove, directory, outside)
            skip = bool(os.environ.get(UNPACK)) if unpack is None else unpack
            programs = prepare(
                directory, identity, unpack=skip, say=lambda line: tell.print(line, soft_wrap=True)
            )
            layout = make_layout(directory, identity)
            write_files(layout, identity, programs)
            flower_port = (
                FLOWER_PORT if can_bind("127.0.0.1", FLOWER_PORT) else free_port("127.0.0.1")
            )
            flower = f"http://127.0.0.1:{flower_port}"
            environment = winch_environment(layout, flower_port)
            processes = Processes(layout, programs, spare=dog.pid)
            stack.callback(processes.stop)
            processes.start_sshd(identity)
            processes.start_servers()
            processes.start_balancers()
            start_winch(processes, environment, flower)
            tell.print(f"Set up in {time.monotonic() - began:.1f} s.")
            show_fleet(tell, layout, programs, flower)
            code, count, seconds, times = run_scenes(processes, environment, tell)
            show_report(tell, count, seconds, times, flower)
            stay(tell, flower)
            if code == 0 and not count.clean:
                return 2
            return code
    except Interrupted:
        tell.print("\nInterrupted; everything is cleaned up.")
        return 99
