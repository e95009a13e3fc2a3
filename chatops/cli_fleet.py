"""The commands on the fleet file."""

# ruff: noqa: PLC0415 (a command imports what it needs: `winch --help` must be quick)
from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from chatops.cli_common import AsJson, Fleet, fleet_path, note, show, show_json
from worker.errors import UsageError


def register(app: typer.Typer) -> None:
    """Add the commands."""
    fleet = typer.Typer(help="Check the fleet file, print its schema, or write one.")
    fleet.command("check")(check)
    fleet.command("schema")(schema)
    fleet.command("import")(import_)
    app.add_typer(fleet, name="fleet", rich_help_panel="The fleet")


def check(context: typer.Context, as_json: AsJson = False, fleet: Fleet = None) -> None:
    """Validate the fleet file, reach every host, and say what runs there and how it stands.

    Hosts are reached from here, whatever their site.

    Exit: 0 all is well, 3 a job would be refused, 4 a host is unreachable, 5 the file is wrong.
    """
    from chatops.render.fleet import survey as table
    from chatops.survey import survey
    from workflows.fleet import load_fleet

    document, code = survey(load_fleet(fleet_path(context, fleet)))
    if as_json:
        show_json(document)
    else:
        show(table(document))
    raise typer.Exit(code)


def schema() -> None:
    """Print the fleet file's JSON Schema, for editors.

    Example: winch fleet schema > fleet.schema.json
    """
    from workflows.fleet import fleet_schema

    show_json(fleet_schema())


def import_(
    context: typer.Context,
    haproxy: Annotated[
        str | None,
        typer.Option(
            "--haproxy", metavar="HOST", help="From the HAProxy that runs on this host now."
        ),
    ] = None,
    ansible: Annotated[
        Path | None,
        typer.Option("--ansible", metavar="FILE", help="From an Ansible inventory (INI or YAML)."),
    ] = None,
    socket: Annotated[
        str,
        typer.Option("--socket", metavar="PATH", help="With --haproxy: its Runtime API."),
    ] = "/run/haproxy/admin.sock",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write here, not to stdout."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file.")] = False,
    fleet: Fleet = None,
) -> None:
    """Write a fleet file, from a live HAProxy or from an Ansible inventory.

    HOST is a host of the fleet file, if there is one, else [USER@]ADDRESS[:PORT], or `local` for
    this machine.

    Examples:

    winch fleet import --haproxy root@10.0.0.5 --output fleet.yaml

    winch fleet import --ansible inventory.ini --output fleet.yaml
    """
    from chatops.importing import from_haproxy
    from workflows.importer import import_ansible

    if (haproxy is None) == (ansible is None):
        raise UsageError("fleet import: give one of --haproxy HOST and --ansible FILE")
    if output is not None and output.exists() and not force:
        raise UsageError(f"{output}: exists already; name another file, or use --force")
    if haproxy is not None:
        text = from_haproxy(haproxy, socket, fleet_path(context, fleet))
    else:
        text = import_ansible(ansible or "")
    if output is None:
        sys.stdout.write(text)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{output}: cannot be written: {error.strerror}") from None
    note(f"wrote {output}; read it, then `winch fleet check --fleet {output}`")
