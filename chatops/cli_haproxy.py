"""The commands on HAProxy itself."""

# ruff: noqa: PLC0415 (a command imports what it needs: `winch --help` must be quick)
from __future__ import annotations

from typing import Annotated

import typer

from chatops.cli_asking import Asking, Choice, ask_and_follow, with_groups

Balancers = Annotated[
    list[str],
    typer.Argument(metavar="BALANCER...", help="Balancers of the fleet file, a,b or a b."),
]
Config = Annotated[
    str | None,
    typer.Option("--config", metavar="FILE", help="The new configuration, a file of this machine."),
]
Replaces = Annotated[
    str | None,
    typer.Option(
        "--replaces",
        metavar="PATH",
        help="The file on the balancer that it replaces; else the first of its `config`.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    haproxy = typer.Typer(help="HAProxy itself: reload it.")
    haproxy.callback()(_group)
    haproxy.command("reload")(reload)
    app.add_typer(haproxy, name="haproxy", rich_help_panel="Jobs")


def _group() -> None:
    """HAProxy itself: reload it."""


@with_groups
def reload(
    context: typer.Context,
    balancers: Balancers,
    choice: Choice,
    asking: Asking,
    config: Config = None,
    replaces: Replaces = None,
) -> None:
    """Reload HAProxy, one balancer after the other, and lose no server's state.

    With --config, FILE takes the place of the balancer's configuration, after `haproxy -c` with all
    files that the running process reads, and after a look at what it is going to listen at. If the
    reload fails, or what follows it, the old file comes back; the new one stays beside it as
    FILE.winch-refused. A server that is drained gets no request, not even for a moment.

    Exit: 0 done, 2 failed on a host, 3 refused before anything changed, 4 a host is unreachable,
    5 wrong usage or fleet file, 6 a lease is held by another run, 8 rolled back, 99 interrupted.

    Examples:

    winch haproxy reload lb1 lb2 --config haproxy.cfg --reason "new certificate"

    winch haproxy reload lb1 --config web.cfg --replaces /etc/haproxy/conf.d/10-web.cfg
    """
    from dataclasses import replace

    from workflows.reload_options import HaproxyOptions

    haproxy = HaproxyOptions.parse(config=config, replaces=replaces)
    options = replace(choice.options(), haproxy=haproxy)
    ask_and_follow(context, "haproxy.reload", ",".join(balancers), None, options, asking)
