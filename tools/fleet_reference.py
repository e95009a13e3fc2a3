"""Write docs/fleet.md from the models of the fleet file: `python tools/fleet_reference.py`."""

from __future__ import annotations

import types
import typing
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from workflows import deployments, hours, sections
from workflows.deployments import Section
from workflows.values import written_duration

TARGET = Path(__file__).parents[1] / "docs" / "fleet.md"

_HEAD = Path(__file__).with_name("fleet_reference_head.md").read_text(encoding="utf-8")

# Title, model; in the order of the file.
_PARTS: list[tuple[str, type[Section]]] = [
    ("ssh", sections.Ssh),
    ("hosts.NAME", sections.Host),
    ("balancers.HOST", sections.Balancer),
    ("pairs.NAME", sections.Pair),
    ("pairs.NAME.addresses[]", sections.VirtualAddress),
    ("pairs.NAME.policy", sections.PairPolicy),
    ("pools.NAME", sections.Pool),
    ("pools.NAME.servers.HOST", sections.Server),
    ("pools.NAME.drain", sections.Drain),
    ("pools.NAME.enable", sections.Enable),
    ("pools.NAME.policy", sections.PoolPolicy),
    ("nginx.NAME", sections.Nginx),
    ("nginx.NAME.policy", sections.NginxPolicy),
    ("…policy.windows[]", hours.Hours),
    ("redeploy: one of", deployments.Redeploy),
    ("redeploy.docker", deployments.Docker),
    ("redeploy.package", deployments.Package),
    ("redeploy.systemd", deployments.Systemd),
    ("redeploy.release", deployments.Release),
    ("redeploy.command", deployments.Command),
    ("verify[]: one of", deployments.Check),
    ("verify[].http", deployments.Http),
    ("verify[].tcp", deployments.Tcp),
    ("verify[].command", deployments.CommandProbe),
]


def page() -> str:
    """Return the whole page."""
    parts = [_HEAD]
    for title, model in _PARTS:
        summary = (model.__doc__ or "").strip().splitlines()[0]
        rows = [_row(name, field) for name, field in model.model_fields.items()]
        table = "\n".join(["| key | default | meaning |", "| --- | --- | --- |", *rows])
        parts.append(f"## `{title}`\n\n{summary}\n\n{table}\n")
    return "\n".join(parts)


def _row(name: str, field: FieldInfo) -> str:
    meaning = (field.description or "") + _choices(field)
    return f"| `{field.alias or name}` | {_default(field)} | {meaning} |"


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "*needed*"
    if isinstance(value, Section) or value in (None, [], {}):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, float):
        return f"`{written_duration(value)}`"
    if isinstance(value, list):
        return f"`[{', '.join(str(item) for item in value)}]`"
    return f"`{value}`"


def _choices(field: FieldInfo) -> str:
    found = list(_literals(field.annotation))
    return f" One of {', '.join(f'`{word}`' for word in found)}." if found else ""


def _literals(annotation: Any) -> typing.Iterator[str]:
    origin = get_origin(annotation)
    if origin is typing.Literal:
        yield from (str(word) for word in get_args(annotation))
    elif origin in (typing.Union, types.UnionType, typing.Annotated):
        for part in get_args(annotation):
            yield from _literals(part)


if __name__ == "__main__":
    TARGET.write_text(page(), encoding="utf-8")
