from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.integration.board.site import Site, serving
from tests.integration.board.watching import opened
from tests.kit.fixtures import stack, work
from tests.kit.stack import Stack
from tests.needs import find_program, needs_program

__all__ = ["browser", "page", "pictures", "site", "stack", "work"]

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """The machine's own Chromium; nothing is downloaded.

    Ended with the board's own tests: as long as Playwright lives, its event loop counts as
    running in this thread, and nothing else may run one there.
    """
    needs_program("chromium")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=find_program("chromium"), args=ARGUMENTS
        )
        yield started
        started.close()


@pytest.fixture
def site(stack: Stack) -> Iterator[Site]:
    """A real `winch web` of the test's own stack."""
    with serving(stack) as served:
        yield served


@pytest.fixture
def page(browser: Browser, site: Site) -> Iterator[Page]:
    """A browser that nobody has logged in with; what goes wrong in it fails the test."""
    with opened(browser, site) as shown:
        yield shown


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots go: WINCH_TEST_PICTURES, for somebody to look at, or away."""
    named = os.environ.get("WINCH_TEST_PICTURES")
    directory = Path(named) if named else tmp_path_factory.mktemp("pictures")
    directory.mkdir(parents=True, exist_ok=True)
    return directory
