"""Migrations: they lead to the tables as the code has them, and lose nothing on the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlmodel import SQLModel

import worker
from worker.audit import record, verify
from worker.store import HEAD, Store

SCRIPTS = Path(worker.__file__).parent / "migrations"


def config(store: Store) -> Config:
    made = Config()
    made.set_main_option("script_location", str(SCRIPTS))
    made.attributes["engine"] = store.engine
    return made


def test_the_code_knows_the_newest_migration(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'winch.db'}")
    assert ScriptDirectory.from_config(config(store)).get_heads() == [HEAD]
    store.close()


def test_the_migrations_make_the_tables_that_the_code_has(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'winch.db'}")
    store.migrate()
    with store.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences: list[Any] = compare_metadata(context, SQLModel.metadata)
    store.close()
    assert differences == []


def test_the_audit_of_a_first_database_becomes_a_chain(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'winch.db'}")
    command.upgrade(config(store), "0001")
    with store.engine.connect() as connection:
        for number in (1, 2, 5):
            connection.execute(
                text(
                    "INSERT INTO audit VALUES"
                    " (:id, 1795255260.123, 'cli:ops', 'roll', 'web', 1, 'asked', 'é')"
                ),
                {"id": number},
            )
        connection.execute(
            text(
                "INSERT INTO runs (id, job, target, status, requested_by, created_at, vars, policy,"
                " sites, paused, aborted, rolling_back, needs_advance)"
                " VALUES (1, 'roll', 'web', 'failed', 'cli:ops', 1, '{}', '{}', '[]', 0, 0, 0, 0)"
            )
        )
        connection.commit()
    store.migrate()
    with store.write() as session:
        record(session, store.now(), "cli:ops", "retry", "web", 1, "granted")
    verdict = verify(store)
    assert (verdict.lines, verdict.problem) == (4, None)
    with store.engine.connect() as connection:
        row = connection.execute(text("SELECT scope, needs_approval FROM runs")).one()
    store.close()
    assert tuple(row) == ("pool:web", 0)
