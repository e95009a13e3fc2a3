"""The audit is a chain: whatever is done to a line afterwards shows."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError

from worker.audit import GENESIS, record, verify
from worker.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(f"sqlite:///{tmp_path / 'winch.db'}")
    made.migrate()
    yield made
    made.close()


def write(store: Store, lines: int = 1) -> None:
    for number in range(lines):
        with store.write() as session:
            record(session, store.now(), "cli:ops", "roll", f"web{number}", None, "asked", "é\n")


def tamper(store: Store, *statements: str) -> None:
    """Do as somebody would who has the database."""
    with store.engine.connect() as connection:
        for name in ("update", "delete"):
            connection.execute(text(f"DROP TRIGGER audit_append_only_{name}"))
        for statement in statements:
            connection.execute(text(statement))
        connection.commit()


def test_an_empty_audit_holds(store: Store) -> None:
    verdict = verify(store)
    assert (verdict.lines, verdict.head, verdict.problem) == (0, GENESIS, None)


def test_a_chain_that_nobody_touched_holds(store: Store) -> None:
    write(store, 3)
    first = verify(store)
    assert (first.lines, first.problem) == (3, None)
    write(store, 2)
    assert verify(store, expect=first.head).problem is None
    assert "another one" in (verify(store, expect="f" * 64).problem or "")


def test_lines_written_at_once_are_one_chain_without_gaps(store: Store) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: write(store, 5), range(8)))
    verdict = verify(store)
    assert (verdict.lines, verdict.problem) == (40, None)


def test_a_line_of_a_transaction_that_failed_leaves_no_gap(store: Store) -> None:
    write(store)
    with suppress(ZeroDivisionError), store.write() as session:
        record(session, store.now(), "cli:ops", "roll", "web", None, "asked")
        raise ZeroDivisionError
    write(store)
    assert verify(store).problem is None


@pytest.mark.parametrize("statement", ["UPDATE audit SET actor = 'x'", "DELETE FROM audit"])
def test_the_database_itself_refuses_to_change_or_delete_a_line(
    store: Store, statement: str
) -> None:
    write(store, 2)
    with store.engine.connect() as connection, pytest.raises(DatabaseError, match="append-only"):
        connection.execute(text(statement))
    assert verify(store).lines == 2


@pytest.mark.parametrize(
    ("statements", "message"),
    [
        (["UPDATE audit SET actor = 'cli:eve' WHERE id = 3"], "line 3 was changed"),
        (["UPDATE audit SET at = at + 1 WHERE id = 1"], "line 1 was changed"),
        (["UPDATE audit SET detail = NULL WHERE id = 5"], "line 5 was changed"),
        (["DELETE FROM audit WHERE id = 2"], "line 2 is missing"),
        (["DELETE FROM audit WHERE id = 5"], "line 5 is missing"),
        (["DELETE FROM audit"], "line 1 is missing"),
        (
            ["DELETE FROM audit WHERE id = 2", "UPDATE audit SET id = id - 1 WHERE id > 2"],
            "line 2 does not follow",
        ),
        (
            ["DELETE FROM audit WHERE id = 5", "UPDATE audit_head SET last_id = 4"],
            "line 4 is not the one that was written last",
        ),
        (["DELETE FROM audit_head"], "the record of the last line is missing"),
        (
            [
                "INSERT INTO audit SELECT 6, at, actor, action, target, run_id, outcome, detail,"
                " prev_hash, hash FROM audit WHERE id = 5"
            ],
            "line 6 was put in",
        ),
    ],
)
def test_whatever_is_done_to_a_line_shows(
    store: Store, statements: list[str], message: str
) -> None:
    write(store, 5)
    tamper(store, *statements)
    assert message in (verify(store).problem or "")
