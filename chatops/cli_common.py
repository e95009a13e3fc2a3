"""What all commands share: options, consoles, who asks, and questions."""

# ruff: noqa: PLC0415 (a command imports what it needs: `winch --help` must be quick)
from __future__ import annotations

import json
import os
import pwd
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from worker.errors import UsageError, WinchError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_MOST_RUN = 2**31 - 1  # of a PostgreSQL integer
_WIDE = 4096  # columns where nobody looks at a screen: nothing is wrapped or cut


@dataclass
class Globals:
    """What stood before the command."""

    fleet: Path | None = None


def run_number(text: str) -> int:
    """Read a run's number: `12`, also `#12`.

    Raises:
        UsageError: it is none.
    """
    digits = text.removeprefix("#")
    if digits.isascii() and digits.isdigit() and 0 < int(digits[:20]) <= _MOST_RUN:
        return int(digits)
    raise UsageError(f"RUN must be a run's number, not {text[:80]!r}; `winch runs` lists them")


RunNumber = Annotated[
    int, typer.Argument(metavar="RUN", parser=run_number, help="The run's number: `winch runs`.")
]
Fleet = Annotated[
    Path | None,
    typer.Option(
        "--fleet",
        metavar="FILE",
        help="The fleet file. Else WINCH_FLEET, else fleet.yaml here.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else, on stdout.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
NoWait = Annotated[
    bool, typer.Option("--no-wait", help="Print the run's number and return; do not follow it.")
]
Reason = Annotated[
    str | None, typer.Option("--reason", metavar="TEXT", help="Why: kept with the run.")
]

At = Annotated[
    str | None,
    typer.Option(
        "--at",
        metavar="TIME",
        help="Start then: 22:00, tomorrow 06:00, sat 02:00, 2026-12-24T18:00, 2h. `window`: when "
        "its window opens; `now`: also outside of it.",
    ),
]
OverrideFreeze = Annotated[
    bool,
    typer.Option(
        "--override-freeze", help="Although it is frozen (admin; needs --reason; is recorded)."
    ),
]


def fleet_path(context: typer.Context, own: Path | None) -> Path:
    """Choose the fleet file: the command's option, the one before it, WINCH_FLEET, fleet.yaml."""
    from worker.settings import settings

    before = context.obj.fleet if isinstance(context.obj, Globals) else None
    return own or before or settings().fleet


def actor() -> str:
    """Say who asks, as it is recorded: `cli:ops`."""
    uid = os.getuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = str(uid)
    behind = os.environ.get("SUDO_USER", "") if uid == 0 else ""
    return f"cli:{behind if behind.isprintable() and behind else name}"


def out() -> Console:
    """Standard output. Colours only on a terminal that wants them (NO_COLOR)."""
    return _console(stderr=False)


def err() -> Console:
    """Standard error."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _WIDE
    return Console(file=stream, highlight=False, markup=False, emoji=False, width=width)


def show(renderable: RenderableType) -> None:
    """Print to standard output."""
    console = out()
    if console.is_terminal:
        console.print(renderable)
        return
    with console.capture() as capture:
        console.print(renderable)
    for line in capture.get().splitlines():  # a table pads its lines
        sys.stdout.write(line.rstrip() + "\n")


def show_json(document: Any) -> None:
    """Print a document to standard output."""
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def note(text: str) -> None:
    """Say something beside the output, on standard error."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def warn(text: str) -> None:
    """Warn on standard error."""
    note(f"warning: {text}")


def confirm(question: str, *, yes: bool, refused: str = "nothing was started") -> None:
    """Ask on the terminal, unless `yes` or nobody is there to answer.

    Raises:
        WinchError: the answer is no.
    """
    if yes or not sys.stdin.isatty():
        return
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    answer = sys.stdin.readline()
    if not answer:
        sys.stderr.write("\n")
    if answer.strip().lower() not in ("y", "yes"):
        raise WinchError(refused)
