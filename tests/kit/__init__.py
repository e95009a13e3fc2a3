"""Shared pieces of the engine's tests: steps with visible effects, real workers, real services."""
