"""The engine on a real Redis, a real database and real workers."""

from tests.kit.fixtures import stack, work

__all__ = ["stack", "work"]
