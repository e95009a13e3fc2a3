"""Small helpers for rows, used wherever rows are written."""

from __future__ import annotations


def row_id(value: int | None) -> int:
    if value is None:
        raise RuntimeError("a row without its id: it was not flushed")
    return value
