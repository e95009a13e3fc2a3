"""What `winch pair status` shows."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from chatops.render.lists import make_table
from chatops.render.words import Document, clean, one_line


def pair_status(document: Document) -> RenderableType:
    """The pairs: who holds what, since when, and what would happen if."""
    parts: list[RenderableType] = []
    for pair in document["pairs"]:
        parts += [Text(f"pair {pair['name']}", style="bold"), _addresses(pair)]
        for address in pair["addresses"]:
            if address["verdict"] != "healthy":
                parts.append(Text(f"✗ {address['verdict']}: {clean(address['detail'])}", "red"))
        parts += [Text(f"  {clean(text)}", "dim") for text in pair["prospects"]]
        parts.append(Text(""))
    return Group(*parts[:-1])


def _addresses(pair: Document) -> RenderableType:
    rows = make_table("address", "member", "holds it", "state", "since", "priority", "preemption")
    for address in pair["addresses"]:
        for name, instance in address["states"].items():
            home = " (home)" if name == address["home"] else ""
            holds = name in address["holders"]
            said = instance or {}
            rows.add_row(
                Text(address["ip"]),
                Text(f"{name}{home}", style="bold" if holds else ""),
                Text("yes" if holds else "-", style="green" if holds else "dim"),
                Text(one_line(said.get("state") or "says nothing")),
                Text(_ago(said.get("seconds"))),
                Text(_priority(said)),
                Text(_preemption(said)),
            )
    return rows


def _ago(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _priority(instance: Document) -> str:
    if not instance:
        return "-"
    now, base = instance["effective_priority"], instance["priority"]
    return f"{now}" if now == base else f"{now} of {base}"


def _preemption(instance: Document) -> str:
    if not instance:
        return "-"
    if instance["nopreempt"]:
        return "nopreempt"
    delay = instance["preempt_delay"]
    return f"after {delay:g} s" if delay else "at once"
