"""The guard, run by every sh that is installed."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.needs import needs_program
from worker import guard as guards
from worker.errors import Fenced, Refused, Unreachable
from worker.guard import Guard, file_name
from worker.local import LocalStream
from worker.remote import Command
from worker.shell import Shell

NOW = 1_700_000_000_000  # milliseconds since 1970
SHELLS = {
    "dash": ["dash"],
    "busybox": ["busybox", "sh"],
    "bash": ["bash", "--posix"],
    "sh": ["sh"],
}


@pytest.fixture(params=SHELLS)
def start(request: pytest.FixtureRequest) -> Iterator[Callable[[], Shell]]:
    """A function that starts one more shell."""
    argv = SHELLS[request.param]
    needs_program(argv[0])
    shells: list[Shell] = []

    def start_one() -> Shell:
        shell = Shell("web1", LocalStream(argv))
        shell.start(5)
        shells.append(shell)
        return shell

    yield start_one
    for shell in shells:
        shell.close()


@pytest.fixture
def shell(start: Callable[[], Shell]) -> Shell:
    return start()


def guard(number: int, *names: str) -> Guard:
    return Guard(tuple((name, NOW + number) for name in names or ("host:web1",)))


def stored(locks: Path, name: str = "host:web1") -> int:
    return int((locks / f"{file_name(name)}.lease").read_text())


def test_an_older_number_is_refused_and_runs_nothing(
    shell: Shell, locks: Path, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    write = Command.shell('echo x >>"$1"; exit 4', str(file))
    assert shell.run(write, timeout=5, guard=guard(5)).exit_code == 4
    assert shell.run(write, timeout=5, guard=guard(5)).exit_code == 4
    assert shell.run(write, timeout=5, guard=guard(7)).exit_code == 4
    with pytest.raises(Fenced, match=f"host:web1 has number {NOW + 7} there.* with {NOW + 6}"):
        shell.run(write, timeout=5, guard=guard(6))
    assert shell.usable
    assert file.read_text() == "x\n" * 3
    assert stored(locks) == NOW + 7
    assert locks.stat().st_mode & 0o777 == 0o700


def test_one_older_lease_of_several_is_enough(shell: Shell, locks: Path) -> None:
    names = [f"lease {i}/$(x)'" for i in range(12)]
    shell.run(None, timeout=5, guard=guard(1, *names))
    shell.run(None, timeout=5, guard=guard(9, names[5]))
    with pytest.raises(Fenced, match=r"lease 5/\$\(x\)'"):
        shell.run(Command.of("true"), timeout=5, guard=guard(2, *names))
    assert shell.run(Command.of("echo", "hi"), timeout=5, guard=guard(9, *names)).stdout == "hi\n"
    assert {stored(locks, name) for name in names} == {NOW + 9}


def test_numbers_are_compared_as_64_bit_numbers(shell: Shell, locks: Path) -> None:
    for number in (10, 99, 4_294_967_296, NOW, 9_999_999_999_999_999, 2**63 - 1):
        shell.run(None, timeout=5, guard=Guard((("host:web1", number),)))
        assert stored(locks) == number
        with pytest.raises(Fenced):
            shell.run(None, timeout=5, guard=Guard((("host:web1", number - 1),)))


def test_the_command_gets_no_descriptor_of_the_guard(shell: Shell) -> None:
    script = Command.shell("ls -l /proc/$$/fd")
    result = shell.run(script, timeout=5, guard=guard(1, "a", "b", "c"))
    assert ".lease" not in result.stdout
    assert "fd" not in result.stderr


def test_a_daemon_that_is_left_behind_does_not_hold_the_lease(
    start: Callable[[], Shell],
) -> None:
    one, two = start(), start()
    pid = one.run(
        Command.shell("sleep 60 >/dev/null 2>&1 & echo $!"), timeout=5, guard=guard(1)
    ).stdout
    try:
        assert two.run(Command.of("true"), timeout=5, guard=guard(1)).seconds < 2
    finally:
        os.kill(int(pid), signal.SIGKILL)


def test_the_second_holder_waits_for_the_first(start: Callable[[], Shell], tmp_path: Path) -> None:
    one, two = start(), start()
    log = tmp_path / "log"
    script = 'echo begin >>"$1"; sleep 0.2; echo end >>"$1"'
    first = threading.Thread(
        target=one.run,
        args=(Command.shell(script, str(log)),),
        kwargs={"timeout": 5, "guard": guard(1)},
    )
    first.start()
    wait_for(log.exists)
    two.run(Command.shell('echo second >>"$1"', str(log)), timeout=5, guard=guard(2))
    first.join()
    assert log.read_text() == "begin\nend\nsecond\n"
    with pytest.raises(Fenced):
        one.run(Command.of("true"), timeout=5, guard=guard(1))


def test_a_lease_that_stays_in_use_is_an_error_that_a_retry_helps(
    start: Callable[[], Shell], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = guards.functions() + "\nwinch_wait=1\n"
    monkeypatch.setattr(guards, "functions", lambda: text)
    one, two = start(), start()
    began = tmp_path / "began"
    thread = threading.Thread(
        target=one.run,
        args=(Command.shell('touch "$1"; sleep 3', str(began)),),
        kwargs={"timeout": 5, "guard": guard(1)},
    )
    thread.start()
    wait_for(began.exists)
    with pytest.raises(Unreachable, match="still runs under lease host:web1"):
        two.run(Command.of("true"), timeout=5, guard=guard(1))
    thread.join()
    assert two.run(Command.of("true"), timeout=5, guard=guard(1)).ok


def test_a_number_survives_a_guard_that_is_killed_at_any_moment(
    start: Callable[[], Shell], locks: Path
) -> None:
    shell = start()
    shell.run(None, timeout=5, guard=guard(0))
    lowest = NOW
    for round_ in range(25):
        victim = start()
        process = victim._stream._process
        mark = "m" * 32
        frames = "".join(
            f"winch_mark={mark};{guard(1000 * round_ + i).wrap('')} </dev/null\n"
            for i in range(1, 200)
        )
        victim._stream.send(frames.encode(), time.monotonic() + 5)
        time.sleep(0.002 * (round_ % 7))  # not waiting for anything: this is the moment of death
        os.kill(process.pid, signal.SIGKILL)
        process.wait(5)
        victim.close()
        wait_for(lambda: shell.run(Command.of("true"), timeout=5).ok)
        seen = stored(locks)
        assert seen >= lowest
        lowest = seen
        if lowest > NOW:
            with pytest.raises(Fenced):
                shell.run(Command.of("true"), timeout=5, guard=guard(0))
    assert lowest > NOW


@pytest.mark.parametrize(
    "content", ["\n", "garbage\n", "12 34\n", "-1\n", "99999999999999999999\n"]
)
def test_a_damaged_file_is_refused(shell: Shell, locks: Path, content: str) -> None:
    shell.run(None, timeout=5, guard=guard(1))
    (locks / "host%3Aweb1.lease").write_text(content)
    with pytest.raises((Refused, Fenced)):
        shell.run(Command.of("true"), timeout=5, guard=guard(2))


def test_a_directory_that_is_not_ours_is_refused(shell: Shell, locks: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    locks.symlink_to(elsewhere)
    with pytest.raises(Refused, match="not a directory that belongs to us"):
        shell.run(Command.of("true"), timeout=5, guard=guard(1))
    locks.unlink()
    locks.mkdir(mode=0o777)
    if os.geteuid() == 0:
        os.chown(locks, 12345, 12345)
        with pytest.raises(Refused, match="not a directory that belongs to us"):
            shell.run(Command.of("true"), timeout=5, guard=guard(1))
        os.chown(locks, 0, 0)
    shell.run(Command.of("true"), timeout=5, guard=guard(1))
    assert locks.stat().st_mode & 0o777 == 0o700


def test_a_file_that_cannot_be_opened_is_refused(shell: Shell, locks: Path) -> None:
    shell.run(None, timeout=5, guard=guard(1, "other"))
    (locks / "host%3Aweb1.lease").mkdir()
    for names in (["host:web1"], ["a", "host:web1", "z"]):
        with pytest.raises(Refused, match="cannot open"):
            shell.run(Command.of("true"), timeout=5, guard=guard(1, *names))
    assert shell.usable


def test_a_full_disk_is_refused(shell: Shell, locks: Path) -> None:
    shell.run(None, timeout=5, guard=guard(1, "other"))
    (locks / "host%3Aweb1.lease").symlink_to("/dev/full")
    with pytest.raises(Refused, match="cannot write"):
        shell.run(Command.of("true"), timeout=5, guard=guard(2))


def test_a_host_without_flock_is_refused(start: Callable[[], Shell]) -> None:
    shell = start()
    shell._stream.send(b"flock() { return 127; }\n", time.monotonic() + 1)
    with pytest.raises(Refused, match="install util-linux"):
        shell.run(Command.of("true"), timeout=5, guard=guard(1))


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)
