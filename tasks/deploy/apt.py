"""Packages by apt and dpkg: facts, and the commands that go from one version to another."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from tasks.deploy.record import last_words
from tasks.deploy.versions import choose
from worker.errors import Refused
from worker.remote import Command, Host, Result

# Nothing asks, nothing is restarted by needrestart, changed configuration files stay as they are,
# and another apt on the host is waited for.
ENVIRONMENT = ("env", "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive", "NEEDRESTART_MODE=l")
LOCK_WAIT_SECONDS = 120
OPTIONS = (
    "-y",
    "-q",
    "-o",
    f"DPkg::Lock::Timeout={LOCK_WAIT_SECONDS}",
    "-o",
    "Dpkg::Options::=--force-confdef",
    "-o",
    "Dpkg::Options::=--force-confold",
)
UPDATE = Command.of(
    *ENVIRONMENT, "apt-get", "update", "-q", "-o", f"DPkg::Lock::Timeout={LOCK_WAIT_SECONDS}"
)
# What an interrupted dpkg left behind: journal entries, or packages that are half-way.
_INTERRUPTED = "ls /var/lib/dpkg/updates 2>/dev/null | grep -q . || dpkg --audit 2>&1 | grep -q ."
_DPKG_QUERY = (
    "dpkg-query",
    "-W",
    "-f",
    r"${db:Status-Abbrev}|${binary:Package}|${Version}|${source:Package}\n",
)


@dataclass(frozen=True)
class Installed:
    """One package as dpkg knows it. `status` is two letters: wanted and actual (dpkg-query(1))."""

    status: str
    name: str
    version: str
    source: str

    @property
    def complete(self) -> bool:
        """Whether it is unpacked and configured."""
        return self.status[1:2] == "i"

    @property
    def held(self) -> bool:
        """Whether an operator put it on hold."""
        return self.status[:1] == "h"


@dataclass(frozen=True)
class AptFacts:
    """A package and what the repositories offer. `available` is newest first."""

    installed: Installed | None
    available: list[str]
    candidate: str | None
    interrupted: bool = False
    siblings: list[str] = field(default_factory=list)  # of the same source, at the same version


@dataclass(frozen=True)
class Change:
    """One line of apt's simulation; `before` or `after` is None for a new or a removed package."""

    name: str
    before: str | None
    after: str | None


def parse_dpkg_query(text: str) -> list[Installed]:
    """Parse lines of STATUS|NAME|VERSION|SOURCE; packages that are not installed are left out."""
    found = []
    for line in text.splitlines():
        parts = [part.strip() for part in line.split("|")]
        if len(parts) == len(Installed.__annotations__) and parts[2] and parts[0][1:2] not in "nc":
            found.append(Installed(*parts))
    return found


def parse_madison(text: str) -> list[str]:
    """Parse `apt-cache madison`: NAME | VERSION | SOURCE, newest first; each version once."""
    versions = [line.split("|")[1].strip() for line in text.splitlines() if line.count("|") >= 2]  # noqa: PLR2004
    return list(dict.fromkeys(versions))


def parse_candidate(text: str) -> str | None:
    """Parse the candidate of `apt-cache policy`, which respects pins."""
    match = re.search(r"^ *Candidate: (\S+)$", text, re.MULTILINE)
    return None if match is None or match[1] == "(none)" else match[1]


def parse_simulation(text: str) -> list[Change]:
    """Parse `Inst NAME [OLD] (NEW …` and `Remv NAME [OLD]` of `apt-get -s`."""
    changes = []
    for line in text.splitlines():
        if match := re.match(r"Inst (\S+) (?:\[([^\]]+)\] )?\((\S+) ", line):
            changes.append(Change(match[1], match[2], match[3]))
        elif match := re.match(r"Remv (\S+)(?: \[([^\]]+)\])?", line):
            changes.append(Change(match[1], match[2], None))
    return changes


def observe(host: Host, name: str) -> AptFacts:
    """Read what is installed and what could be."""
    query = host.read(Command.of(*_DPKG_QUERY, name), check=False)
    installed = next(iter(parse_dpkg_query(query.stdout)), None)
    siblings: list[str] = []
    if installed is not None:
        every = parse_dpkg_query(host.read(Command.of(*_DPKG_QUERY)).stdout)
        siblings = [
            other.name
            for other in every
            if (other.source, other.version) == (installed.source, installed.version)
            and other.name != installed.name
        ]
    madison = host.read(Command.of("apt-cache", "madison", name), check=False)
    policy = host.read(Command.of("env", "LC_ALL=C", "apt-cache", "policy", name), check=False)
    return AptFacts(
        installed=installed,
        available=parse_madison(madison.stdout),
        candidate=parse_candidate(policy.stdout),
        interrupted=host.read(Command.shell(_INTERRUPTED), check=False).ok,
        siblings=siblings,
    )


def target(facts: AptFacts, wish: str | None) -> str | None:
    """Say which version is meant: the candidate, or the newest that begins with the wish."""
    return facts.candidate if wish is None else choose(wish, facts.available)


def install(words: list[str], *, simulate: bool = False) -> Command:
    """Build the installation of NAME=VERSION words. Nothing may be removed for it."""
    mode = ("-s",) if simulate else ()
    return Command.of(
        *ENVIRONMENT,
        "apt-get",
        "install",
        *mode,
        *OPTIONS,
        "--no-remove",
        "--allow-downgrades",
        *words,
    )


def remove(name: str) -> Command:
    """Build the removal of a package that was not there before; its configuration stays."""
    return Command.of(*ENVIRONMENT, "apt-get", "remove", *OPTIONS, name)


MEND = Command.of(
    *ENVIRONMENT, "dpkg", "--force-confdef", "--force-confold", "--configure", "--pending"
)


def plan(host: Host, facts: AptFacts, name: str, version: str) -> tuple[list[str], list[Change]]:
    """Find NAME=VERSION words that apt can install, and what they would change.

    Packages of one source often demand each other's exact version, and apt does not take the
    others back along by itself: the second try names them too.

    Raises:
        Refused: apt cannot do it; its reason is in the message.
    """
    first = [f"{name}={version}"]
    tries = [first]
    if facts.siblings:
        tries.append(first + [f"{sibling}={version}" for sibling in facts.siblings])
    result: Result | None = None
    for words in tries:
        result = host.read(install(words, simulate=True), timeout=60, check=False)
        if result.ok:
            return words, parse_simulation(result.stdout)
    reason = "" if result is None else _reason(result)
    raise Refused(
        f"{host.name}: apt cannot install {name}={version}: {reason}; nothing was changed, try "
        f"`apt-get -s install {name}={version}` on the host"
    )


def _reason(result: Result) -> str:
    depends = [line.strip() for line in result.stdout.splitlines() if "Depends:" in line]
    return f"{'; '.join(depends[:3])}; {last_words(result)}" if depends else last_words(result)
