"""Packages by dnf or yum and rpm: facts, and the commands between two versions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cmp_to_key
from itertools import pairwise

from tasks.deploy.versions import choose, rpm_compare
from worker.remote import Command, Host

_QUERY = ("rpm", "-q", "--queryformat", r"%{EPOCHNUM}:%{VERSION}-%{RELEASE}\n", "--")


@dataclass(frozen=True)
class RpmFacts:
    """A package and what the repositories offer. `available` is newest first, no epoch 0."""

    tool: str  # dnf or yum
    installed: str | None
    available: list[str]


def parse_query(text: str) -> str | None:
    """Parse EPOCH:VERSION-RELEASE, the newest if there are several; epoch 0 is left out."""
    versions = [line.removeprefix("0:") for line in text.split() if "-" in line and ":" in line]
    return max(versions, key=cmp_to_key(rpm_compare), default=None)


def parse_list(text: str, name: str) -> list[str]:
    """Parse `dnf|yum list --showduplicates`: NAME.ARCH VERSION REPOSITORY; newest first."""
    words = text.split()  # not lines: yum wraps them at 80 columns
    versions = {
        version.removeprefix("0:")
        for label, version in pairwise(words)
        if label.rpartition(".")[0] == name
    }
    return sorted(versions, key=cmp_to_key(rpm_compare), reverse=True)


def observe(host: Host, tool: str, name: str) -> RpmFacts:
    """Read what is installed and what could be; the tool refreshes its cache when it is old."""
    query = host.read(Command.of(*_QUERY, name), check=False)
    listed = host.read(
        Command.of("env", "LC_ALL=C", tool, "-q", "list", "--showduplicates", name),
        timeout=120,
        check=False,
    )
    return RpmFacts(
        tool=tool,
        installed=parse_query(query.stdout) if query.ok else None,
        available=parse_list(listed.stdout, name),
    )


def target(facts: RpmFacts, wish: str | None) -> str | None:
    """Say which version is meant: the newest, or the newest that begins with the wish."""
    if wish is None:
        return next(iter(facts.available), None)
    return choose(wish, facts.available)


def change(tool: str, name: str, before: str | None, after: str) -> Command:
    """Build the way from one version to the other; dnf and yum have a verb for each direction."""
    back = before is not None and rpm_compare(after, before) < 0
    verb = "downgrade" if back else "install"
    return Command.of("env", "LC_ALL=C", tool, "-y", verb, f"{name}-{after}")


def remove(tool: str, name: str) -> Command:
    """Build the removal of a package that was not there before."""
    return Command.of("env", "LC_ALL=C", tool, "-y", "remove", name)
