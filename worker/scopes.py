"""Scopes: what something is about. `pool:web`; `balancer:lb1,lb2`; of a pattern also `pair:*`."""

from __future__ import annotations

from collections.abc import Sequence

EVERYTHING = "*"


def parts(scope: str) -> list[str]:
    """Split a scope that names several: `balancer:lb1,lb2`."""
    kind, _, names = scope.partition(":")
    return [f"{kind}:{name.strip()}" for name in names.split(",") if name.strip()]


def within(scopes: Sequence[str], part: str) -> bool:
    """Whether scopes include one that names one thing."""
    return part in scopes or f"{part.partition(':')[0]}:*" in scopes


def touches(pattern: str, scope: str) -> bool:
    """Whether a pattern includes anything that a scope is about; `*` includes whatever there is."""
    return pattern == EVERYTHING or any(within([pattern], part) for part in parts(scope))
