"""Where a new nginx comes from, as options of commands."""

from __future__ import annotations

from typing import Annotated

import typer

_SOURCE = "The new binary: exactly one"

Binary = Annotated[
    str | None,
    typer.Option(
        "--binary",
        metavar="FILE",
        help="This nginx executable, uploaded once to each host.",
        rich_help_panel=_SOURCE,
    ),
]
Package = Annotated[
    str | None,
    typer.Option(
        "--package",
        metavar="VERSION",
        help="Taken out of the distribution's package of this version (1.26.3, or just 1.26), "
        "which is not installed: its scripts, which restart nginx, never run.",
        rich_help_panel=_SOURCE,
    ),
]
Build = Annotated[
    str | None,
    typer.Option(
        "--build",
        metavar="SOURCE.tar.gz",
        help="Built from this source, with the arguments of the running nginx.",
        rich_help_panel=_SOURCE,
    ),
]
_BUILDING = "With --build"
BuildHost = Annotated[
    str | None,
    typer.Option(
        "--build-host",
        metavar="HOST",
        help="Where to build. Else the group's first host (of each site).",
        rich_help_panel=_BUILDING,
    ),
]
DropArgument = Annotated[
    list[str] | None,
    typer.Option(
        "--drop-argument",
        metavar="ARGUMENT",
        help="Leave this argument of the running nginx out: --with-foo, also without its value.",
        rich_help_panel=_BUILDING,
    ),
]
DropUnknown = Annotated[
    bool,
    typer.Option(
        "--drop-unknown",
        help="Leave out every argument that the new source does not know any more.",
        rich_help_panel=_BUILDING,
    ),
]
AddArgument = Annotated[
    list[str] | None,
    typer.Option(
        "--add-argument",
        metavar="ARGUMENT",
        help="One more argument of configure.",
        rich_help_panel=_BUILDING,
    ),
]
