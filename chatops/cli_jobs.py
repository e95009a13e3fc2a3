"""The commands that start jobs, and `plan`, which only says what they would do."""

# ruff: noqa: PLC0415 (a command imports what it needs: `winch --help` must be quick)
from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from chatops.cli_asking import Asking, Hosts, ServerChoice, ask_and_follow, with_groups
from chatops.cli_common import AsJson, Fleet, fleet_path, show, show_json
from chatops.cli_nginx_options import Binary, Build, Package

_PANEL = "Jobs"

Target = Annotated[str, typer.Argument(metavar="POOL", help="A pool of the fleet file.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for name, text in _HELP.items():
        app.command(name, help=text, rich_help_panel=_PANEL)(_command(name))
    app.command("plan", rich_help_panel=_PANEL)(plan)


def _command(job: str) -> Callable[..., None]:
    @with_groups
    def command(
        context: typer.Context,
        pool: Target,
        choice: ServerChoice,
        asking: Asking,
        hosts: Hosts = None,
    ) -> None:
        ask_and_follow(context, job, pool, hosts, choice.options(), asking)

    return command


@with_groups
def plan(
    context: typer.Context,
    job: Annotated[str, typer.Argument(metavar="JOB", help="roll, drain, nginx.upgrade, …")],
    pool: Target,
    choice: ServerChoice,
    hosts: Hosts = None,
    binary: Binary = None,
    package: Package = None,
    build: Build = None,
    as_json: AsJson = False,
    fleet: Fleet = None,
) -> None:
    """Say what a job would do now, host by host, with the commands. Touches nothing.

    It looks at the hosts (reads only), so that what it says is what they need as they are now. A
    command that depends on what an earlier step does is not known yet, and it says so. With
    WINCH_URL the Winch there looks, at its own fleet.

    Exit: 0 all is well, 3 the job would be refused, 4 a host is unreachable, 5 wrong usage.

    Examples:

    winch plan roll web --set version=1.26.3

    winch plan nginx.upgrade edge-nginx --package 1.26.3
    """
    from dataclasses import replace

    from chatops.far import Wish, far
    from chatops.preview import preview
    from chatops.render.plans import plan_preview
    from chatops.start import make_plan
    from workflows.nginx_options import NginxOptions

    options = choice.options()
    if binary or package or build:
        nginx = NginxOptions.parse(binary=binary, package=package, build=build)
        options = replace(options, nginx=nginx)
    away = far()
    if away is not None:
        wish = Wish(job, pool, hosts or [], options)
        document = away.plan(wish.body(away.now()))
    else:
        document = preview(make_plan(fleet_path(context, fleet), job, pool, hosts or [], options))
    if as_json:
        show_json(document)
    else:
        show(plan_preview(document))
    raise typer.Exit(document["exit_code"])


_EXITS = """Exit: 0 done, 2 failed on a host, 3 refused before anything changed, 4 a host is
unreachable, 5 wrong usage or fleet file, 6 a lease is held by another run, 7 waits for approval,
8 rolled back, 99 interrupted. Ctrl-C stops following, not the run."""

_HELP = {
    "roll": f"""Bring a new version to a pool, server by server: drain, redeploy, verify, enable.

    A host that fails is put back (or left out of rotation: `policy.on_failure`), and no other one
    starts. When the cause is mended, `winch retry RUN` goes on from the failed step.

    {_EXITS}

    Examples:

    winch roll web --set version=1.26.3 --reason "CVE-2026-1234"

    winch roll web --limit web1 --yes --no-wait

    winch roll web --at "sat 02:00" --no-wait
    """,
    "drain": f"""Take servers out of a pool on all its balancers, and leave them out.

    No new sessions; those under way may end (`drain.timeout` of the pool), then maintenance.
    `winch enable` brings them back.

    {_EXITS}

    Example: winch drain web web1 --reason "new disk"
    """,
    "enable": f"""Bring servers of a pool back on all its balancers, and see that they stay up.

    {_EXITS}

    Example: winch enable web web1
    """,
}
