"""Lists and single runs, as tables."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from chatops.render import hosts
from chatops.render.live import heading
from chatops.render.recap import advice
from chatops.render.words import (
    Document,
    clean,
    clock,
    icon,
    local_time,
    moment,
    one_line,
    style,
    whole,
    word,
)


def make_table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    """Make a plain table: no lines, a quiet header."""
    rows = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in columns:
        rows.add_column(name, justify="right" if name in right else "left", overflow="fold")
    return rows


def _status(status: str) -> Text:
    return Text(f"{icon(status)} {word(status)}", style=style(status), no_wrap=True)


def runs(found: list[Document], *, now: float) -> RenderableType:
    """The newest runs, one a row."""
    if not found:
        return Text("no runs yet; `winch roll POOL` makes one")
    rows = make_table("run", "job", "status", "steps", "time", "asked", "by", "why", right=("run",))
    for run in found:
        begun, ended = moment(run["started_at"]), moment(run["ended_at"])
        took = "" if begun is None else whole((ended or now) - begun)
        rows.add_row(
            str(run["id"]),
            Text(f"{run['job']} {run['target']}"),
            _status(run["status"]),
            f"{run['progress']['done']}/{run['progress']['total']}",
            took,
            local_time(run["created_at"]),
            Text(one_line(run["requested_by"])),
            Text(_why(run)),
        )
    return rows


def _why(run: Document) -> str:
    """Why it was asked for, or what it says of itself; before that, when it starts."""
    at = run.get("start_at")
    if at is None or run["reason"] is None:
        return one_line(run["reason"] or run["detail"])
    return one_line(f"starts {local_time(at)}; {run['reason']}")


def run(document: Document, *, now: float) -> RenderableType:
    """One run: its head, and every host with its steps."""
    head = make_table("", "")
    head.show_header = False
    for name, value in (
        ("asked", local_time(document["created_at"])),
        ("starts", local_time(document.get("start_at"))),
        ("started", local_time(document["started_at"])),
        ("ended", local_time(document["ended_at"])),
        ("variables", ", ".join(f"{k}={v}" for k, v in document["vars"].items())),
        ("detail", clean(document["detail"] or "")),
    ):
        if value:
            head.add_row(Text(name, style="dim"), Text(value))
    rows = make_table("host", "step", "status", "time", "tries", "", right=("time", "tries"))
    for host in document["hosts"]:
        took = clock(hosts.seconds(host, now))
        last = host["steps"][-1]["detail"] if host["steps"] else None
        detail = "" if host["detail"] == last else clean(host["detail"] or "")
        rows.add_row(
            Text(host["name"], style="bold"), "", _status(host["status"]), took, "", detail
        )
        for step in host["steps"]:
            tries = step["attempts"]
            rows.add_row(
                "",
                Text(step["name"]),
                _status(step["status"]),
                clock(hosts.step_seconds(step, now)),
                str(tries) if tries > 1 else "",
                Text(clean(step["detail"] or "")),
            )
    lines = advice(document)
    after = [Text(""), *(Text(f"  {line}") for line in lines)] if lines else []
    return Group(heading(document), head, Text(""), rows, *after)


def logs(commands: list[Document], *, widest: int | None = None) -> RenderableType:
    """Every remote command: when, in which step, where, how it ended, and what it said.

    Lines of output with more than `widest` characters are cut.
    """
    if not commands:
        return Text("no command has run yet")
    return Group(*(_command(command, widest) for command in commands))


def _command(entry: Document, widest: int | None) -> Text:
    text = Text()
    text.append(local_time(entry["at"]), style="dim")
    text.append(f"  {entry['step']}", style="bold")
    text.append(f" of {entry['host']}")
    if entry["attempt"] > 1:
        text.append(f" (try {entry['attempt']})")
    text.append(f"  on {entry['on']}")
    code = entry["exit_code"]
    ended = "no answer" if code is None or code < 0 else f"exit {code}"
    text.append(f"  {ended}", style="dim" if code == 0 else "yellow")
    text.append(f"  {entry['seconds'] * 1000:.0f} ms", style="dim")
    if entry["times"] > 1:
        text.append(f"  × {entry['times']}", style="dim")  # noqa: RUF001 (times)
    sign = "#" if entry["changes"] else "$"  # as shells do: # may change things
    text.append("\n" + _indented(f"{sign} {clean(entry['command'])}", "  "), style="cyan")
    for name in ("stdout", "stderr"):
        said = clean(entry[name]).rstrip()
        if said:
            text.append("\n" + _indented(said, "    ", widest))
    return text


def _indented(text: str, by: str, widest: int | None = None) -> str:
    return "\n".join(by + _cut(line, widest) for line in text.split("\n"))


def _cut(line: str, widest: int | None) -> str:
    if widest is None or len(line) <= widest:
        return line
    return f"{line[:widest]} … ({len(line)} characters; `--json` has them all)"


def leases(held: list[Document]) -> RenderableType:
    """Who holds what."""
    if not held:
        return Text("nobody holds a lease")
    rows = make_table("lease", "run", "job", "status", "host", "by", "since", "number")
    for lease in held:
        rows.add_row(
            Text(lease["name"]),
            str(lease["run"]),
            Text(f"{lease['job']} {lease['target']}"),
            _status(lease["run_status"]),
            Text(lease["host"] or ""),
            Text(one_line(lease["requested_by"])),
            local_time(lease["since"]),
            str(lease["number"]),
        )
    return rows


def freezes(found: list[Document]) -> RenderableType:
    """What is frozen."""
    if not found:
        return Text("nothing is frozen")
    rows = make_table("scope", "until", "by", "since", "why")
    for one in found:
        rows.add_row(
            Text("everything" if one["scope"] == "*" else one["scope"]),
            local_time(one["until"]),
            Text(one_line(one["by"])),
            local_time(one["since"]),
            Text(one_line(one["reason"])),
        )
    return rows


def audit(entries: list[Document]) -> RenderableType:
    """Who asked for what, and what came of it."""
    if not entries:
        return Text("nothing was asked for yet")
    rows = make_table("when", "who", "what", "target", "run", "outcome", "", right=("run",))
    for entry in entries:
        rows.add_row(
            local_time(entry["at"]),
            Text(one_line(entry["actor"])),
            Text(entry["action"]),
            Text(entry["target"]),
            "" if entry["run"] is None else str(entry["run"]),
            Text(word(entry["outcome"])),
            Text(one_line(entry["detail"])),
        )
    return rows
