"""The kinds of values in a fleet file, as types for pydantic and JSON Schema.

A name never holds a character that a shell, HAProxy or a URL could take for syntax.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, ValidationInfo, WithJsonSchema

from workflows.values import (
    VARIABLE,
    at_least_one,
    check_address,
    check_count,
    check_ip,
    check_user_variable,
    check_variable,
    local_path,
    no_control,
    parse_duration,
    shown,
)

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}", re.ASCII)
_PROXY_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,255}", re.ASCII)
_INTERFACE = re.compile(r"[A-Za-z0-9_.@-]{1,15}", re.ASCII)
_SOCKET = re.compile(r"/[A-Za-z0-9_.@+/-]{1,107}|[A-Za-z0-9_.:\[\]-]{1,253}:[0-9]{1,5}", re.ASCII)
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,63}", re.ASCII)
_UNIT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@:\\-]{0,250}", re.ASCII)
_CONTROL_BUT_LAYOUT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")


def _matching(pattern: re.Pattern[str], what: str, allowed: str) -> AfterValidator:
    def check(text: str) -> str:
        if pattern.fullmatch(text) is None:
            raise ValueError(f"{shown(text)} is no {what}: {allowed}")
        return text

    return AfterValidator(check)


def _schema(pattern: re.Pattern[str]) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": f"^({pattern.pattern})$"})


def _no_control_but_layout(text: str) -> str:
    if _CONTROL_BUT_LAYOUT.search(text):
        raise ValueError(f"{shown(text)} holds a control character")
    return text


def _duration(value: Any) -> Any:
    return parse_duration(value) if isinstance(value, str) else value


def _positive(seconds: float) -> float:
    if seconds <= 0:
        raise ValueError("must be more than 0")
    return seconds


def _absolute(text: str) -> str:
    if not text.startswith("/"):
        raise ValueError(f"{shown(text)} is no absolute path on the host: begin it with /")
    return text


def _local_path(value: Any, info: ValidationInfo) -> Any:
    """The context of the validation holds `base`, the fleet file's directory."""
    if not isinstance(value, str):
        return value
    return local_path(value, (info.context or {}).get("base"))


def _count(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


_DURATION_SCHEMA = WithJsonSchema(
    {
        "type": "string",
        "pattern": r"^[0-9]+(\.[0-9]+)?(ms|s|m|h)$",
        "examples": ["500ms", "30s", "5m", "1h"],
    }
)
_COUNT_SCHEMA = WithJsonSchema(
    {
        "anyOf": [
            {"type": "integer", "minimum": 0},
            {"type": "string", "pattern": "^([0-9]+|([0-9]|[1-9][0-9]|100)%)$"},
        ],
        "examples": [2, "25%"],
    }
)
_TEXT_SCHEMA = WithJsonSchema({"type": ["string", "number", "boolean"]})
_ALLOWED = "letters, digits, '_', '.' and '-' only"

Duration = Annotated[float, BeforeValidator(_duration), _DURATION_SCHEMA]
PositiveDuration = Annotated[
    float, BeforeValidator(_duration), AfterValidator(_positive), _DURATION_SCHEMA
]
Count = Annotated[str, BeforeValidator(_count), AfterValidator(check_count), _COUNT_SCHEMA]
CountFromOne = Annotated[
    str,
    BeforeValidator(_count),
    AfterValidator(check_count),
    AfterValidator(at_least_one),
    _COUNT_SCHEMA,
]
Name = Annotated[str, _matching(_NAME, "name", _ALLOWED), _schema(_NAME)]
ProxyName = Annotated[
    str,
    _matching(_PROXY_NAME, "name for HAProxy", "letters, digits, '_', '.', ':' and '-' only"),
    _schema(_PROXY_NAME),
]
Variable = Annotated[str, AfterValidator(check_variable), _schema(VARIABLE)]
UserVariable = Annotated[str, AfterValidator(check_user_variable), _schema(VARIABLE)]
# A unix socket's path, or HOST:PORT of a Runtime API over TCP as seen from the balancer.
Socket = Annotated[
    str, _matching(_SOCKET, "socket", "/run/haproxy/admin.sock or HOST:PORT"), _schema(_SOCKET)
]
Interface = Annotated[
    str, _matching(_INTERFACE, "network interface", "eth0, bond0.12"), _schema(_INTERFACE)
]
User = Annotated[str, _matching(_USER, "user name", _ALLOWED), _schema(_USER)]
Unit = Annotated[
    str, _matching(_UNIT, "systemd unit", "nginx.service, app@1.service"), _schema(_UNIT)
]
Address = Annotated[str, AfterValidator(check_address)]
IpAddress = Annotated[str, AfterValidator(check_ip)]
Text = Annotated[str, AfterValidator(no_control), _TEXT_SCHEMA]
Script = Annotated[str, AfterValidator(_no_control_but_layout)]
RemotePath = Annotated[str, AfterValidator(no_control), AfterValidator(_absolute)]
LocalPath = Annotated[Path, BeforeValidator(_local_path)]
