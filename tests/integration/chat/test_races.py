"""The same instant: one asks in chat, one at the command line. One wins, the other is told.

The command line is a process of its own. The test holds the database's one write lock until that
process waits for it; then it lets go and presses the button in chat.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from sqlmodel import col, select

from tests.integration.chat.test_slack import Room, room
from tests.kit.plans import Work
from tests.kit.stack import ROOT, Stack, until
from worker import control
from worker.models import Audit

__all__ = ["room"]

ROUNDS = 3  # in each, whoever is faster wins


@contextmanager
def nobody_writes(stack: Stack) -> Iterator[None]:
    """Hold the write lock."""
    connection = sqlite3.connect(stack.directory / "winch.db", isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")
    finally:
        connection.close()


class CommandLine:
    """`winch …`, which has come as far as it can while nobody writes."""

    def __init__(self, stack: Stack, *words: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "chatops.cli", *words],
            env=stack.environment | {"WINCH_FLEET": str(stack.directory / "fleet.yaml")},
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._seen = psutil.Process(self.process.pid)
        self._worked = -1.0

    def waits(self, database: Path) -> bool:
        """Whether it has the database open, and did nothing since the last look."""
        if self.process.poll() is not None:
            return True
        before, self._worked = self._worked, sum(self._seen.cpu_times()[:2])
        has_it = any(Path(file.path) == database for file in self._seen.open_files())
        return has_it and self._worked == before

    def end(self) -> tuple[int, str]:
        said, _ = self.process.communicate(timeout=60)
        return self.process.returncode, said


def both(stack: Stack, room: Room, words: tuple[str, ...], action: str) -> tuple[int, str, str]:
    """Ask at the command line and in chat. Returns its exit code, and what both said."""
    run = words[1]
    with ThreadPoolExecutor(1) as threads:
        with nobody_writes(stack):
            there = CommandLine(stack, *words)
            database = stack.directory / "winch.db"
            until(lambda: there.waits(database), what="the command line waits", every=0.15)
            assert there.process.poll() is None, there.end()
        here = threads.submit(room.press, "UBOB", action, run)
        code, said = there.end()
    return code, said, here.result()


def granted(stack: Stack, run: str, *actions: str) -> list[tuple[str, str]]:
    with stack.store.read() as session:
        lines = session.exec(
            select(Audit)
            .where(
                Audit.run_id == int(run),
                col(Audit.action).in_(actions),
                Audit.outcome == "granted",
            )
            .order_by(col(Audit.id))
        )
        return [(line.action, line.actor) for line in lines]


def exactly_one(stack: Stack, run: str, code: int, said: str, chat: str, *actions: str) -> None:
    """One was granted, and who lost was told, with the winner's name in chat."""
    ((_, winner),) = granted(stack, run, *actions)
    if winner.startswith("cli:"):
        assert code == 0, said
        assert chat.startswith("⚠️ "), chat
        assert f"{winner} was faster" in chat
    else:
        assert code == 1, said
        assert said.startswith((f"error: run {run} is ", f"error: run {run}: {winner} was")), said
        assert chat.startswith("👍 "), chat


def failed_run(room: Room, stack: Stack, work: Work) -> str:
    """A run that has failed and could go on, but for a worker that does it."""
    work.effects.unlink(missing_ok=True)
    work.flag("broken-web1").touch()
    worker = stack.worker()
    said = room.say("UALICE", "roll web version=1 limit=web1")
    run = said.partition("run ")[2].partition(":")[0]
    assert stack.ended(int(run))["status"] == "failed"
    worker.kill()
    work.flag("broken-web1").unlink()
    return run


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_of_two_approvals_one_wins_and_the_other_is_told(
    room: Room, stack: Stack, round_: int
) -> None:
    room.say("UALICE", "drain web web1")
    words = ("approve", "1", "--no-wait")
    exactly_one(stack, "1", *both(stack, room, words, "approve"), "approve")


def test_of_two_retries_one_wins_and_the_other_is_told(
    room: Room, stack: Stack, work: Work
) -> None:
    for _ in range(ROUNDS):
        run = failed_run(room, stack, work)
        words = ("retry", run, "--yes", "--no-wait")
        exactly_one(stack, run, *both(stack, room, words, "retry"), "retry")
        control.abort(stack.engine, int(run), granted(stack, run, "retry")[0][1])


@pytest.mark.parametrize("there", ["retry", "abort"])
def test_of_an_abort_and_a_retry_one_wins_and_the_other_is_told(
    room: Room, stack: Stack, work: Work, there: str
) -> None:
    here = "abort" if there == "retry" else "retry"
    words = ("--yes", "--no-wait") if there == "retry" else ("--yes",)
    for _ in range(ROUNDS):
        run = failed_run(room, stack, work)
        result = both(stack, room, (there, run, *words), here)
        exactly_one(stack, run, *result, "abort", "retry")
        ((action, winner),) = granted(stack, run, "abort", "retry")
        if action == "retry":
            control.abort(stack.engine, int(run), winner)


def test_who_asks_after_having_seen_the_other_is_not_held_up(
    room: Room, stack: Stack, work: Work
) -> None:
    run = failed_run(room, stack, work)
    assert room.press("UBOB", "abort", run).startswith("👍")
    refused = room.press("UALICE", "retry", run)
    assert "slack:UBOB was faster: abort" in refused
    assert "ask again" in refused
    until(lambda: room.press("UALICE", "retry", run).startswith("👍"), what="a retry", every=0.5)
    # Nobody is too fast for themselves.
    assert room.press("UALICE", "abort", run).startswith("👍")
