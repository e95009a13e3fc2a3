"""The commands that run a part of Winch on this machine."""

# ruff: noqa: PLC0415 (a command imports what it needs: `winch --help` must be quick)
from __future__ import annotations

import os
from typing import Annotated

import typer

from chatops.cli_common import AsJson, Fleet, fleet_path

_PANEL = "This machine"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (demo, up, worker, flower, doctor):
        app.command(command.__name__, rich_help_panel=_PANEL)(command)


def up() -> None:
    """Run everything here, in the foreground: Redis, a worker and Flower.

    An embedded Redis is started unless WINCH_REDIS_URL is set. Ctrl-C stops it all, steps under
    way first. For several machines run `winch worker` on each, with a common Redis and PostgreSQL.
    """
    from chatops.up import run_up
    from worker.settings import settings

    raise typer.Exit(run_up(settings()))


def worker(
    site: Annotated[
        list[str] | None,
        typer.Option(
            "--site",
            metavar="SITE",
            help="Serve only hosts of this site (repeatable). Without: all of them.",
        ),
    ] = None,
    concurrency: Annotated[
        int | None,
        typer.Option(min=1, max=256, metavar="N", help="Steps at once. WINCH_CONCURRENCY, or 16."),
    ] = None,
) -> None:
    """Run one worker, for a supervisor such as systemd.

    SIGTERM: it ends the steps under way and goes; what is left, another worker takes over.

    Example: winch worker --site dc1 --site dc2
    """
    from chatops.notify.sender import configured_notifier
    from worker.main import run_worker

    notifier = configured_notifier()
    beside = [] if notifier is None else [notifier]
    raise typer.Exit(run_worker(site or [], concurrency=concurrency, beside=beside))


def flower() -> None:
    """Run Flower, the web view of steps as they run, for a supervisor.

    WINCH_FLOWER_ADDRESS and WINCH_FLOWER_PORT say where (127.0.0.1:5555), and
    WINCH_FLOWER_BASIC_AUTH_FILE names a file of user:password lines.
    """
    from worker.flowerstart import flower_command

    command = flower_command()
    os.execv(command[0], command)  # noqa: S606 - our own words, no shell


def doctor(context: typer.Context, as_json: AsJson = False, fleet: Fleet = None) -> None:
    """Say what is missing or unsafe on this machine, and how to mend it.

    It changes nothing, and reaches no host: that is `winch fleet check`. Exit 1 when a check
    failed.
    """
    from chatops.doctor import run_doctor
    from worker.settings import settings

    # It examines the settings themselves, and the option stands for one of them.
    os.environ["WINCH_FLEET"] = str(fleet_path(context, fleet))
    settings.cache_clear()
    raise typer.Exit(run_doctor(as_json=as_json))


def demo() -> None:
    """Roll a small real fleet on this machine under load, and report. Needs no fleet of yours.

    Four nginx servers behind two HAProxies, all on 127.0.0.0/8, reached by real SSH. Nothing is
    installed, and nothing is left behind.
    """
    from chatops.demo.run import run_demo

    raise typer.Exit(run_demo())
