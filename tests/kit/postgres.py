"""A PostgreSQL server of a test's own, on a unix socket."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from tests.kit.stack import until
from tests.needs import needs_program


def _binaries() -> Path | None:
    """Debian keeps a directory for each version, outside of PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if found:
        return found[-1].parent
    on_path = shutil.which("postgres")
    return None if on_path is None else Path(on_path).parent


@contextmanager
def postgres() -> Iterator[str]:
    """Run a server, and yield the URL of an empty database."""
    binaries = _binaries()
    if binaries is None:
        needs_program("postgres")
        raise AssertionError("unreachable")
    directory = Path(tempfile.mkdtemp(prefix="winch-pg-"))
    # PostgreSQL does not run as root; the package brings a user for it.
    as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    prefix = as_user if os.geteuid() == 0 else []
    if prefix:
        shutil.chown(directory, "postgres", "postgres")
    data = directory / "data"
    try:
        subprocess.run(
            [*prefix, str(binaries / "initdb"), "-D", str(data), "-A", "trust", "-U", "winch",
             "-N"],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=directory,
        )  # fmt: skip
        server = subprocess.Popen(
            [*prefix, str(binaries / "postgres"), "-D", str(data), "-k", str(directory),
             "-c", "listen_addresses=", "-c", "max_connections=200"],
            stderr=subprocess.DEVNULL,
            cwd=directory,
        )  # fmt: skip
        try:
            base = f"host={directory} user=winch dbname=postgres"
            until(lambda: _answers(base), what="PostgreSQL answers")
            yield f"postgresql://winch@/postgres?host={directory}"
        finally:
            server.terminate()
            server.wait(timeout=20)
    finally:
        shutil.rmtree(directory)


def _answers(conninfo: str) -> bool:
    try:
        with psycopg.connect(conninfo):
            return True
    except psycopg.OperationalError:
        return False
