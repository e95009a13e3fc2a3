"""Alembic's environment: runs the migrations on the engine that `Store.migrate` gives."""

from __future__ import annotations

from alembic import context
from sqlalchemy import text
from sqlmodel import SQLModel

import worker.models  # noqa: F401  (fills SQLModel.metadata)

_LOCK = 7_743_001  # any number, the same in every process


def run() -> None:
    engine = context.config.attributes["engine"]
    with engine.connect().execution_options(winch_write=True) as connection:
        context.configure(
            connection=connection, target_metadata=SQLModel.metadata, render_as_batch=True
        )
        with context.begin_transaction():
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            context.run_migrations()


run()
