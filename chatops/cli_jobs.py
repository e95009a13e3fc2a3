"""The commands that start jobs, and `plan`, which only says what they would do."""

# ruff: noqa: PLC0415 (a command imports what it needs: `winch --help` must be quick)
from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from chatops.cli_common import (
    AsJson,
    Fleet,
    NoWait,
    Reason,
    Yes,
    actor,
    confirm,
    fleet_path,
    note,
    show,
    show_json,
    warn,
)
from chatops.cli_nginx_options import Binary, Build, Package

if TYPE_CHECKING:
    from pathlib import Path

    from workflows.options import Options

_PANEL = "Jobs"

Target = Annotated[str, typer.Argument(metavar="POOL", help="A pool of the fleet file.")]
Hosts = Annotated[
    list[str] | None,
    typer.Argument(metavar="[HOST]...", help="Only these hosts; the same as --limit."),
]
Limit = Annotated[
    list[str] | None, typer.Option("--limit", metavar="HOST,…", help="Only these hosts.")
]
Exclude = Annotated[
    list[str] | None, typer.Option("--exclude", metavar="HOST,…", help="Not these hosts.")
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="A variable; wins over the fleet file's."),
]
MaxUnavailable = Annotated[
    str | None,
    typer.Option("--max-unavailable", metavar="N|N%", help="How many hosts may be out at once."),
]
Stages = Annotated[
    str | None,
    typer.Option(
        "--stages",
        metavar="N,N%,…",
        help="So many hosts first, then so many in all: 1,25%,100%.",
    ),
]
IncludeMaintenance = Annotated[
    bool,
    typer.Option(
        "--include-maintenance",
        help="Also servers that somebody has put into maintenance; they stay in it.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for name, text in _HELP.items():
        app.command(name, help=text, rich_help_panel=_PANEL)(_command(name))
    app.command("plan", rich_help_panel=_PANEL)(plan)


def _command(job: str) -> Callable[..., None]:
    def command(
        context: typer.Context,
        pool: Target,
        hosts: Hosts = None,
        limit: Limit = None,
        exclude: Exclude = None,
        set_: Set = None,
        max_unavailable: MaxUnavailable = None,
        stages: Stages = None,
        include_maintenance: IncludeMaintenance = False,
        reason: Reason = None,
        yes: Yes = False,
        no_wait: NoWait = False,
        as_json: AsJson = False,
        fleet: Fleet = None,
    ) -> None:
        options = job_options(limit, exclude, set_, max_unavailable, stages, include_maintenance)
        ask_and_follow(
            fleet_path(context, fleet),
            job,
            pool,
            hosts or [],
            options,
            reason=reason,
            yes=yes,
            no_wait=no_wait,
            as_json=as_json,
        )

    return command


def job_options(
    limit: list[str] | None,
    exclude: list[str] | None,
    set_: list[str] | None,
    max_unavailable: str | None,
    stages: str | None,
    include_maintenance: bool,
) -> Options:
    """Read what every job can be told."""
    from workflows.options import Options

    return Options.parse(
        limit=limit or (),
        exclude=exclude or (),
        set_=set_ or (),
        max_unavailable=max_unavailable,
        stages=stages,
        include_maintenance=include_maintenance,
    )


def ask_and_follow(
    fleet_file: Path,
    job: str,
    target: str,
    hosts: list[str],
    options: Options,
    *,
    reason: str | None,
    yes: bool,
    no_wait: bool,
    as_json: bool,
) -> None:
    """Plan a job, ask whether it should start, start it, and follow it or not."""
    from chatops.far import far
    from chatops.render.plans import plan_summary
    from chatops.start import make_plan, ready_engine, start
    from worker.settings import settings

    away = far()
    if away is not None:  # it has the fleet file, and plans by it
        confirm(f"Ask {settings().url} for {job} {target}?", yes=yes)
        run_id = away.ask(job, target, hosts, options, reason)
        follow_or_not(run_id, no_wait=no_wait, as_json=as_json)
        return
    plan = make_plan(fleet_file, job, target, hosts, options)
    engine = ready_engine()
    if not yes and sys.stdin.isatty():
        note(plan_summary(plan, reason=reason))
        confirm("Start?", yes=False)
    run_id = start(engine, plan, requested_by=actor(), reason=reason, warn=warn)
    follow_or_not(run_id, no_wait=no_wait, as_json=as_json)


def follow_or_not(run_id: int, *, no_wait: bool, as_json: bool) -> None:
    """Follow a run to its end, or with `no_wait` print its number (or document) and return.

    Raises:
        typer.Exit: with the exit code of the run.
    """
    from chatops.reports import run_document, source, unserved
    from chatops.services import unserved_warning

    if not no_wait:
        from chatops.follow import follow

        raise typer.Exit(follow(source(), run_id, as_json=as_json))
    if as_json:
        show_json(run_document(source(), run_id))
    else:
        sys.stdout.write(f"{run_id}\n")
        sys.stdout.flush()
    warning = unserved_warning(unserved(source(), run_id))
    if warning is not None:
        warn(warning)


def plan(
    context: typer.Context,
    job: Annotated[str, typer.Argument(metavar="JOB", help="roll, drain, nginx.upgrade, …")],
    pool: Target,
    hosts: Hosts = None,
    limit: Limit = None,
    exclude: Exclude = None,
    set_: Set = None,
    max_unavailable: MaxUnavailable = None,
    stages: Stages = None,
    include_maintenance: IncludeMaintenance = False,
    binary: Binary = None,
    package: Package = None,
    build: Build = None,
    as_json: AsJson = False,
    fleet: Fleet = None,
) -> None:
    """Say what a job would do now, host by host, with the commands. Touches nothing.

    It looks at the hosts (reads only), so that what it says is what they need as they are now. A
    command that depends on what an earlier step does is not known yet, and it says so.

    Exit: 0 all is well, 3 the job would be refused, 4 a host is unreachable, 5 wrong usage.

    Examples:

    winch plan roll web --set version=1.26.3

    winch plan nginx.upgrade edge-nginx --package 1.26.3
    """
    from dataclasses import replace

    from chatops.preview import preview
    from chatops.render.plans import plan_preview
    from chatops.start import make_plan
    from workflows.nginx_options import NginxOptions

    options = job_options(limit, exclude, set_, max_unavailable, stages, include_maintenance)
    if binary or package or build:
        nginx = NginxOptions.parse(binary=binary, package=package, build=build)
        options = replace(options, nginx=nginx)
    planned = make_plan(fleet_path(context, fleet), job, pool, hosts or [], options)
    document, code = preview(planned)
    if as_json:
        show_json(document)
    else:
        show(plan_preview(document))
    raise typer.Exit(code)


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
