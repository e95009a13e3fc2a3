"""The commands that look: at runs, their logs, leases and the audit."""

# ruff: noqa: PLC0415 (a command imports what it needs: `winch --help` must be quick)
from __future__ import annotations

import sys
from typing import Annotated

import typer

from chatops.cli_common import AsJson, RunNumber, Yes, actor, confirm, note, show, show_json

_PANEL = "Runs"

Most = Annotated[int, typer.Option("--limit", min=1, max=10_000, help="How many, at most.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for name, command in (
        ("runs", runs),
        ("show", show_run),
        ("watch", watch),
        ("logs", logs),
        ("leases", leases),
    ):
        app.command(name, rich_help_panel=_PANEL)(command)
    lease = typer.Typer(help="Break a lease that nobody will give back.")
    lease.command("break")(break_lease)
    app.add_typer(lease, name="lease", rich_help_panel="Steer a run")


def runs(limit: Most = 20, as_json: AsJson = False) -> None:
    """List the runs, newest first.

    Example: winch runs --limit 5
    """
    from chatops.render.lists import runs as table
    from chatops.reports import run_list, source

    found = run_list(source(), limit=limit)
    if as_json:
        show_json(found)
    else:
        show(table(found, now=source().now()))


def show_run(run: RunNumber, as_json: AsJson = False) -> None:
    """Show one run: every host, every step, how long it took and what it said.

    Example: winch show 12 --json
    """
    from chatops.render.lists import run as table
    from chatops.reports import run_document, source

    document = run_document(source(), run)
    if as_json:
        show_json(document)
    else:
        show(table(document, now=source().now()))


def watch(run: RunNumber, as_json: AsJson = False) -> None:
    """Follow a run to its end. Ctrl-C stops following, not the run.

    The exit code is the run's: 0 done, 2 failed, 7 waits for approval, 8 rolled back, and so on.

    Example: winch watch 12
    """
    from chatops.follow import follow
    from chatops.reports import source

    raise typer.Exit(follow(source(), run, as_json=as_json))


def logs(
    run: RunNumber,
    host: Annotated[
        str | None, typer.Argument(metavar="[HOST]", help="Only what was run for this host.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show every remote command of a run: when, where, exit code, and what it printed.

    `#` marks commands that may change something, `$` those that only look. A command that gave
    the same answer many times in a row is shown once, with how many times that was.

    Example: winch logs 12 web1
    """
    from chatops.render.lists import logs as text
    from chatops.reports import run_commands, source

    commands = run_commands(source(), run, host)
    if as_json:
        show_json(commands)
    else:
        # On a screen one line of HAProxy's statistics would fill half of it.
        show(text(commands, widest=240 if sys.stdout.isatty() else None))


def leases(as_json: AsJson = False) -> None:
    """List who holds which lease, since when, and for which run.

    A run that failed half-way keeps its leases, so that nobody takes out the other half. They are
    given back when it is retried, skipped, rolled back or aborted.
    """
    from chatops.render.lists import leases as table
    from chatops.reports import lease_list, source

    held = lease_list(source())
    if as_json:
        show_json(held)
    else:
        show(table(held))


def break_lease(
    name: Annotated[str, typer.Argument(metavar="NAME", help="As `winch leases` shows it.")],
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why: kept in the audit.")
    ],
    yes: Yes = False,
) -> None:
    """Take a lease away from the run that holds it. The last resort.

    Better: `winch retry`, `skip`, `rollback` or `abort` that run. The hosts refuse whatever the
    run still sends under the broken lease.

    Example: winch lease break host:web1 --reason "run 12's site is gone"
    """
    from chatops.far import far
    from chatops.start import ready_engine
    from worker import control

    away = far()
    engine = None if away is not None else ready_engine()
    confirm(f"Break lease {name}?", yes=yes, refused="nothing was changed")
    if away is not None:
        holder = away.break_lease(name, reason)
    elif engine is not None:
        holder = control.break_lease(engine, name, reason, actor())
    note(f"lease {name} was taken from run {holder}")


def audit(limit: Most = 50, as_json: AsJson = False) -> None:
    """List who asked for what, from where, and what came of it; newest first."""
    from chatops.render.lists import audit as table
    from chatops.reports import audit_lines, source

    entries = audit_lines(source(), limit)
    if as_json:
        show_json(entries)
    else:
        show(table(entries))
