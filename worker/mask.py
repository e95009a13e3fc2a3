"""Hide secrets in whatever is recorded, logged or shown."""

from __future__ import annotations

import re

HIDDEN = "••••••"

# user:password@ in a URL; words that announce a secret, with `=`, `:` or a space and its value.
_URL = re.compile(r"(?P<keep>\b[a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s@]+(?=@)", re.IGNORECASE)
_PAIR = re.compile(
    r"(?P<keep>\b[\w-]*(?:password|passwd|passphrase|secret|token|api[_-]?key|access[_-]?key|authorization)"
    r"[\w-]*['\"]?\s*(?:=|:|\s(?=bearer\s|basic\s))\s*(?:bearer\s+|basic\s+)?)(?P<quote>['\"]?)"
    r"(?:(?<=')[^']*|(?<=\")[^\"]*|[^\s'\"&,;]+)",
    re.IGNORECASE,
)
_KEY = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL
)


def mask(text: str) -> str:
    """Replace what looks like a password, token or private key.

    >>> mask("redis://:hunter2@10.0.0.1/0 --token=abc")
    'redis://:••••••@10.0.0.1/0 --token=••••••'
    """
    text = _KEY.sub(HIDDEN, text)
    text = _URL.sub(rf"\g<keep>{HIDDEN}", text)
    return _PAIR.sub(rf"\g<keep>\g<quote>{HIDDEN}", text)
