"""How a run ended: each host's result, every failure in full, and what to do next."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from chatops.render import hosts
from chatops.render.live import summary
from chatops.render.words import (
    ENDED,
    Document,
    clean,
    clock,
    count,
    icon,
    listed,
    moment,
    one_line,
    style,
    title,
    whole,
    word,
)

MOST_ROWS = 60  # hosts; of more, only those that did not succeed are listed
MOST_FAILURES = 20

_DULL = frozenset({"succeeded", "pending", "cancelled"})

_MEANING = {
    3: "refused before anything changed",
    4: "a host is unreachable",
    6: "a lease is held by another run",
}


def recap(document: Document, *, now: float) -> RenderableType:
    """Render the end of a run (or how it stands)."""
    shown = document["hosts"]
    rest: list[Document] = []
    if len(shown) > MOST_ROWS:
        rest = [host for host in shown if host["status"] in _DULL]
        shown = [host for host in shown if host["status"] not in _DULL]
    parts: list[RenderableType] = [_table(shown, now)]
    if rest:
        parts.append(Text(f"and {summary(rest)}"))
    parts += [Text(""), *_failures(document), verdict(document)]
    parts += [Text(f"  {line}") for line in advice(document)]
    return Group(*parts)


def _table(some: list[Document], now: float) -> Table:
    rows = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("host", "result", "time", "steps"):
        rows.add_column(name, no_wrap=True, justify="right" if name == "time" else "left")
    for host in some:
        status = host["status"]
        rows.add_row(
            Text(host["name"]),
            Text(f"{icon(status)} {word(status)}", style=style(status)),
            Text(clock(hosts.seconds(host, now))),
            _steps(host, now),
        )
    return rows


def _steps(host: Document, now: float) -> Text:
    """Its steps and their times: `drain 1.2 s · redeploy 3 s · …`, coloured by their status."""
    text = Text()
    for step in host["steps"]:
        if step["status"] in ("pending", "cancelled"):
            continue
        if text:
            text.append(" · ", style="dim")
        name = step["name"].rpartition(".")[2].replace("_", " ")
        mark = f"{icon(step['status'])} " if step["status"] == "failed" else ""
        took = clock(hosts.step_seconds(step, now))
        text.append(f"{mark}{name} {took}".rstrip(), style=style(step["status"]))
    return text


def _failures(document: Document) -> list[Text]:
    bad = [host for host in document["hosts"] if host["status"] in ("failed", "rolled_back")]
    lines = []
    for host in bad[:MOST_FAILURES]:
        line = Text()
        line.append(f"{icon(host['status'])} {host['name']}", style=style(host["status"]))
        line.append(f": {clean(hosts.said(host))}")
        lines.append(line)
    if len(bad) > MOST_FAILURES:
        lines.append(Text(f"… and {count(len(bad) - MOST_FAILURES, 'host')} more"))
    if not bad and document["detail"] and document["status"] != "succeeded":
        lines.append(Text(clean(document["detail"])))
    return lines


def verdict(document: Document) -> Text:
    """The run's name and how it ended, in how long."""
    status = document["status"]
    text = Text()
    text.append(title(document), style="bold")
    text.append(" · ")
    text.append(f"{icon(status)} {word(status)}", style=style(status))
    begun, ended = moment(document["started_at"]), moment(document["ended_at"])
    if begun is not None and ended is not None:
        text.append(f" in {whole(ended - begun)}")
    if status == "succeeded":
        text.append(f": {_hosts_done(document)}")
    elif document["exit_code"] is not None:
        code = document["exit_code"]
        text.append(f" ({_MEANING[code]}, exit {code})" if code in _MEANING else f" (exit {code})")
    return text


def _hosts_done(document: Document) -> str:
    counts = hosts.tally(document)
    done = counts.pop("succeeded", 0)
    others = "".join(f", {number} {word(status)}" for status, number in counts.items())
    return count(done, "host") + others


def advice(document: Document) -> list[str]:
    """Commands that make sense now, each with what it does."""
    run, status, code = document["id"], document["status"], document["exit_code"]
    broken = [host["name"] for host in document["hosts"] if host["status"] == "failed"]
    back = [host["name"] for host in document["hosts"] if host["status"] == "rolled_back"]
    waiting = hosts.hosts_to_approve(document)
    whole_run = hosts.waits_for_approval(document)
    first = (broken or back or [""])[0]
    logs = (f"winch logs {run} {first}".rstrip(), "every command that ran, with its output")
    steer: list[tuple[str, str]] = []
    if whole_run:
        steer = [(f"winch approve {run}", "let it begin"), (f"winch abort {run}", "give it up")]
    elif waiting:
        steer = [(f"winch approve {run}", f"let {listed(waiting)} go on"), _rollback(run)]
    elif status == "paused":
        steer = [(f"winch resume {run}", "let it go on")]
    elif status == "failed":
        steer = [(f"winch retry {run}", "when the cause is mended: go on from the failed step")]
        if broken and not _nothing_changed(code):
            steer += [
                logs,
                (f"winch skip {run} {first}", "leave that host as it is and do the others"),
                _rollback(run),
                (f"winch abort {run}", "give up: leave all as it is, free its leases"),
            ]
        elif broken:
            steer.append(logs)
    elif status == "rolled_back":
        steer = [(f"winch retry {run}", "when the cause is mended: try again"), logs]
    elif status == "aborted":
        steer = [
            (f"winch show {run}", "how each host stands"),
            (f"winch retry {run}", "go on after all"),
            _rollback(run),
        ]
    elif status not in ENDED:
        steer = [(f"winch watch {run}", "follow it")]
    width = max((len(command) for command, _ in steer), default=0)
    return [f"{command:<{width}}  {why}" for command, why in steer]


def _rollback(run: int) -> tuple[str, str]:
    return f"winch rollback {run}", "put back every host that it has changed"


def _nothing_changed(code: int | None) -> bool:
    return code in (3, 6)


def brief(document: Document) -> str:
    """One line for logs and messages."""
    return one_line(verdict(document).plain)
