"""Hide secrets in whatever is recorded, logged or shown."""

from __future__ import annotations

import re

HIDDEN = "••••••"

# user:password@ in a URL; words that announce a secret, with `=`, `:` or a space and its value.
_URL = re.compile(r"(?P<keep>\b[a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s@]+(?=@)", re.IGNORECASE)
_PAIR = re.compile(
    r"(?P<keep>(?:password|passwd|passphrase|secret|token|api[_-]?key|access[_-]?key|authorization)"
    r"[\w-]*['\"]?\s*(?:=|:|\s(?=bearer\s|basic\s))\s*(?:bearer\s+|basic\s+)?)(?P<quote>['\"]?)"
    r"(?:(?<=')[^']*|(?<=\")[^\"]*|[^\s'\"&,;]+)",
    re.IGNORECASE,
)
_KEY = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL
)
# One of them is in every text in which `_PAIR` finds something. Most texts have none, and they may
# be long: plain searches are some hundred times faster than the expression.
_WORDS = (
    *("passw", "passphrase", "secret", "token", "authorization"),
    *(f"{kind}{between}key" for kind in ("api", "access") for between in ("", "_", "-")),
)


def mask(text: str) -> str:
    """Replace what looks like a password, token or private key.

    >>> mask("redis://:hunter2@10.0.0.1/0 --token=abc")
    'redis://:••••••@10.0.0.1/0 --token=••••••'
    """
    if "PRIVATE KEY-----" in text:
        text = _KEY.sub(HIDDEN, text)
    if "://" in text:
        text = _URL.sub(rf"\g<keep>{HIDDEN}", text)
    folded = text.casefold()
    if any(word in folded for word in _WORDS):
        text = _PAIR.sub(rf"\g<keep>\g<quote>{HIDDEN}", text)
    return text
