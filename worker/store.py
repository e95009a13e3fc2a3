"""The database: opening, migrating, transactions and its clock."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy import event, text
from sqlalchemy.engine import Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, NoSuchModuleError, OperationalError
from sqlmodel import Session

from worker.errors import ServiceError, UsageError
from worker.settings import settings

HEAD = "0007"  # the newest migration; a test compares it with the scripts

_BUSY_TIMEOUT_MS = 30_000


class Store:
    """One database. Thread-safe; sessions are not shared between threads.

    SQLite takes its one write lock when a write transaction begins (`BEGIN IMMEDIATE`), so that no
    transaction has to be repeated; PostgreSQL locks the rows that are read `for update`.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.is_sqlite = url.startswith("sqlite")
        self.engine = _open(url, self.is_sqlite)
        self._offset = 0.0

    def now(self) -> float:
        """Seconds since the epoch by the database's clock: workers' clocks may differ."""
        return time.time() + self._offset

    def sync_clock(self) -> None:
        """Measure how far this machine's clock is from the database's."""
        if self.is_sqlite:
            return  # a file: the same machine
        with self.engine.connect() as connection:
            before = time.time()
            theirs = float(
                connection.execute(
                    text("SELECT extract(epoch FROM clock_timestamp())")
                ).scalar_one()
            )
            self._offset = theirs - (before + time.time()) / 2

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session for reading."""
        with _translated(self.url), Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session whose changes are committed at the end, or rolled back with the error."""
        with _translated(self.url), Session(self.engine, expire_on_commit=False) as session:
            session.connection(execution_options={"winch_write": True})
            yield session
            session.commit()

    def revision(self) -> str | None:
        """The migration that the database is at; None when it is empty."""
        with _translated(self.url), self.engine.connect() as connection:
            if not sqlalchemy.inspect(connection).has_table("alembic_version"):
                return None
            return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()

    def migrate(self) -> None:
        """Bring the schema up to date. Safe from several processes at once."""
        if self.revision() == HEAD:
            return
        from alembic import command  # noqa: PLC0415  (slow to import, and rarely needed)
        from alembic.config import Config  # noqa: PLC0415

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        config.attributes["engine"] = self.engine
        with _translated(self.url):
            command.upgrade(config, "head")

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


_lock = threading.Lock()


@cache
def _opened(url: str) -> Store:
    opened = Store(url)
    opened.migrate()
    opened.sync_clock()
    return opened


def store() -> Store:
    """The process's database, opened and migrated once.

    Raises:
        ServiceError: it does not answer, or cannot be written.
    """
    with _lock:
        return _opened(settings().sql_url)


def _open(url: str, is_sqlite: bool) -> Engine:
    try:
        parsed = make_url(url)
        if is_sqlite:
            Path(parsed.database or "").parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        connect_args: dict[str, Any] = {} if is_sqlite else {"connect_timeout": 5}
        engine = sqlalchemy.create_engine(
            url,
            pool_size=16,
            max_overflow=64,
            pool_pre_ping=not is_sqlite,
            connect_args=connect_args,
        )
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        raise UsageError(
            f"WINCH_DATABASE_URL: {error}; expected sqlite:///FILE or postgresql://USER@HOST/NAME "
            "(PostgreSQL needs: pip install 'winch[postgresql]')"
        ) from None
    except OSError as error:
        raise ServiceError(f"database {_shown(url)}: {error.strerror}: {error.filename}") from None
    if is_sqlite:
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",  # what stood before a change must survive a power cut
        "foreign_keys=ON",
        f"busy_timeout={_BUSY_TIMEOUT_MS}",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    write = connection.get_execution_options().get("winch_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


@contextmanager
def _translated(url: str) -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        reason = str(error.orig).strip().splitlines()[0]
        raise ServiceError(
            f"database {_shown(url)} does not answer: {reason}; start it or set WINCH_DATABASE_URL"
        ) from error
    except DatabaseError as error:
        if "file is not a database" in str(error.orig):
            raise ServiceError(f"database {_shown(url)}: the file is not a database") from None
        raise


def _shown(url: str) -> str:
    return make_url(url).render_as_string(hide_password=True)
