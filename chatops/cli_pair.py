"""The commands on VRRP pairs."""

# ruff: noqa: PLC0415 (a command imports what it needs: `winch --help` must be quick)
from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from chatops.cli_asking import Asking, Choice, Limit, ask_and_follow, with_groups
from chatops.cli_common import AsJson, Fleet, fleet_path, note, show, show_json
from worker.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tasks.keepalived.observe import Seen
    from tasks.keepalived.params import Pair

Pairs = Annotated[
    list[str], typer.Argument(metavar="PAIR...", help="Pairs of the fleet file, a,b or a b.")
]
OnePair = Annotated[str, typer.Argument(metavar="PAIR", help="A pair of the fleet file.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    pair = typer.Typer(help="VRRP pairs: who holds what; prepare, fail over, upgrade.")
    pair.command("status")(status)
    pair.command("prepare")(prepare)
    pair.command("failover")(failover)
    pair.command("upgrade")(upgrade)
    app.add_typer(pair, name="pair", rich_help_panel="Jobs")


def status(
    context: typer.Context, pairs: Pairs, as_json: AsJson = False, fleet: Fleet = None
) -> None:
    """Say who really holds each address, since when, and what would happen if.

    From the addresses on the interfaces and keepalived's own data. Members are reached from here,
    whatever their site. Nothing is changed.

    Exit: 0 all is well, 3 a pair is not (split brain, no holder, FAULT), 4 a member is unreachable.

    Example: winch pair status edge
    """
    from chatops.pairs import status as document_of
    from chatops.render.pair import pair_status

    document, code = document_of(_seen(fleet_path(context, fleet), pairs))
    if as_json:
        show_json(document)
    else:
        show(pair_status(document))
    raise typer.Exit(code)


@with_groups
def prepare(
    context: typer.Context,
    pairs: Pairs,
    asking: Asking,
    install: Annotated[
        bool,
        typer.Option("--install", help="Add the lines, if `keepalived -t` accepts them; reload."),
    ] = False,
    undo: Annotated[
        bool, typer.Option("--undo", help="Remove what --install has added; reload.")
    ] = False,
    limit: Limit = None,
) -> None:
    """Show the lines that let keepalived watch a track_file: a failover without a gap.

    With --install they are added on both members, the BACKUP first, and keepalived is reloaded.

    Examples:

    winch pair prepare edge

    winch pair prepare edge --install
    """
    path = fleet_path(context, asking.fleet)
    if install and undo:
        raise UsageError("pair prepare: give one of --install and --undo")
    if not install and not undo:
        from chatops.pairs import missing_lines

        said = missing_lines(_seen(path, pairs))
        sys.stdout.write("\n\n".join(said) + "\n")
        return
    from chatops.pairs import backups
    from workflows.options import Options

    options = Options(limit=_words(limit), first=backups(_seen(path, pairs)))
    job = "pair.prepare" if install else "pair.unprepare"
    ask_and_follow(context, job, ",".join(pairs), None, options, asking)


@with_groups
def failover(
    context: typer.Context,
    pair: OnePair,
    asking: Asking,
    host: Annotated[
        str | None,
        typer.Argument(metavar="[HOST]", help="Who gives up what it holds; else the holder."),
    ] = None,
    back: Annotated[
        bool, typer.Option("--back", help="Let the members take their places again.")
    ] = False,
) -> None:
    """Let the other member hold the addresses, without a gap where that is possible.

    The host that gave up stays away until `--back`, or `winch rollback RUN`.

    Exit: 0 done, 2 failed, 3 refused before anything changed, 4 a member is unreachable.

    Examples:

    winch pair failover edge --reason "new disk in lb1"

    winch pair failover edge --back
    """
    from workflows.options import Options

    path = fleet_path(context, asking.fleet)
    limit = _words([host] if host else None)
    if not back:
        from chatops.pairs import holders

        seen = _seen(path, [pair])
        if not limit:
            found = holders(seen)
            limit = tuple(names[0] for names in found.values() if len(names) == 1)
        _say_gaps(seen)
    job = "pair.failback" if back else "pair.failover"
    ask_and_follow(context, job, pair, None, Options(limit=limit), asking)


@with_groups
def upgrade(context: typer.Context, pairs: Pairs, choice: Choice, asking: Asking) -> None:
    """Upgrade both members of a pair: the BACKUP, failover, the former MASTER, home again.

    Each member gives up what it holds, is redeployed (`redeploy` of the pair), verified, and takes
    its place again. If the first one does not verify, it is put back, and the other is not touched.
    Several pairs go at once.

    Exit: 0 done, 2 failed on a host, 3 refused before anything changed, 4 a host is unreachable,
    5 wrong usage or fleet file, 6 a lease is held by another run, 8 rolled back, 99 interrupted.

    Examples:

    winch pair upgrade edge --set version=2.6.12

    winch pair upgrade edge core --yes
    """
    from dataclasses import replace

    from chatops.pairs import backups

    options = choice.options()
    seen = _seen(fleet_path(context, asking.fleet), pairs)
    _say_gaps(seen)
    options = replace(options, first=backups(seen))
    ask_and_follow(context, "pair.upgrade", ",".join(pairs), None, options, asking)


def _seen(path: Path, names: Sequence[str]) -> list[tuple[Pair, Seen]]:
    from chatops.pairs import see
    from workflows.fleet import load_fleet
    from workflows.pair import find_pairs

    fleet = load_fleet(path)
    return see(fleet, find_pairs(fleet, ",".join(names)))


def _say_gaps(seen: Sequence[tuple[Pair, Seen]]) -> None:
    """Say beforehand what will cost the clients a gap."""
    from chatops.pairs import gaps

    for text in gaps(seen):
        note(text)


def _words(texts: list[str] | None) -> tuple[str, ...]:
    from workflows.options import words

    return words(texts or ())
