"""The commands `winch notify check`, `test` and `status`."""

# ruff: noqa: PLC0415 (a command imports what it needs: `winch --help` must be quick)
from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from chatops.cli_common import AsJson, note, show, show_json

File = Annotated[
    Path | None,
    typer.Option("--file", metavar="FILE", help="The notify file. Else WINCH_NOTIFY_FILE."),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    notify = typer.Typer(help="Who is told when a run fails, waits for approval, …")
    notify.command("check")(check)
    notify.command("test")(send)
    notify.command("status")(status)
    app.add_typer(notify, name="notify", rich_help_panel="This machine")


def check(file: File = None, as_json: AsJson = False) -> None:
    """Check the notify file and each receiver's URL; nothing is sent, and no URL is shown.

    Exit: 0 all can be used, 5 something is wrong.
    """
    from chatops.notify.config import load_table, notify_path, read_url
    from chatops.notify.events import USUAL
    from chatops.notify.receiver import AppriseReceiver
    from worker.errors import UsageError

    path = notify_path(file)
    table = load_table(path)
    found: list[dict[str, Any]] = []
    problems: list[str] = []
    for name, receiver in table.receivers.items():
        where = receiver.url_env or receiver.url_file
        document: dict[str, Any] = {"name": name, "url_from": where, "service": None}
        try:
            url = read_url(name, receiver, path.parent)
            document["service"] = AppriseReceiver(name, url, receiver.timeout).service
        except UsageError as error:
            problems.append(str(error))
        routes = [route for route in table.routes if name in route.to]
        document["events"] = list(
            dict.fromkeys(event for route in routes for event in (route.events or USUAL))
        )
        found.append(document)
    if as_json:
        show_json({"file": str(path), "receivers": found, "problems": problems})
    else:
        for one in found:
            told = ", ".join(one["events"]) or "nothing: no route names it"
            sys.stdout.write(f"{one['name']}: {one['service'] or 'cannot be used'}; told {told}\n")
    if problems:
        raise UsageError("\n".join(problems))


def send(
    name: Annotated[str, typer.Argument(metavar="RECEIVER", help="As the notify file names it.")],
    file: File = None,
) -> None:
    """Send a receiver a test message now. Exit: 0 sent, 1 not.

    Example: winch notify test ops-mail
    """
    from chatops.notify.config import NotifyFile, load_table, notify_path
    from chatops.notify.sender import send_test
    from worker.errors import UsageError, WinchError
    from workflows.problems import nearest
    from workflows.values import shown

    path = notify_path(file)
    table = load_table(path)
    if name not in table.receivers:
        raise UsageError(f"there is no receiver {shown(name)}{nearest(name, table.receivers)}")
    done = send_test(name, NotifyFile(path))
    if done.result != "sent":
        doubt = "; perhaps it arrived" if done.result == "unknown" else ""
        raise WinchError(f"receiver {name}: {done.detail}{doubt}")
    note(f"sent to {name}")


def status(
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="At most so many.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Show what was sent to whom, and what could not be; the newest first."""
    from rich.table import Table

    from chatops.notify.outbox import recent, standing
    from worker.store import store

    counts, rows = standing(store()), recent(store(), limit)
    if as_json:
        show_json({"receivers": counts, "messages": rows})
        return
    for name, states in sorted(counts.items()):
        said = ", ".join(f"{number} {state}" for state, number in sorted(states.items()))
        sys.stdout.write(f"{name}: {said}\n")
    table = Table(box=None, pad_edge=False)
    for column in ("AT", "RECEIVER", "EVENT", "RUN", "STATE", "TRIES", "DETAIL"):
        table.add_column(column)
    for row in rows:
        run = "" if row["run"] is None else str(row["run"])
        words = (row["at"], row["receiver"], row["event"], run, row["state"])
        table.add_row(*words, str(row["attempts"]), row["detail"] or "")
    show(table)
