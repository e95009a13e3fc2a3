"""The commands that keep jobs from starting."""

# ruff: noqa: PLC0415 (a command imports what it needs: `winch --help` must be quick)
from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from chatops.cli_common import AsJson, Fleet, actor, fleet_path, note, show, show_json, warn

if TYPE_CHECKING:
    from chatops.authorise import Principal

Scope = Annotated[
    str | None,
    typer.Argument(
        metavar="[SCOPE]",
        help="pool:web, pair:*, nginx:edge, balancer:lb1; without, or *: everything.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("freeze", rich_help_panel="Steer a run")(freeze)
    app.command("unfreeze", rich_help_panel="Steer a run")(unfreeze)
    app.command("freezes", rich_help_panel="Runs")(freezes)


def freeze(
    context: typer.Context,
    until: Annotated[
        str,
        typer.Option(
            "--until", metavar="TIME", help="18:00, tomorrow 06:00, 2026-12-27T06:00, 2h, 3d."
        ),
    ],
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why: whoever is stopped is told.")
    ],
    scope: Scope = None,
    as_json: AsJson = False,
    fleet: Fleet = None,
) -> None:
    """Let no job start in a scope until a time, whoever asks and from wherever.

    Runs under way are not touched; they can be paused, aborted and rolled back as always. What
    lets hosts start (retry, resume, approve, and skip of a run that has ended) is refused too.
    `--override-freeze --reason TEXT` is for admins, and is recorded. It ends by itself.

    Times are those of this machine's zone, unless they say another one.

    Examples:

    winch freeze --until "mon 06:00" --reason "the shop's big weekend"

    winch freeze pool:web --until 2h --reason "we look for the 500s"
    """
    from chatops.far import far
    from chatops.freezing import freeze_scope, read_scope
    from chatops.times import parse_time
    from worker.store import store
    from workflows.fleet import load_fleet

    away = far()
    if away is not None:
        end = parse_time("--until", until, away.now())
        made = away.freeze(read_scope(scope), end, reason)
        text, caught = made["text"], made["caught"]
    else:
        path = fleet_path(context, fleet)
        frost = freeze_scope(store(), _me(), scope, until, reason, fleet=lambda: load_fleet(path))
        made, text, caught = frost.document(), frost.text, frost.caught_text
    lift = "winch unfreeze" if made["scope"] == "*" else f"winch unfreeze {made['scope']}"
    note(f"{text}; `{lift}` lifts it")
    if caught is not None:
        warn(caught)
    if as_json:
        show_json(made)


def unfreeze(scope: Scope = None, as_json: AsJson = False) -> None:
    """Lift the freezes of exactly that scope. Those of another person take an admin.

    Examples: winch unfreeze · winch unfreeze pool:web
    """
    from chatops.far import far
    from chatops.freezing import unfreeze_scope
    from worker.freezes import freeze_document
    from worker.store import store

    away = far()
    if away is not None:
        lifted = away.unfreeze(scope)
    else:
        lifted = [freeze_document(row) for row in unfreeze_scope(store(), _me(), scope)]
    for one in lifted:
        about = "everything" if one["scope"] == "*" else one["scope"]
        note(f"{about} is not frozen any more ({one['reason']}, by {one['by']})")
    if as_json:
        show_json(lifted)


def freezes(as_json: AsJson = False) -> None:
    """List what is frozen: since when, until when, by whom, and why."""
    from chatops.far import far
    from chatops.freezing import freezes_for
    from chatops.render.lists import freezes as table
    from worker.store import store

    away = far()
    found = away.get("/freezes")["freezes"] if away is not None else freezes_for(store(), _me())
    if as_json:
        show_json(found)
    else:
        show(table(found))


def _me() -> Principal:
    from chatops.access import access_file

    return access_file().current().principal(actor())
