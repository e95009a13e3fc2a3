"""The commands `winch chat slack` and `winch chat matrix`."""

# ruff: noqa: PLC0415 (a command imports what it needs: `winch --help` must be quick)
from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from chatops.cli_common import Fleet, fleet_path

if TYPE_CHECKING:
    from chatops.desk import Desk


def register(app: typer.Typer) -> None:
    """Add the commands."""
    chat = typer.Typer(help="Listen in chat rooms (Slack over HTTP and Mattermost: `winch web`).")
    chat.command("slack")(slack)
    chat.command("matrix")(matrix)
    app.add_typer(chat, name="chat", rich_help_panel="This machine")


def slack(context: typer.Context, fleet: Fleet = None) -> None:
    """Listen to Slack by Socket Mode, for a supervisor: Slack need not reach this machine.

    WINCH_SLACK_APP_TOKEN_FILE and WINCH_SLACK_BOT_TOKEN_FILE name files with the tokens.
    """
    from chatops.chat.run import run_slack

    run_slack(_desk(context, fleet))


def matrix(context: typer.Context, fleet: Fleet = None) -> None:
    """Listen on a Matrix homeserver, for a supervisor.

    WINCH_MATRIX_HOMESERVER, WINCH_MATRIX_USER, and WINCH_MATRIX_PASSWORD_FILE or
    WINCH_MATRIX_ACCESS_TOKEN_FILE.
    """
    from chatops.chat.run import run_matrix

    run_matrix(_desk(context, fleet))


def _desk(context: typer.Context, fleet: Fleet) -> Desk:
    from chatops.access import access_file
    from chatops.desk import Desk
    from worker.app import engine
    from worker.logs import configure_logging
    from worker.settings import settings

    configure_logging(settings().log_format)
    access = access_file()
    access.current()  # one that is wrong is refused before anybody is listened to
    return Desk(engine(), access, fleet_path(context, fleet))
