"""The commands of the web: `winch web`, and the tokens that it lets in."""

# ruff: noqa: PLC0415 (a command imports what it needs: `winch --help` must be quick)
from __future__ import annotations

import sys
from typing import Annotated

import typer

from chatops import cli_runs
from chatops.cli_common import AsJson, actor, note, show, show_json

Scopes = Annotated[
    list[str] | None,
    typer.Option(
        "--scope",
        metavar="SCOPE,…",
        help="All that it sees and steers: pool:web, pair:*, nginx:NAME, balancer:NAME. "
        "Without: everything.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("web", rich_help_panel="This machine")(web)
    token = typer.Typer(help="Tokens of the HTTP API.")
    token.command("create")(create)
    token.command("list")(list_)
    token.command("revoke")(revoke)
    app.add_typer(token, name="token", rich_help_panel="This machine")
    lines = typer.Typer()
    lines.callback(invoke_without_command=True)(audit)
    lines.command("verify")(verify)
    app.add_typer(lines, name="audit", rich_help_panel="Runs")


def audit(context: typer.Context, limit: cli_runs.Most = 50, as_json: AsJson = False) -> None:
    """List who asked for what, from where, and what came of it; newest first."""
    if context.invoked_subcommand is None:
        cli_runs.audit(limit, as_json)


def web(
    address: Annotated[
        str | None, typer.Option("--address", help="WINCH_WEB_ADDRESS, or 127.0.0.1.")
    ] = None,
    port: Annotated[
        int | None, typer.Option("--port", min=1, max=65535, help="WINCH_WEB_PORT, or 8080.")
    ] = None,
) -> None:
    """Serve the HTTP API, for a supervisor. Put a proxy with TLS before it for other machines.

    Example: winch web --port 8080
    """
    from chatops.serving import serve
    from worker.settings import settings

    serve(address or settings().web_address, port or settings().web_port)


def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose it is: ci, alice-laptop.")],
    role: Annotated[str, typer.Option("--role", help="viewer, operator or admin.")],
    scope: Scopes = None,
    as_json: AsJson = False,
) -> None:
    """Make a token and print it. It is shown this once, and kept as a hash only.

    Example: winch token create ci --role operator --scope pool:web
    """
    from chatops.authorise import parse_role, parse_scopes
    from chatops.tokens import create_token
    from worker.store import store

    wanted, scopes = parse_role(role), parse_scopes(scope or ())
    token = create_token(store(), name, wanted, scopes, by=actor())
    if as_json:
        show_json({"name": name, "role": wanted, "scopes": list(scopes), "token": token})
        return
    note(f"token {name} ({wanted}, {', '.join(scopes) or 'everything'}); it is not shown again:")
    sys.stdout.write(f"{token}\n")


def list_(as_json: AsJson = False) -> None:
    """List the tokens, and when each was used last."""
    from rich.table import Table

    from chatops.tokens import list_tokens
    from worker.store import store

    found = list_tokens(store())
    if as_json:
        show_json(found)
        return
    table = Table(box=None, pad_edge=False)
    for column in ("NAME", "ROLE", "SCOPES", "CREATED", "BY", "LAST USE", ""):
        table.add_column(column)
    for token in found:
        revoked = token["revoked_at"]
        table.add_row(
            token["name"],
            token["role"],
            ", ".join(token["scopes"]) or "everything",
            token["created_at"],
            token["created_by"],
            token["used_at"] or "never",
            f"revoked {revoked}" if revoked else "",
        )
    show(table)


def revoke(
    name: Annotated[str, typer.Argument(metavar="NAME", help="As `winch token list` shows it.")],
) -> None:
    """End a token at once.

    Example: winch token revoke ci
    """
    from chatops.tokens import revoke_token
    from worker.store import store

    revoke_token(store(), name, by=actor())
    note(f"token {name} is revoked")


def verify(
    head: Annotated[
        str | None,
        typer.Option("--head", metavar="HASH", help="A last hash that you kept: it must be in it."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """See that no line of the audit was changed, taken out or put in.

    Keep the hash that it prints somewhere else: who can write the whole database could also write
    a whole new chain, but not one with your hash in it. Exit: 0 it holds, 1 it does not.

    Example: winch audit verify --head 3f9a…
    """
    from worker.audit import verify as walk
    from worker.store import store

    verdict = walk(store(), expect=head)
    if as_json:
        show_json(
            {"lines": verdict.lines, "head": verdict.head, "problem": verdict.problem},
        )
    elif verdict.problem is None:
        lines = "1 line holds" if verdict.lines == 1 else f"{verdict.lines} lines hold"
        sys.stdout.write(f"{lines}; last hash {verdict.head}\n")
    if verdict.problem is not None:
        if not as_json:
            sys.stderr.write(f"error: the audit was tampered with: {verdict.problem}\n")
        raise typer.Exit(1)
