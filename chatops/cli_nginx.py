"""The commands on nginx: upgrade its binary in place, bring the old one back, and look."""

# ruff: noqa: PLC0415 (a command imports what it needs: `winch --help` must be quick)
from __future__ import annotations

from typing import Annotated

import typer

from chatops.cli_asking import Asking, Hosts, ServerChoice, ask_and_follow, with_groups
from chatops.cli_common import AsJson, Fleet, fleet_path, show, show_json
from chatops.cli_nginx_options import (
    AddArgument,
    Binary,
    Build,
    BuildHost,
    DropArgument,
    DropUnknown,
    Package,
)

Group = Annotated[
    str, typer.Argument(metavar="GROUP", help="A group under `nginx` of the fleet file.")
]
Force = Annotated[bool, typer.Option("--force", help="Also when this version runs already.")]
SoakTime = Annotated[
    str | None,
    typer.Option("--soak", metavar="TIME", help="How long to keep the old master: 30s, 10m."),
]
Older = Annotated[
    bool,
    typer.Option(
        "--older",
        help="Also hosts that the group's newest upgrade did not reach: back by an older one.",
    ),
]
Confirm = Annotated[
    str | None,
    typer.Option(
        "--confirm",
        metavar="auto|manual",
        help="After the soak: go on, or wait for `winch approve`.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    nginx = typer.Typer(help="Upgrade nginx's binary under load, bring it back, and look.")
    nginx.command("upgrade")(upgrade)
    nginx.command("rollback")(rollback)
    nginx.command("status")(status)
    app.add_typer(nginx, name="nginx", rich_help_panel="Jobs")


@with_groups
def upgrade(
    context: typer.Context,
    group: Group,
    choice: ServerChoice,
    asking: Asking,
    hosts: Hosts = None,
    binary: Binary = None,
    package: Package = None,
    build: Build = None,
    build_host: BuildHost = None,
    drop_argument: DropArgument = None,
    drop_unknown: DropUnknown = False,
    add_argument: AddArgument = None,
    soak: SoakTime = None,
    confirm: Confirm = None,
    force: Force = False,
) -> None:
    """Replace nginx's binary without closing its listening sockets, host by host.

    preflight, stage, upgrade_executable (USR2), verify, shutdown_workers (WINCH), soak, confirm,
    quit, verify. Until quit the old master lives, and whatever fails goes back to it.

    Exit: 0 done, 2 failed on a host, 3 refused before anything changed, 4 a host is unreachable,
    5 wrong usage or fleet file, 6 a lease is held by another run, 7 waits for approval,
    8 rolled back, 99 interrupted. Ctrl-C stops following, not the run.

    Examples:

    winch nginx upgrade edge-nginx --package 1.26.3 --reason "CVE-2026-1234"

    winch nginx upgrade edge-nginx --build nginx-1.28.1.tar.gz --drop-unknown --confirm manual

    winch nginx upgrade edge-nginx web1 --binary ./nginx --soak 1h
    """
    from workflows.nginx_options import NginxOptions

    source = NginxOptions.parse(
        binary=binary,
        package=package,
        build=build,
        build_host=build_host,
        drop_arguments=drop_argument or (),
        drop_unknown=drop_unknown,
        add_arguments=add_argument or (),
        force=force,
        soak=soak,
        confirm=confirm,
    )
    options = choice.options(nginx=source)
    ask_and_follow(context, "nginx.upgrade", group, hosts, options, asking)


@with_groups
def rollback(
    context: typer.Context,
    group: Group,
    choice: ServerChoice,
    asking: Asking,
    hosts: Hosts = None,
    older: Older = False,
) -> None:
    """Bring the old nginx back, from whatever phase each host is in.

    While the old master lives it takes over again (HUP), and the new one ends. After its end the
    same upgrade is done with the backed-up binary. An upgrade that somebody began by hand is taken
    back too. (`winch rollback RUN` takes back what one run did, while that run holds its leases.)

    A host that the newest upgrade of the group did not reach stays as it is, unless --older is
    given. From which version to which each host goes is said before it starts.

    Exit: 0 done, 2 failed on a host, 3 refused before anything changed, 4 a host is unreachable,
    5 wrong usage or fleet file, 6 a lease is held by another run, 99 interrupted.

    Example: winch nginx rollback edge-nginx --reason "500s since 10:04"
    """
    from chatops.nginx_back import courses
    from workflows.nginx_options import NginxOptions

    options = choice.options(nginx=NginxOptions(older=older))
    ask_and_follow(context, "nginx.rollback", group, hosts, options, asking, look=courses)


def status(
    context: typer.Context,
    group: Group,
    hosts: Hosts = None,
    as_json: AsJson = False,
    fleet: Fleet = None,
) -> None:
    """Say in which phase each host's nginx is: versions, masters, workers, held connections.

    It only looks, from here, whatever the hosts' site.

    Exit: 0 each is steady, 2 one is not, 4 a host is unreachable, 5 wrong usage or fleet file.

    Example: winch nginx status edge-nginx
    """
    from chatops.nginx_status import nginx_status
    from chatops.render.nginx import status_table
    from workflows.fleet import load_fleet

    document, code = nginx_status(load_fleet(fleet_path(context, fleet)), group, hosts or [])
    if as_json:
        show_json(document)
    else:
        show(status_table(document))
    raise typer.Exit(code)
