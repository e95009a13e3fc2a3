"""The commands that steer a run."""

# ruff: noqa: PLC0415 (a command imports what it needs: `winch --help` must be quick)
from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from chatops.cli_common import (
    AsJson,
    NoWait,
    RunNumber,
    Yes,
    actor,
    confirm,
    note,
    show_json,
)
from chatops.cli_jobs import follow_or_not

if TYPE_CHECKING:
    from worker.engine import Engine

_PANEL = "Steer a run"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (retry, skip, pause, resume, approve, abort, rollback):
        app.command(command.__name__, rich_help_panel=_PANEL)(command)


def retry(
    run: RunNumber,
    hosts: Annotated[
        list[str] | None,
        typer.Argument(metavar="[HOST]...", help="Only these; else all that are not done."),
    ] = None,
    yes: Yes = False,
    no_wait: NoWait = False,
    as_json: AsJson = False,
) -> None:
    """Go on with a run from the step that failed.

    Hosts that were never started, cancelled or rolled back are done too, unless hosts are named.

    Examples: winch retry 12 · winch retry 12 web3
    """
    from worker import control

    engine = _ask(run, f"Retry {', '.join(hosts) if hosts else 'what is not done'} of", yes)
    names = control.retry(engine, run, hosts or [], actor())
    _said(run, f"retrying {_some(names)}")
    follow_or_not(run, no_wait=no_wait, as_json=as_json)


def skip(
    run: RunNumber,
    host: Annotated[str, typer.Argument(metavar="HOST", help="The host to leave out.")],
    yes: Yes = False,
    no_wait: NoWait = False,
    as_json: AsJson = False,
) -> None:
    """Leave a host as it is now, give its leases back, and go on with the others.

    A host that failed half-way stays out of rotation: mend it by hand, then `winch enable`.

    Example: winch skip 12 web3
    """
    from worker import control

    engine = _ask(run, f"Leave {host} as it is, and go on with the other hosts of", yes)
    control.skip(engine, run, host, actor())
    _said(run, f"{host} is skipped")
    follow_or_not(run, no_wait=no_wait, as_json=as_json)


def pause(run: RunNumber, as_json: AsJson = False) -> None:
    """Start no further host. Those under way go on to their end, so that none is left out.

    Example: winch pause 12
    """
    from worker import control
    from worker.app import engine

    control.pause(engine(), run, actor())
    _said(run, f"paused; `winch resume {run}` lets it go on")
    _document(run, as_json)


def resume(run: RunNumber, no_wait: NoWait = False, as_json: AsJson = False) -> None:
    """Let a paused run go on.

    Example: winch resume 12
    """
    from chatops.start import ready_engine
    from worker import control

    control.resume(ready_engine(), run, actor())
    _said(run, "goes on")
    follow_or_not(run, no_wait=no_wait, as_json=as_json)


def approve(run: RunNumber, no_wait: NoWait = False, as_json: AsJson = False) -> None:
    """Let the hosts go on that wait for an approval.

    Example: winch approve 12
    """
    from chatops.start import ready_engine
    from worker import control

    names = control.approve(ready_engine(), run, actor())
    _said(run, f"approved for {_some(names)}")
    follow_or_not(run, no_wait=no_wait, as_json=as_json)


def abort(run: RunNumber, yes: Yes = False, as_json: AsJson = False) -> None:
    """End a run now: nothing further starts, steps under way stop between two commands.

    Hosts stay as they are, perhaps out of rotation, and the run's leases are given back. To put
    them back as they were, use `winch rollback`.

    Example: winch abort 12
    """
    from worker import control

    engine = _ask(run, "Hosts stay as they are. Abort", yes)
    control.abort(engine, run, actor())
    _said(run, f"aborted; `winch show {run}` says how each host stands")
    _document(run, as_json)


def rollback(
    run: RunNumber, yes: Yes = False, no_wait: NoWait = False, as_json: AsJson = False
) -> None:
    """Put back every host that a run has changed, as it stood before.

    Exit code 8 when that is done.

    Example: winch rollback 12
    """
    from worker import control

    engine = _ask(run, "Put back every host that was changed by", yes)
    names = control.rollback(engine, run, actor())
    _said(run, f"putting back {_some(names)}")
    follow_or_not(run, no_wait=no_wait, as_json=as_json)


def _ask(run: int, question: str, yes: bool) -> Engine:
    """See that the run is there and the services are, then ask."""
    from chatops.render.recap import brief
    from chatops.start import ready_engine
    from worker.report import run_document

    engine = ready_engine()
    document = run_document(engine.store, run)
    confirm(f"{brief(document)}\n{question} run {run}?", yes=yes, refused="nothing was changed")
    return engine


def _said(run: int, text: str) -> None:
    note(f"run {run}: {text}")


def _some(names: list[str]) -> str:
    from chatops.render.words import listed

    return listed(names)


def _document(run: int, as_json: bool) -> None:
    if as_json:
        from worker.report import run_document
        from worker.store import store

        show_json(run_document(store(), run))
