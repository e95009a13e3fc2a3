"""Chaos: workers, Redis and connections are killed on purpose."""

from tests.kit.fixtures import stack, work

__all__ = ["stack", "work"]
