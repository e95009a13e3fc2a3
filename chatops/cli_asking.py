"""How jobs are asked for on the command line: the options that they share, each said once."""

# ruff: noqa: PLC0415 (a command imports what it needs: `winch --help` must be quick)
from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from chatops.cli_common import (
    AsJson,
    At,
    Fleet,
    NoWait,
    OverrideFreeze,
    Reason,
    Yes,
    actor,
    confirm,
    fleet_path,
    note,
    show_json,
    warn,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chatops.times import When
    from worker.plan import Plan
    from workflows.options import Options

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


@dataclass(frozen=True)
class Choice:
    """What every job can be told: where, with what, how many at once."""

    limit: Limit = None
    exclude: Exclude = None
    set_: Set = None
    max_unavailable: MaxUnavailable = None
    stages: Stages = None

    def options(self, **more: Any) -> Options:
        """Read them, and more of what `Options.parse` takes.

        Raises:
            UsageError: one is not what it must be; the message names it.
        """
        from workflows.options import Options

        return Options.parse(
            limit=self.limit or (),
            exclude=self.exclude or (),
            set_=self.set_ or (),
            max_unavailable=self.max_unavailable,
            stages=self.stages,
            **more,
        )


@dataclass(frozen=True)
class ServerChoice(Choice):
    """What a job that takes servers out of pools can be told."""

    include_maintenance: IncludeMaintenance = False

    def options(self, **more: Any) -> Options:
        """Read them, and more of what `Options.parse` takes."""
        return super().options(include_maintenance=self.include_maintenance, **more)


@dataclass(frozen=True)
class Asking:
    """How the job is asked for, and what is shown of it."""

    at: At = None
    override_freeze: OverrideFreeze = False
    reason: Reason = None
    yes: Yes = False
    no_wait: NoWait = False
    as_json: AsJson = False
    fleet: Fleet = None


def with_groups(command: Callable[..., None]) -> Callable[..., None]:
    """Show Typer the fields of dataclasses in a command's signature as options of its own."""
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, type[Any]] = {
        name: kind for name, kind in hints.items() if isinstance(kind, type) and is_dataclass(kind)
    }
    option = functools.partial(inspect.Parameter, kind=inspect.Parameter.KEYWORD_ONLY)
    parameters = inspect.signature(command).parameters.values()
    shown = [
        option(each.name, default=each.default, annotation=hints[each.name])
        for each in parameters
        if each.name not in groups
    ]
    for group in groups.values():
        of_group = get_type_hints(group, include_extras=True)
        shown += [
            option(field.name, default=field.default, annotation=of_group[field.name])
            for field in fields(group)
        ]

    @functools.wraps(command)
    def called(**given: Any) -> None:
        for name, group in groups.items():
            own = {field.name: given.pop(field.name) for field in fields(group)}
            given[name] = group(**own)
        command(**given)

    called.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
    called.__annotations__ = {parameter.name: parameter.annotation for parameter in shown}
    del called.__wrapped__
    return called


def ask_and_follow(
    context: typer.Context,
    job: str,
    target: str,
    hosts: Sequence[str] | None,
    options: Options,
    asking: Asking,
    *,
    look: Callable[[Plan], Sequence[str]] | None = None,
) -> None:
    """Plan a job, ask whether it should start, start it, and follow it or not.

    `look`: what else is shown to a person who is asked, a line each; it may look at the hosts.
    """
    from chatops.far import Wish, far
    from chatops.start import make_plan, ready_engine, start
    from chatops.times import parse_when
    from worker.settings import settings

    names, reason = list(hosts or []), asking.reason
    away = far()
    if away is not None:  # it has the fleet file, and plans by it
        wish = Wish(job, target, names, options, reason, asking.at, asking.override_freeze)
        body = wish.body(away.now())
        confirm(f"Ask {settings().url} for {job} {target}?", yes=asking.yes)
        follow_or_not(away.ask(body), no_wait=asking.no_wait, as_json=asking.as_json)
        return
    plan = make_plan(fleet_path(context, asking.fleet), job, target, names, options)
    engine = ready_engine()
    when = parse_when(asking.at, engine.store.now())
    if not asking.yes and sys.stdin.isatty():
        _show(plan, reason, when, engine.store.now())
        for line in () if look is None else look(plan):
            note(f"  {line}")
        confirm("Start?", yes=False)
    run_id = start(
        engine,
        plan,
        requested_by=actor(),
        reason=reason,
        warn=warn,
        when=when,
        override_freeze=asking.override_freeze,
    )
    follow_or_not(run_id, no_wait=asking.no_wait, as_json=asking.as_json)


def _show(plan: Plan, reason: str | None, when: When, now: float) -> None:
    """Say what would be started, and when."""
    from chatops.render.plans import plan_summary
    from worker.begin import begins
    from worker.plan import Policy

    begin = begins(plan.policy if when.windows else Policy(), when.at, now)
    note(plan_summary(plan, reason=reason, at=begin if begin > now else None))


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
