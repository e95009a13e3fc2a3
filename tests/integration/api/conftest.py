from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kit.api import Api, serving
from tests.kit.fixtures import stack, work
from tests.kit.stack import Stack
from worker import settings

__all__ = ["api", "stack", "work"]


@pytest.fixture
def api(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """The API of the test's own stack, served for real."""
    monkeypatch.setenv("WINCH_REDIS_URL", stack.redis.url)
    settings.settings.cache_clear()
    with serving(stack) as served:
        yield served
    settings.settings.cache_clear()
