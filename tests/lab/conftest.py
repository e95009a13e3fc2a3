"""Labs as fixtures. Everything in this directory is marked `lab`."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.fixtures import stack
from tests.kit.stack import Stack
from tests.lab.edge import Edge
from tests.lab.farm import Farm, build_farm
from tests.lab.topology import Lab
from tests.needs import needs_nspawn, needs_program

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this directory; the hook is called with all tests of the session."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.lab)


__all__ = ["stack"]


@pytest.fixture
def lab() -> Iterator[Lab]:
    """An empty lab of this test's own."""
    needs_nspawn()
    with Lab() as made:
        yield made


@pytest.fixture(scope="module")
def module_farm() -> Iterator[Farm]:
    """Two balancers and four servers for a module; a test asks for `farm` instead."""
    needs_nspawn()
    needs_program("ab")
    with Lab() as made:
        yield build_farm(made)


@pytest.fixture
def farm(module_farm: Farm) -> Farm:
    """Two balancers and four servers, all at version 1.25, ready, with weight 100."""
    module_farm.reset()
    return module_farm


@pytest.fixture(scope="module")
def edge() -> Iterator[Edge]:
    """Two balancers before one server; a test installs their pair as it needs it."""
    needs_nspawn()
    with Lab() as made:
        farm = build_farm(made, balancers=2, servers=1)
        yield Edge(farm, [made.network.allocate(), made.network.allocate()])


@pytest.fixture(scope="module")
def edge_stack() -> Iterator[Stack]:
    """Redis, a database and one worker for a module: the hosts' lease numbers only grow."""
    directory = Path(tempfile.mkdtemp(prefix="winch-"))
    made = Stack(directory)
    try:
        made.start().worker()
        yield made
    finally:
        made.stop()
        shutil.rmtree(directory)
