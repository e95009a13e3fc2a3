"""Steps for tests of the engine: each leaves a visible effect in a file of the (local) host."""

from __future__ import annotations

from pathlib import Path

from worker.errors import Failed, Refused, Unreachable
from worker.remote import Command
from worker.step import Context, Done, Outcome, Params, Wait, step

# Appends a line only if it is not there: a step observes before it acts.
_APPEND = 'grep -qxF -- "$2" "$1" 2>/dev/null || printf "%s\\n" "$2" >> "$1"'


class Effect(Params):
    """Append `line` to `file`; before and after that wait while `hold_before`, `hold_after` exist.

    `fails_while`, `refuses_while`, `unreachable_while`: the step ends like that while the file
    exists. `waits_while`: it returns Wait. `seconds`: how long the command takes on the host.
    `order`: of the hosts, by a gate.
    """

    file: str
    line: str
    hold_before: str | None = None
    hold_after: str | None = None
    fails_while: str | None = None
    refuses_while: str | None = None
    unreachable_while: str | None = None
    waits_while: str | None = None
    seconds: float = 0.0
    order: list[str] = []


def _preview(_context: Context, params: Effect) -> list[str]:
    return [f"append {params.line} to {params.file}"]


def _run(context: Context, params: Effect) -> Outcome:
    if params.refuses_while and Path(params.refuses_while).exists():
        raise Refused("refused by the test")
    if params.unreachable_while and Path(params.unreachable_while).exists():
        raise Unreachable("unreachable by the test")
    if params.waits_while and Path(params.waits_while).exists():
        return Wait("sessions", "3 sessions left", 0.2)
    _hold(context, params.hold_before)
    seen = context.host.read(
        Command.shell('grep -cxF -- "$2" "$1"', params.file, params.line), check=False
    )
    changed = seen.stdout.strip() in ("", "0")
    if changed:
        context.remember(began=True)
        context.host.act(
            Command.shell(f"sleep {params.seconds}; {_APPEND}", params.file, params.line)
        )
    if params.fails_while and Path(params.fails_while).exists():
        raise Failed("failed by the test")
    _hold(context, params.hold_after)
    return Done(f"{params.line} is in {Path(params.file).name}", changed=changed)


def _hold(context: Context, path: str | None) -> None:
    while path and Path(path).exists():
        context.progress(f"held by {Path(path).name}")
        context.host.read(Command.of("sleep", "0.05"))


class Remove(Params):
    """Remove `line` from `file`: the way back."""

    file: str
    line: str


def _preview_remove(_context: Context, params: Remove) -> list[str]:
    return [f"remove {params.line} from {params.file}"]


@step("test.one", preview=_preview)
def one(context: Context, params: Effect) -> Outcome:
    return _run(context, params)


@step("test.two", preview=_preview)
def two(context: Context, params: Effect) -> Outcome:
    return _run(context, params)


@step("test.three", preview=_preview)
def three(context: Context, params: Effect) -> Outcome:
    return _run(context, params)


@step("test.gate", preview=_preview)
def gate(context: Context, params: Effect) -> Outcome:
    outcome = _run(context, params)
    return Done(outcome.detail, changed=False, order=tuple(params.order))


@step("test.remove", preview=_preview_remove)
def remove(context: Context, params: Remove) -> Outcome:
    context.host.act(
        Command.shell(
            'grep -vxF -- "$2" "$1" > "$1.new"; mv -f "$1.new" "$1"', params.file, params.line
        )
    )
    return Done(f"{params.line} is gone")
