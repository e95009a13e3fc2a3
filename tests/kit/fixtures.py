"""Fixtures over `tests.kit.stack`."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.plans import Work
from tests.kit.stack import Stack


@pytest.fixture
def stack() -> Iterator[Stack]:
    """Redis and SQLite of this test's own; its workers are ended with it."""
    # Not tmp_path: a unix socket's path may have 107 bytes only.
    directory = Path(tempfile.mkdtemp(prefix="winch-"))
    made = Stack(directory)
    try:
        yield made.start()
    finally:
        made.stop()
        shutil.rmtree(directory)


@pytest.fixture
def work(stack: Stack) -> Work:
    """A directory in which the effects of steps show."""
    directory = stack.directory / "work"
    directory.mkdir()
    return Work(directory)
