"""The live table: a row a host, a progress bar, and what a person should know."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from chatops.render import hosts
from chatops.render.words import (
    ENDED,
    IN_FLIGHT,
    Document,
    clock,
    count,
    icon,
    moment,
    one_line,
    style,
    title,
    whole,
    word,
)

_AROUND = 7  # lines that are no rows: title, header, rule, summary, bar, and two notes
_FEWEST = 3


def live(
    document: Document, *, now: float, height: int, notes: Sequence[str] = ()
) -> RenderableType:
    """Render a run while it goes on, in at most `height` lines."""
    room = max(_FEWEST, height - _AROUND - len(notes))
    shown, hidden = choose(document["hosts"], room)
    parts: list[RenderableType] = [heading(document), table(shown, now)]
    if hidden:
        parts.append(Text(f"  and {summary(hidden)}", style="dim"))
    parts.append(progress(document, now))
    parts += [Text(note, style="yellow") for note in notes]
    return Group(*parts)


def choose(all_hosts: list[Document], room: int) -> tuple[list[Document], list[Document]]:
    """Choose the rows: all if there is room; else what is under way and what failed, first.

    Returns what is shown, in the plan's order, and the rest.
    """
    if len(all_hosts) <= room:
        return all_hosts, []
    wanted = [host for host in all_hosts if host["status"] in IN_FLIGHT]
    wanted += [host for host in all_hosts if host["status"] == "failed"]
    wanted += [host for host in all_hosts if host["status"] == "rolled_back"]
    names = {host["name"] for host in wanted[: room - 1]}
    shown = [host for host in all_hosts if host["name"] in names]
    return shown, [host for host in all_hosts if host["name"] not in names]


def summary(some: list[Document]) -> str:
    """Count hosts by status: `612 done, 40 pending`."""
    counts: dict[str, int] = {}
    for host in some:
        name = "done" if host["status"] == "succeeded" else word(host["status"])
        counts[name] = counts.get(name, 0) + 1
    return ", ".join(f"{number} {name}" for name, number in counts.items())


def heading(document: Document) -> Text:
    """The run's name, its status, who asked for it and why."""
    status = document["status"]
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(title(document), style="bold")
    text.append(" · ")
    text.append(f"{icon(status)} {word(status)}", style=style(status))
    text.append(f" · by {one_line(document['requested_by'])}", style="dim")
    if document["reason"]:
        text.append(f" · {one_line(document['reason'])}", style="dim")
    if document["detail"] and status not in ENDED:
        text.append(f" · {one_line(document['detail'])}")
    return text


def table(some: list[Document], now: float) -> Table:
    """A row a host."""
    rows = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    rows.add_column("host", no_wrap=True)
    rows.add_column("status", no_wrap=True)
    rows.add_column("step", no_wrap=True)
    rows.add_column("time", no_wrap=True, justify="right")
    rows.add_column("")  # the one that gives way when the screen is narrow
    for host in some:
        rows.add_row(*_row(host, now))
    return rows


def _row(host: Document, now: float) -> list[Text]:
    status = host["status"]
    step = hosts.step_now(host) if status != "succeeded" else None
    name = "" if step is None or status in ("pending", "cancelled", "skipped") else step["name"]
    said = one_line(hosts.said(host)).removeprefix(f"{name}: ").removeprefix(f"{host['name']}: ")
    return [
        Text(host["name"]),
        Text(f"{icon(status)} {word(status)}", style=style(status)),
        Text(name),
        Text(clock(hosts.seconds(host, now)), style="dim"),
        Text(said, no_wrap=True, overflow="ellipsis"),
    ]


def progress(document: Document, now: float) -> Table:
    """The bar: steps done of all, hosts done of all, time since the start."""
    done, total = document["progress"]["done"], document["progress"]["total"]
    ready = sum(host["status"] in ("succeeded", "skipped") for host in document["hosts"])
    begun = moment(document["started_at"] or document["created_at"])
    ended = moment(document["ended_at"])
    elapsed = "" if begun is None else whole(max(0.0, (ended or now) - begun))
    line = Table.grid(padding=(0, 1))
    line.add_column()
    line.add_column(no_wrap=True)
    line.add_row(
        ProgressBar(total=max(total, 1), completed=done, width=30),
        Text(
            f"{ready} of {count(len(document['hosts']), 'host')} · "
            f"{done} of {count(total, 'step')} · {elapsed}"
        ),
    )
    return line
