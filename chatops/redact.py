"""What a principal with scopes is not told: the runs of others, which details may name."""

from __future__ import annotations

import re
from typing import Any

# The engine's words for who holds a lease (`worker.engine`).
_HOLDER = re.compile(r"held by run \d+(?: \((?:[^()]|\([^()]*\))*\))?")
_END_THAT = re.compile(r"end that run \([^)]*\) and")


def redacted(document: Any) -> Any:
    """Copy JSON data, with other runs hidden in every `detail`."""
    if isinstance(document, dict):
        return {
            key: redact(value) if key == "detail" and isinstance(value, str) else redacted(value)
            for key, value in document.items()
        }
    if isinstance(document, list):
        return [redacted(item) for item in document]
    return document


def redact(text: str) -> str:
    """Hide other runs in a text.

    >>> redact("waiting for lease host:a, held by run 7 (roll db, failed, by cli:ops)")
    'waiting for lease host:a, held by another run'
    """
    return _END_THAT.sub("wait for its end and", _HOLDER.sub("held by another run", text))
