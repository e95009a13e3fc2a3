"""The access file: which person has which role, and what takes another person's approval.

    people:
      alice: {role: operator, scopes: [pool:web], identities: ["slack:U02ABC", "cli:alice"]}
      bob: {role: admin, identities: ["matrix:@bob:example.org", "http:bob-laptop"]}
    approvals:
      - {jobs: [roll], targets: [pool:web], why: the shop}
      - {targets: ["pair:*"], role: admin}
      - {outside: {days: mon-fri, hours: 09:00-17:00, timezone: Europe/Vienna}}

It is checked like the fleet file: whatever is wrong is said with file, line and key.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError

from chatops.authorise import Principal, Role, check_scope, touches
from chatops.office import Hours
from worker.engine import Approval
from worker.errors import UsageError
from worker.settings import settings
from workflows.deployments import Section
from workflows.jobs import JOBS
from workflows.kinds import Name, Text
from workflows.problems import Problem, nearest, problems_of, usage_error
from workflows.values import shown
from workflows.yamlfile import read_document

log = logging.getLogger(__name__)

SOURCES = ("cli", "http", "slack", "mattermost", "matrix")


def _identity(text: str) -> str:
    source, _, name = text.partition(":")
    if source not in SOURCES or not name or not text.isprintable() or " " in text:
        raise ValueError(
            f"{shown(text)} is no identity: {', '.join(f'{known}:NAME' for known in SOURCES)}"
        )
    return text


def _job(text: str) -> str:
    if text not in JOBS:
        raise ValueError(f"there is no job {shown(text)}{nearest(text, JOBS)}")
    return text


Scope = Annotated[str, AfterValidator(check_scope)]
Identity = Annotated[str, AfterValidator(_identity)]


class Person(Section):
    """Somebody, and what they may do, however they come in."""

    role: Role
    """viewer, operator or admin; a token has its own role."""
    scopes: list[Scope] = []
    """What they see and steer (pool:web, pair:*); nothing here means everything."""
    identities: list[Identity] = []
    """Their names where they come in: slack:U02ABC, cli:alice, http:TOKEN, ..."""


class Rule(Section):
    """What takes the approval of another person than the asker."""

    jobs: list[Annotated[str, AfterValidator(_job)]] = []
    """These jobs; nothing here means all."""
    targets: list[Scope] = []
    """What the job is about (pool:web, pair:*); nothing here means everything."""
    outside: Hours | None = None
    """Only outside these hours."""
    role: Literal["operator", "admin"] = "operator"
    """The role that the approver needs."""
    why: Text | None = None
    """What the asker and the approver are told."""

    def reason(self, job: str, scope: str, at: float) -> str | None:
        """Say why the rule applies; None: it does not."""
        if self.jobs and job not in self.jobs:
            return None
        if not touches(self.targets, scope):
            return None
        if self.outside is not None and self.outside.includes(at):
            return None
        if self.why is not None:
            return self.why
        when = "" if self.outside is None else f" outside {self.outside.text}"
        return f"{job} of {scope or 'anything'}{when}"


class Access(Section):
    """Who may do what."""

    people: dict[Name, Person] = Field(default_factory=dict)
    """Everybody who has a role by the way they come in."""
    approvals: list[Rule] = []
    """What takes the approval of another person."""

    def person_of(self, identity: str) -> str:
        """Name the person behind an identity; itself, if nobody is known to have it."""
        return next(
            (name for name, person in self.people.items() if identity in person.identities),
            identity,
        )

    def principal(self, identity: str) -> Principal:
        """Say who somebody is that came in by the command line or a chat.

        Whoever is not named has no role; but on the command line they hold the database itself.
        """
        name = self.person_of(identity)
        person = self.people.get(name) if name != identity else None
        if person is not None:
            return Principal(identity, person.role, tuple(person.scopes), name)
        return Principal(identity, "admin" if identity.startswith("cli:") else None)

    def approval_for(self, job: str, scope: str, at: float) -> Approval | None:
        """Decide whether a job takes another person's approval, at that time (epoch seconds)."""
        found = [(rule.reason(job, scope, at), rule.role) for rule in self.approvals]
        reasons = [(why, role) for why, role in found if why is not None]
        if not reasons:
            return None
        role = "admin" if any(role == "admin" for _, role in reasons) else "operator"
        return Approval("; ".join(dict.fromkeys(why for why, _ in reasons)), role)


def load_access(path: Path) -> Access:
    """Read and check an access file.

    Raises:
        UsageError: it cannot be read, or says what cannot be meant; a line for each problem.
    """
    if not path.exists():
        raise UsageError(f"{path}: no such file; WINCH_ACCESS names the access file")
    document = read_document(path)
    data = {key: ({} if value is None else value) for key, value in document.data.items()}
    if data.get("approvals") == {}:
        del data["approvals"]
    try:
        access = Access.model_validate(data)
    except ValidationError as error:
        raise usage_error(document, problems_of(error, Access)) from None
    problems = list(_twice(access))
    if problems:
        raise usage_error(document, problems)
    return access


def _twice(access: Access) -> list[Problem]:
    owners: dict[str, str] = {}
    problems = []
    for name, person in access.people.items():
        for number, identity in enumerate(person.identities):
            owner = owners.setdefault(identity, name)
            if owner != name:
                path = ("people", name, "identities", number)
                problems.append(Problem(path, f"{shown(identity)} is {owner} already"))
    return problems


@dataclass
class _Loaded:
    stamp: Any
    access: Access


class AccessFile:
    """The access file of a process, read again when it has changed.

    A change that is not valid is reported and not taken: the last one that was goes on to hold.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._loaded: _Loaded | None = None
        self._complained: Any = None

    def current(self) -> Access:
        """Return what holds now; without a file nobody has a role by it, and nothing is asked.

        Raises:
            UsageError: the file cannot be used, and has never been.
        """
        if self._path is None:
            return Access()
        with self._lock:
            stamp = _stamp(self._path)
            if self._loaded is not None and stamp in (self._loaded.stamp, self._complained):
                return self._loaded.access
            try:
                self._loaded = _Loaded(stamp, load_access(self._path))
            except UsageError as error:
                if self._loaded is None:
                    raise
                self._complained = stamp
                log.warning("the access file is not valid, its last valid state holds: %s", error)
            return self._loaded.access


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


_files: dict[Path | None, AccessFile] = {}


def access_file(path: Path | None = None) -> AccessFile:
    """Return the process's access file: `path`, else that of the settings."""
    wanted = path or settings().access
    return _files.setdefault(wanted, AccessFile(wanted))
