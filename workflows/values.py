"""The small values of a fleet file: durations, counts, addresses, variables, paths.

Each is checked by a function that says in words what is wrong.
"""

from __future__ import annotations

import ipaddress
import math
import re
from pathlib import Path

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)(ms|s|m|h)", re.ASCII)
_COUNT = re.compile(r"(\d{1,6})(%?)", re.ASCII)
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}", re.ASCII)
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)", re.ASCII)
_ZONE = re.compile(r"[A-Za-z0-9_.-]{1,15}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")

MAX_SHOWN = 60
MAX_HOST_NAME = 253  # RFC 1123, 2.1
ALL_PERCENT = 100

# Variables that Winch itself sets for each host; nobody else may.
OWN_VARIABLES = frozenset({"address", "name"})


def shown(value: object) -> str:
    """Quote a value for a message: one line, escaped, at most MAX_SHOWN characters."""
    text = repr(value)
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 4]}…{text[-1]}"


def parse_duration(text: str) -> float:
    """Read `500ms`, `30s`, `5m` or `1h` as seconds.

    Raises:
        ValueError: it is none of these.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        hint = f" (did you mean '{text}s'?)" if text.isascii() and text.isdigit() else ""
        raise ValueError(f"{shown(text)} is no duration: write 500ms, 30s, 5m or 1h{hint}")
    return float(match[1]) * _UNITS[match[2]]


def written_duration(seconds: float) -> str:
    """Write seconds as `parse_duration` reads them: `500ms`, `30s`, `5m`, `1h`."""
    milliseconds = round(seconds * 1000)
    for unit, size in (("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if milliseconds % size == 0 and milliseconds:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds}ms"


def check_count(text: str) -> str:
    """Accept `2` or `25%` (at most 100%).

    Raises:
        ValueError: it is neither.
    """
    match = _COUNT.fullmatch(text)
    if match is None:
        raise ValueError(f"{shown(text)} is no count: write a number (2) or a share (25%)")
    if match[2] and int(match[1]) > ALL_PERCENT:
        raise ValueError(f"{text} is more than 100%")
    return text


def at_least_one(text: str) -> str:
    """Accept a count other than 0."""
    if int(text.removesuffix("%")) == 0:
        raise ValueError(f"must be at least 1, not {text}")
    return text


def count_of(text: str, total: int, *, up: bool) -> int:
    """Turn a count into a number: a share of `total`, rounded up or down."""
    if not text.endswith("%"):
        return int(text)
    exact = int(text[:-1]) * total
    return math.ceil(exact / 100) if up else exact // 100


def is_ipv6(address: str) -> bool:
    """Whether an address needs brackets in a URL."""
    return ":" in address


def check_address(text: str) -> str:
    """Accept an IPv4 or IPv6 address or a host name.

    Raises:
        ValueError: it is neither; a port or a user in it gets a hint.
    """
    plain, _, zone = text.partition("%")
    try:
        ipaddress.ip_address(plain)
    except ValueError:
        pass
    else:
        if "%" not in text or (is_ipv6(plain) and _ZONE.fullmatch(zone)):
            return text
    labels = text.split(".")
    if (
        len(text) <= MAX_HOST_NAME
        and all(map(_LABEL.fullmatch, labels))
        and not labels[-1].isdigit()
    ):
        return text
    hint = ""
    if re.fullmatch(r"[A-Za-z0-9_.-]+:\d+", text):
        hint = "; a port belongs in ssh.port"
    elif re.fullmatch(r"[A-Za-z0-9_.-]+@[A-Za-z0-9_.:-]+", text):
        hint = "; a user belongs in ssh.user"
    raise ValueError(f"{shown(text)} is neither an IP address nor a host name{hint}")


def check_ip(text: str) -> str:
    """Accept an IPv4 or IPv6 address without zone or prefix length."""
    try:
        return str(ipaddress.ip_address(text)) if "%" not in text else _no_ip(text)
    except ValueError:
        return _no_ip(text)


def _no_ip(text: str) -> str:
    raise ValueError(f"{shown(text)} is no IP address (10.0.0.100, without prefix length)")


def check_variable(text: str) -> str:
    """Accept the name of a variable.

    Raises:
        ValueError: it is none.
    """
    if VARIABLE.fullmatch(text) is None:
        raise ValueError(f"{shown(text)} is no name of a variable: letters, digits and '_' only")
    return text


def check_user_variable(text: str) -> str:
    """Accept the name of a variable that people may set.

    Raises:
        ValueError: it is none, or Winch's own.
    """
    if check_variable(text) in OWN_VARIABLES:
        raise ValueError(f"{{{text}}} is each host's own; choose another name")
    return text


def no_control(text: str) -> str:
    """Accept a text without control characters and line breaks."""
    if _CONTROL.search(text):
        raise ValueError(f"{shown(text)} holds a control character or a line break")
    return text


def has_control(text: str) -> bool:
    """Whether a text holds a control character or a line break."""
    return _CONTROL.search(text) is not None


def local_path(text: str, base: Path | None) -> Path:
    """Make a path on this machine absolute: `~` expanded, else relative to `base`.

    Raises:
        ValueError: it holds control characters, or `~` of an unknown user.
    """
    if not text:
        raise ValueError("an empty path; leave the key out instead")
    try:
        path = Path(no_control(text)).expanduser()
    except RuntimeError:
        raise ValueError(f"{shown(text)}: no home directory is known for it") from None
    return path if base is None else base / path
