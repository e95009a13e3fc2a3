"""In which phase each host's nginx is."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from chatops.render.lists import make_table
from chatops.render.words import Document, clean, count, one_line, whole

_STEADY = "steady"


def status_table(document: Document) -> RenderableType:
    """A row a host, a line for each master while there are two, and what is to be said."""
    rows = make_table(
        "host", "phase", "version", "on disk", "masters", "workers", "held by old workers"
    )
    notes: list[Text] = []
    for host in document["hosts"]:
        if host["phase"] is None:
            rows.add_row(Text(host["name"], style="bold"), Text("✗ not known", style="bold red"))
            notes.append(_line("✗ ", host["error"], "bold red"))
            continue
        good = host["phase"] == _STEADY
        how = f": {host['how']}" if host["how"] else ""
        rows.add_row(
            Text(host["name"], style="bold"),
            Text(one_line(host["phase"]), style="green" if good else "bold yellow"),
            Text(one_line(" → ".join(host["versions"]))),
            Text(one_line(host["on_disk"] or "none")),
            Text(one_line(", ".join(_master(master) for master in host["masters"]))),
            Text(", ".join(_workers(master) for master in host["masters"])),
            Text(_held(host)),
        )
        said = [f"{host['phase']}{how}"] if how else []
        notes += [
            _line("  ", f"{host['name']}: {one}", "yellow") for one in [*said, *host["notes"]]
        ]
    parts: list[RenderableType] = [rows]
    return Group(*parts, *([Text(""), *notes] if notes else []))


def _master(master: Document) -> str:
    role = "" if master["role"] == "master" else f" ({master['role']})"
    deaf = "" if master["listening"] else " not listening"
    return f"{master['pid']}{role}{deaf}"


def _workers(master: Document) -> str:
    leaving = f" + {master['leaving']} leaving" if master["leaving"] else ""
    return f"{master['workers']}{leaving}"


def _held(host: Document) -> str:
    if host["held_for"] is None:
        return ""
    return f"{count(host['held_connections'], 'connection')}, up to {whole(host['held_for'])}"


def _line(sign: str, text: str, style: str) -> Text:
    line = Text(sign, style=style)
    line.append(clean(text), style="not bold default")
    return line
