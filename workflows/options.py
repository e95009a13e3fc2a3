"""What an asker can say about a job, whichever way the asking came."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

from worker.errors import UsageError
from workflows.nginx_options import NginxOptions
from workflows.problems import nearest
from workflows.reload_options import HaproxyOptions
from workflows.sections import Pool
from workflows.values import (
    at_least_one,
    check_count,
    check_user_variable,
    has_control,
    shown,
)


@dataclass(frozen=True)
class Options:
    """Options of a job. `limit` and `exclude` name hosts; counts are texts like `2` or `25%`."""

    limit: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    vars: Mapping[str, str] = field(default_factory=dict)
    max_unavailable: str | None = None
    stages: tuple[str, ...] | None = None
    include_maintenance: bool = False
    nginx: NginxOptions = field(default_factory=NginxOptions)
    haproxy: HaproxyOptions = field(default_factory=HaproxyOptions)
    first: tuple[str, ...] = ()  # hosts that a look at the fleet found to be the ones to begin with

    @classmethod
    def parse(
        cls,
        *,
        limit: Iterable[str] = (),
        exclude: Iterable[str] = (),
        set_: Iterable[str] = (),
        max_unavailable: str | None = None,
        stages: str | None = None,
        include_maintenance: bool = False,
        nginx: NginxOptions | None = None,
    ) -> Self:
        """Read options as people write them: names and stages with commas, variables as KEY=VALUE.

        Raises:
            UsageError: an option is not what it must be; the message names it.
        """
        steps = None if stages is None else words([stages])
        for name, counts in (
            ("--max-unavailable", [] if max_unavailable is None else [max_unavailable]),
            ("--stages", steps or ()),
        ):
            for count in counts:
                check_option(name, count)
        return cls(
            limit=words(limit),
            exclude=words(exclude),
            vars=parse_vars(set_),
            max_unavailable=max_unavailable,
            stages=steps,
            include_maintenance=include_maintenance,
            nginx=nginx or NginxOptions(),
        )


def words(texts: Iterable[str]) -> tuple[str, ...]:
    """Split `web1,web2` and repeated options into names, each once."""
    names = (part.strip() for text in texts for part in text.split(","))
    return tuple(dict.fromkeys(name for name in names if name))


def parse_vars(texts: Iterable[str]) -> dict[str, str]:
    """Read KEY=VALUE.

    Raises:
        UsageError: one of them has no "=", or a key or value that cannot be.
    """
    found: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"--set {shown(text)}: must be KEY=VALUE, such as version=1.26.3")
        found[key] = value
    check_vars(found)
    return found


def check_vars(values: Mapping[str, str]) -> None:
    """Refuse names and values of variables that can mean harm only.

    Raises:
        UsageError: the message names the variable.
    """
    for key, value in values.items():
        try:
            check_user_variable(key)
        except ValueError as error:
            raise UsageError(f"--set: {error}") from None
        if has_control(value):
            raise UsageError(f"--set {key}: control characters are not allowed: {shown(value)}")


def check_option(name: str, count: str) -> str:
    """Accept a count from 1 on.

    Raises:
        UsageError: it is none; the message names the option.
    """
    try:
        return at_least_one(check_count(count))
    except ValueError as error:
        raise UsageError(f"{name}: {error}") from None


def select(name: str, pool: Pool, options: Options) -> list[str]:
    """Choose the hosts of a pool that a job is about, in the file's order.

    Raises:
        UsageError: a name is not in the pool, or nothing is left.
    """
    for option, names in (("--limit", options.limit), ("--exclude", options.exclude)):
        for host in names:
            if host not in pool.servers:
                raise UsageError(
                    f"{option}: {shown(host)} is not in pool {name}{nearest(host, pool.servers)}"
                )
    wanted = set(options.limit or pool.servers) - set(options.exclude)
    chosen = [host for host in pool.servers if host in wanted]
    if not chosen:
        raise UsageError(f"pool {name}: --limit and --exclude leave no host; nothing to do")
    return chosen
