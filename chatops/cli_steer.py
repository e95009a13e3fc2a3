"""The commands that steer a run."""

# ruff: noqa: PLC0415 (a command imports what it needs: `winch --help` must be quick)
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from chatops.cli_asking import follow_or_not, with_groups
from chatops.cli_common import (
    AsJson,
    NoWait,
    OverrideFreeze,
    RunNumber,
    Yes,
    actor,
    confirm,
    note,
    show_json,
)

if TYPE_CHECKING:
    from chatops.orders import Override

_PANEL = "Steer a run"


@dataclass(frozen=True)
class Overriding:
    """That hosts are to start although a freeze holds."""

    override_freeze: OverrideFreeze = False
    reason: Annotated[
        str | None, typer.Option("--reason", metavar="TEXT", help="Why: with --override-freeze.")
    ] = None

    def override(self) -> Override:
        """Read them.

        Raises:
            UsageError: a reason for nothing.
        """
        from chatops.orders import Override
        from worker.errors import UsageError

        if self.reason is not None and not self.override_freeze:
            raise UsageError("--reason is kept with --override-freeze only")
        return Override(self.override_freeze, self.reason)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (retry, skip, pause, resume, approve, abort, rollback):
        app.command(command.__name__, rich_help_panel=_PANEL)(command)


@with_groups
def retry(
    run: RunNumber,
    overriding: Overriding,
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
    override = overriding.override()
    _ask(run, f"Retry {', '.join(hosts) if hosts else 'what is not done'} of", yes)
    names = _steer("retry", run, hosts or [], override)
    _said(run, f"retrying {_some(names)}")
    follow_or_not(run, no_wait=no_wait, as_json=as_json)


@with_groups
def skip(
    run: RunNumber,
    host: Annotated[str, typer.Argument(metavar="HOST", help="The host to leave out.")],
    overriding: Overriding,
    yes: Yes = False,
    no_wait: NoWait = False,
    as_json: AsJson = False,
) -> None:
    """Leave a host as it is now, give its leases back, and go on with the others.

    A host that failed half-way stays out of rotation: mend it by hand, then `winch enable`.

    Example: winch skip 12 web3
    """
    override = overriding.override()
    _ask(run, f"Leave {host} as it is, and go on with the other hosts of", yes)
    _steer("skip", run, [host], override)
    _said(run, f"{host} is skipped")
    follow_or_not(run, no_wait=no_wait, as_json=as_json)


def pause(run: RunNumber, as_json: AsJson = False) -> None:
    """Start no further host. Those under way go on to their end, so that none is left out.

    Example: winch pause 12
    """
    _steer("pause", run)
    _said(run, f"paused; `winch resume {run}` lets it go on")
    _document(run, as_json)


@with_groups
def resume(
    run: RunNumber, overriding: Overriding, no_wait: NoWait = False, as_json: AsJson = False
) -> None:
    """Let a paused run go on.

    Example: winch resume 12
    """
    _steer("resume", run, [], overriding.override())
    _said(run, "goes on")
    follow_or_not(run, no_wait=no_wait, as_json=as_json)


@with_groups
def approve(
    run: RunNumber, overriding: Overriding, no_wait: NoWait = False, as_json: AsJson = False
) -> None:
    """Let the hosts go on that wait for an approval.

    Example: winch approve 12
    """
    names = _steer("approve", run, [], overriding.override())
    _said(run, f"approved for {_some(names)}")
    follow_or_not(run, no_wait=no_wait, as_json=as_json)


def abort(run: RunNumber, yes: Yes = False, as_json: AsJson = False) -> None:
    """End a run now: nothing further starts, steps under way stop between two commands.

    Hosts stay as they are, perhaps out of rotation, and the run's leases are given back. To put
    them back as they were, use `winch rollback`.

    Example: winch abort 12
    """
    _ask(run, "Hosts stay as they are. Abort", yes)
    _steer("abort", run)
    _said(run, f"aborted; `winch show {run}` says how each host stands")
    _document(run, as_json)


def rollback(
    run: RunNumber, yes: Yes = False, no_wait: NoWait = False, as_json: AsJson = False
) -> None:
    """Put back every host that a run has changed, as it stood before.

    Exit code 8 when that is done.

    Example: winch rollback 12
    """
    _ask(run, "Put back every host that was changed by", yes)
    names = _steer("rollback", run)
    _said(run, f"putting back {_some(names)}")
    follow_or_not(run, no_wait=no_wait, as_json=as_json)


def _steer(
    action: str, run: int, hosts: Sequence[str] = (), override: Override | None = None
) -> list[str]:
    """Do it by the one desk that all ways in have; the access file may bind this user, too."""
    from chatops.access import access_file
    from chatops.desk import Desk
    from chatops.far import far
    from chatops.orders import NO_OVERRIDE
    from chatops.start import ready_engine
    from worker.app import engine
    from worker.settings import settings

    override = override or NO_OVERRIDE
    away = far()
    if away is not None:
        return away.steer(action, run, hosts, override=override.why)
    rules = access_file()
    # To pause is all that can be done while Redis is away, and the last thing to be kept from.
    desk = Desk(engine() if action == "pause" else ready_engine(), rules, settings().fleet)
    principal = rules.current().principal(actor())
    return desk.steer(principal, action, run, hosts, override=override)


def _ask(run: int, question: str, yes: bool) -> None:
    """See that the run is there and the services are, then ask."""
    from chatops.far import far
    from chatops.render.recap import brief
    from chatops.reports import run_document, source
    from chatops.start import ready_engine

    if far() is None:
        ready_engine()
    document = run_document(source(), run)
    confirm(f"{brief(document)}\n{question} run {run}?", yes=yes, refused="nothing was changed")


def _said(run: int, text: str) -> None:
    note(f"run {run}: {text}")


def _some(names: list[str]) -> str:
    from chatops.render.words import listed

    return listed(names)


def _document(run: int, as_json: bool) -> None:
    if as_json:
        from chatops.reports import run_document, source

        show_json(run_document(source(), run))
