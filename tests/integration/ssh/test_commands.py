"""What a command gives back: the same over SSH and on this machine."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from worker.errors import Failed, Fenced, Refused
from worker.guard import Guard
from worker.output import LIMIT
from worker.remote import Command
from worker.ssh import Connection

NASTY = [
    "it's",
    'say "hi"',
    "a\nb\n",
    "$(touch /nonexistent/x) `id` $HOME ; & | > <",
    "\\n %s %d \\0",
    "-n",
    "",
    " ",
    "ü→\u200b",
    "*",
    "~",
    "!!",
]
GUARD = Guard((("host:web1", 1_700_000_000_001),))


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


def test_output_error_and_exit_code_come_back_apart(connection: Connection) -> None:
    result = connection.run(Command.shell("echo out; echo err >&2; exit 3"), timeout=5)
    assert (result.exit_code, result.stdout, result.stderr) == (3, "out\n", "err\n")
    assert 0 < result.seconds < 5
    assert not result.ok


@pytest.mark.parametrize("value", NASTY)
@pytest.mark.parametrize("guard", [None, GUARD])
def test_a_value_arrives_as_it_is(connection: Connection, value: str, guard: Guard | None) -> None:
    assert connection.run(Command.of("printf", "%s", value), timeout=5, guard=guard).stdout == value
    echo = Command.of("cat", stdin=value)
    assert connection.run(echo, timeout=5, guard=guard).stdout == value


def test_a_nul_byte_is_refused_before_anything_is_sent(connection: Connection) -> None:
    with pytest.raises(Refused, match="NUL"):
        connection.run(Command.of("echo", "a\0b"), timeout=5)
    assert connection.run(Command.of("echo", "ok"), timeout=5).stdout == "ok\n"


def test_a_large_standard_input_arrives_whole(connection: Connection) -> None:
    result = connection.run(Command.of("wc", "-c", stdin="x" * 3_000_000), timeout=20)
    assert result.stdout.strip() == "3000000"


def test_a_command_that_does_not_read_its_input_is_no_error(connection: Connection) -> None:
    result = connection.run(Command.of("true", stdin="x" * 1_000_000), timeout=20)
    assert (result.exit_code, result.stderr) == (0, "")


def test_a_command_cannot_read_the_next_one(connection: Connection) -> None:
    assert connection.run(Command.of("cat"), timeout=5).stdout == ""
    assert connection.run(Command.of("echo", "next"), timeout=5).stdout == "next\n"


def test_a_command_that_is_not_there_exits_with_127(connection: Connection) -> None:
    result = connection.run(Command.of("no-such-program"), timeout=5)
    assert result.exit_code == 127
    assert "no-such-program" in result.stderr


def test_messages_are_in_english(connection: Connection) -> None:
    assert "LC_ALL=C\n" in connection.run(Command.of("env"), timeout=5).stdout


def test_a_timeout_kills_the_process_on_the_host(connection: Connection, tmp_path: Path) -> None:
    file = tmp_path / "pid"
    script = 'sh -c "echo \\$\\$ >$1; exec sleep 1000"'
    result = connection.run(Command.shell(script, str(file)), timeout=1)
    assert result.exit_code == 124
    assert not alive(int(file.read_text()))
    assert connection.run(Command.of("echo", "ok"), timeout=5).stdout == "ok\n"


def test_a_process_that_ignores_term_is_killed_too(connection: Connection) -> None:
    result = connection.run(Command.shell("trap '' TERM; while :; do sleep 1; done"), timeout=1)
    assert result.exit_code == 124
    assert result.seconds < 5


@pytest.mark.parametrize("stream", ["1", "2"])
def test_only_the_end_of_a_large_output_is_kept(connection: Connection, stream: str) -> None:
    script = "head -c 5000000 /dev/zero | tr '\\0' x; echo the end"
    result = connection.run(Command.shell(f"{{ {script}; }} >&{stream}"), timeout=20)
    text = result.stdout if stream == "1" else result.stderr
    dropped = 5_000_000 + len("the end\n") - LIMIT
    assert text.startswith(f"[{dropped} bytes before this were dropped]\nx")
    assert text.endswith("x" + "the end\n")
    assert len(text) < LIMIT + 100


def test_binary_garbage_is_text_with_replacements(connection: Connection) -> None:
    result = connection.run(Command.shell(r"printf '\377\000\200ok\n'; exit 7"), timeout=5)
    assert (result.exit_code, result.stdout) == (7, "\ufffd\0\ufffdok\n")
    noise = connection.run(Command.of("head", "-c", "2000000", "/dev/urandom"), timeout=20)
    assert noise.ok


def test_something_like_our_marks_in_the_output_is_output(connection: Connection) -> None:
    fake = f"{'0' * 32} end 0\n{'0' * 32} fenced host%3Aweb1 2 1\nwinch_end\n"
    script = 'printf %s "$1"; printf %s "$1" >&2; exit 113'
    result = connection.run(Command.shell(script, fake), timeout=5, guard=GUARD)
    assert (result.exit_code, result.stdout, result.stderr) == (113, fake, fake)


def test_lines_are_passed_on_while_the_command_runs(connection: Connection, tmp_path: Path) -> None:
    go = tmp_path / "go"
    script = 'echo one; echo two >&2; while [ ! -e "$1" ]; do sleep 0.02; done; printf three'
    lines: list[str] = []

    def hear(line: str) -> None:
        lines.append(line)
        if {"one", "two"} <= set(lines):
            go.touch()

    result = connection.run(Command.shell(script, str(go)), timeout=10, on_line=hear)
    assert result.ok
    assert sorted(lines[:2]) == ["one", "two"]
    assert lines[2:] == ["three"]


def test_an_error_in_the_line_callback_gives_up_only_that_shell(connection: Connection) -> None:
    def fail(line: str) -> None:
        raise KeyError(line)

    with pytest.raises(KeyError):
        connection.run(Command.shell("echo one; sleep 0.2; echo late"), timeout=5, on_line=fail)
    assert connection.run(Command.of("echo", "ok"), timeout=5).stdout == "ok\n"


def test_a_daemon_left_behind_does_not_write_into_later_answers(
    connection: Connection, tmp_path: Path
) -> None:
    script = 'setsid sh -c \'while [ -e "$1" ]; do echo noise; sleep 0.01; done\' sh "$1" &'
    flag = tmp_path / "flag"
    flag.touch()
    try:
        connection.run(Command.shell(script, str(flag)), timeout=5, guard=GUARD)
        for _ in range(30):
            assert connection.run(Command.of("echo", "ok"), timeout=5).stdout == "ok\n"
        began = time.monotonic()
        connection.run(Command.of("true"), timeout=5, guard=GUARD)  # and holds no lock
        assert time.monotonic() - began < 2
    finally:
        flag.unlink()


def test_sixteen_threads_share_one_connection(connection: Connection) -> None:
    def work(number: int) -> list[str]:
        guard = Guard(((f"host:{number}", 1_700_000_000_000),))
        return [
            connection.run(
                Command.of("echo", f"{number}.{i}"), timeout=10, guard=guard if i % 2 else None
            ).stdout.strip()
            for i in range(20)
        ]

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(work, range(16)))
    assert answers == [[f"{number}.{i}" for i in range(20)] for number in range(16)]


def test_a_file_is_written_with_its_mode_and_replaced(
    connection: Connection, tmp_path: Path
) -> None:
    target = tmp_path / "it's $(a) file"
    connection.put(b"one\0\xff", str(target), mode=0o640, guard=GUARD)
    assert (target.read_bytes(), target.stat().st_mode & 0o7777) == (b"one\0\xff", 0o640)
    connection.put(b"", str(target), mode=0o600)
    assert (target.read_bytes(), target.stat().st_mode & 0o7777) == (b"", 0o600)
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".winch")] == []


def test_a_large_file_arrives_whole(connection: Connection, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(os.urandom(1 << 20) * 20)
    target = tmp_path / "target"
    connection.put(source, str(target), mode=0o755, guard=GUARD)
    assert target.read_bytes() == source.read_bytes()
    assert target.stat().st_mode & 0o7777 == 0o755


@pytest.mark.parametrize("size", [10, 1_000_000])
def test_a_file_that_cannot_be_written_is_an_error(
    connection: Connection, tmp_path: Path, size: int
) -> None:
    with pytest.raises(Failed, match=r"cannot write .*/nowhere/x"):
        connection.put(b"x" * size, str(tmp_path / "nowhere" / "x"))
    (tmp_path / "directory").mkdir()
    with pytest.raises(Failed, match="directory"):
        connection.put(b"x" * size, str(tmp_path / "directory"))
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".winch")] == []


@pytest.mark.parametrize("size", [10, 1_000_000])
def test_an_older_claim_writes_no_file(connection: Connection, tmp_path: Path, size: int) -> None:
    connection.fence(GUARD)
    older = Guard((("host:web1", 1_699_999_999_999),))
    with pytest.raises(Fenced, match=r"lease host:web1 has number 1700000000001"):
        connection.put(b"x" * size, str(tmp_path / "file"), guard=older)
    assert [path.name for path in tmp_path.iterdir()] == ["locks"]


def test_two_commands_under_one_lease_run_one_after_the_other(
    connection: Connection, tmp_path: Path
) -> None:
    file = tmp_path / "log"
    script = 'echo begin >>"$1"; sleep 0.05; echo end >>"$1"'
    threads = [
        threading.Thread(
            target=connection.run,
            args=(Command.shell(script, str(file)),),
            kwargs={"timeout": 10, "guard": GUARD},
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert file.read_text() == "begin\nend\n" * 4
