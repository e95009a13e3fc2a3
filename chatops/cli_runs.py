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
        ("audit", audit),
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
    from worker.report import run_list
    from worker.store import store

    found = run_list(store(), limit=limit)
    if as_json:
        show_json(found)
    else:
        show(table(found, now=store().now()))


def show_run(run: RunNumber, as_json: AsJson = False) -> None:
    """Show one run: every host, every step, how long it took and what it said.

    Example: winch show 12 --json
    """
    from chatops.render.lists import run as table
    from worker.report import run_document
    from worker.store import store

    document = run_document(store(), run)
    if as_json:
        show_json(document)
    else:
        show(table(document, now=store().now()))


def watch(run: RunNumber, as_json: AsJson = False) -> None:
    """Follow a run to its end. Ctrl-C stops following, not the run.

    The exit code is the run's: 0 done, 2 failed, 7 waits for approval, 8 rolled back, and so on.

    Example: winch watch 12
    """
    from chatops.follow import follow
    from worker.store import store

    raise typer.Exit(follow(store(), run, as_json=as_json))


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
    from worker.report import run_commands
    from worker.store import store

    commands = run_commands(store(), run, host)
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
    from worker.report import lease_list
    from worker.store import store

    held = lease_list(store())
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
    from chatops.start import ready_engine
    from worker import control

    engine = ready_engine()
    confirm(f"Break lease {name}?", yes=yes, refused="nothing was changed")
    holder = control.break_lease(engine, name, reason, actor())
    note(f"lease {name} was taken from run {holder}")


def audit(limit: Most = 50, as_json: AsJson = False) -> None:
    """List who asked for what, from where, and what came of it; newest first."""
    from sqlmodel import col, select

    from chatops.render.lists import audit as table
    from worker.models import Audit
    from worker.report import iso
    from worker.store import store

    with store().read() as session:
        rows = session.exec(select(Audit).order_by(col(Audit.id).desc()).limit(limit)).all()
    entries = [
        {
            "at": iso(row.at),
            "actor": row.actor,
            "action": row.action,
            "target": row.target,
            "run": row.run_id,
            "outcome": row.outcome,
            "detail": row.detail,
        }
        for row in rows
    ]
    if as_json:
        show_json(entries)
    else:
        show(table(entries))
