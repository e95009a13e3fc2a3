"""The command line: `winch`. It parses, asks, and renders; what it imports, it imports late."""

# ruff: noqa: PLC0415 (a command imports what it needs: `winch --help` must be quick)
from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from chatops import (
    cli_fleet,
    cli_freeze,
    cli_haproxy,
    cli_jobs,
    cli_nginx,
    cli_pair,
    cli_parts,
    cli_runs,
    cli_steer,
    cli_web,
)
from chatops.chat import cli as cli_chat
from chatops.cli_common import Globals
from chatops.notify import cli as cli_notify
from worker.errors import UsageError, WinchError

INTERRUPTED = 99
_CLICK_INTERRUPTED = 130  # what a KeyboardInterrupt becomes inside

app = typer.Typer(
    name="winch",
    help="Upgrade fleets behind HAProxy without losing a request.",
    epilog="3 a.m.? `winch runs` says what goes on, `winch show RUN` why it stopped, "
    "`winch retry RUN` goes on.",
    rich_markup_mode="rich",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        sys.stdout.write(f"winch {version('winch')}\n")
        raise typer.Exit(0)


@app.callback(invoke_without_command=True)
def winch(
    context: typer.Context,
    fleet: Annotated[
        Path | None,
        typer.Option(
            "--fleet",
            metavar="FILE",
            help="The fleet file. Else WINCH_FLEET, else fleet.yaml here.",
        ),
    ] = None,
    _version_wanted: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Say the version."),
    ] = False,
) -> None:
    """Upgrade fleets behind HAProxy without losing a request."""
    context.obj = Globals(fleet)
    if context.invoked_subcommand is None:
        sys.stdout.write(context.get_help() + "\n")


cli_jobs.register(app)
cli_haproxy.register(app)
cli_nginx.register(app)
cli_runs.register(app)
cli_steer.register(app)
cli_freeze.register(app)
cli_fleet.register(app)
cli_pair.register(app)
cli_parts.register(app)
cli_web.register(app)
cli_chat.register(app)
cli_notify.register(app)


def run(arguments: Sequence[str]) -> int:
    """Run a command line. Returns the exit code; every error has been said on standard error."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError):  # a terminal that lacks a character is no reason to fail
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        code = _run(list(arguments))
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has gone: `winch runs | head -1`
        # What is still buffered must not be written when the interpreter ends.
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


def _run(arguments: list[str]) -> int:
    try:
        code = app(arguments, prog_name="winch", standalone_mode=False)
    except WinchError as error:
        return _say(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    except typer.Abort:  # the end of standard input, where an answer was expected
        return _say(WinchError("nothing was started"))
    except BrokenPipeError:
        raise
    except Exception as error:
        usage = _usage_error(error)
        return _say(usage) if usage is not None else _broke(error)
    return INTERRUPTED if code == _CLICK_INTERRUPTED else int(code or 0)


def _usage_error(error: Exception) -> UsageError | None:
    """Translate the parser's errors; its exit code 2 means something else here."""
    format_message = getattr(error, "format_message", None)
    if format_message is None:
        return None
    context = getattr(error, "ctx", None)
    path = "winch" if context is None else context.command_path
    said = " ".join(str(format_message()).split()).rstrip(".")
    return UsageError(f"{said}; see `{path} --help`")


def _say(error: WinchError) -> int:
    for line in str(error).splitlines() or [type(error).__name__]:
        sys.stderr.write(f"error: {line}\n")
    if os.environ.get("WINCH_DEBUG"):
        traceback.print_exc()
    return error.exit_code


def _broke(error: Exception) -> int:
    if os.environ.get("WINCH_DEBUG"):
        traceback.print_exc()
    else:
        said = " ".join(str(error).split())
        sys.stderr.write(
            f"error: {type(error).__name__}: {said}: this is a bug; set WINCH_DEBUG=1 for the "
            "traceback\n"
        )
    return 1


def main() -> NoReturn:
    """The entry point of the program `winch`."""
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
