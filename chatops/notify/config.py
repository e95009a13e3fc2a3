"""The notify file: who is told, and of what.

    receivers:
      ops-mail: {url_file: /etc/winch/ops-mail.url}
      team: {url_env: WINCH_NOTIFY_TEAM}
    routes:
      - {to: [ops-mail]}
      - {to: [team], events: [failed, approval, succeeded], scopes: [pool:web], jobs: [roll]}

Apprise's URLs hold secrets, so they stand in a file or in the environment, never here. It is
checked like the fleet file: whatever is wrong is said with file, line and key.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationError

from chatops.access import Scope
from chatops.notify.events import KINDS, Event, concerns
from worker.errors import UsageError
from worker.settings import settings
from workflows.deployments import Section
from workflows.jobs import JOBS
from workflows.kinds import Name, PositiveDuration, Text
from workflows.problems import Problem, nearest, problems_of, usage_error
from workflows.values import shown
from workflows.yamlfile import read_document

log = logging.getLogger(__name__)

_ENVIRONMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}", re.ASCII)
_LONGEST = 4000  # characters of a URL
_LONGEST_TIMEOUT = 60.0  # seconds


def _kind(text: str) -> str:
    if text not in KINDS:
        raise ValueError(f"there is no event {shown(text)}{nearest(text, KINDS)}")
    return text


def _job(text: str) -> str:
    if text not in JOBS:
        raise ValueError(f"there is no job {shown(text)}{nearest(text, JOBS)}")
    return text


def _variable(text: str) -> str:
    if _ENVIRONMENT.fullmatch(text) is None:  # not repeated: it may be the secret itself
        raise ValueError("must be the name of an environment variable that holds the URL")
    return text


def _path(text: str) -> str:
    if "://" in text:
        raise ValueError("must be the path of a file that holds the URL, not the URL itself")
    return text


def _bounded(seconds: float) -> float:
    if seconds > _LONGEST_TIMEOUT:
        raise ValueError(f"must be at most {_LONGEST_TIMEOUT:g}s")
    return seconds


class Receiver(Section):
    """A place where somebody looks: a mailbox, a room, a webhook. One of url_file and url_env."""

    url_file: Annotated[Text, AfterValidator(_path)] | None = None
    """A file with its Apprise URL, readable by its owner only; from this file's directory."""
    url_env: Annotated[str, AfterValidator(_variable)] | None = None
    """An environment variable with its Apprise URL."""
    timeout: Annotated[PositiveDuration, AfterValidator(_bounded)] = 10.0
    """How long it may take to answer."""


class Route(Section):
    """Which events go where."""

    to: list[str] = Field(min_length=1)
    """Names of receivers."""
    events: list[Annotated[str, AfterValidator(_kind)]] = []
    """These events; nothing here means all but succeeded and aborted."""
    scopes: list[Scope] = []
    """What they are about (pool:web, pair:*); nothing here means everything."""
    jobs: list[Annotated[str, AfterValidator(_job)]] = []
    """Runs of these jobs only; nothing here means all."""


class NotifyTable(Section):
    """Who is told, and of what."""

    receivers: dict[Name, Receiver] = Field(default_factory=dict)
    """Everybody who can be told."""
    routes: list[Route] = []
    """The table: which events go where."""

    def receivers_of(self, event: Event) -> list[str]:
        """Name who is told of an event, each once."""
        found = [
            name
            for route in self.routes
            if concerns(event, route.events, route.scopes, route.jobs)
            for name in route.to
        ]
        return list(dict.fromkeys(found))


def load_table(path: Path) -> NotifyTable:
    """Read and check a notify file; not what its receivers' URLs are.

    Raises:
        UsageError: it cannot be read, or says what cannot be meant; a line for each problem.
    """
    if not path.exists():
        raise UsageError(f"{path}: no such file; WINCH_NOTIFY_FILE names the notify file")
    document = read_document(path)
    data = {key: value for key, value in document.data.items() if value is not None}
    try:
        table = NotifyTable.model_validate(data)
    except ValidationError as error:
        problems = [_unsaid(problem) for problem in problems_of(error, NotifyTable)]
        raise usage_error(document, problems) from None
    problems = list(_meant(table))
    if problems:
        raise usage_error(document, problems)
    return table


def _unsaid(problem: Problem) -> Problem:
    """Repeat no value that might be a URL: it would show a secret."""
    if "://" not in problem.message:
        return problem
    return Problem(problem.path, "holds a URL; write it to a file (url_file) or the environment")


def _meant(table: NotifyTable) -> Iterator[Problem]:
    for name, receiver in table.receivers.items():
        if (receiver.url_file is None) == (receiver.url_env is None):
            yield Problem(("receivers", name), "must have one of url_file and url_env")
    for number, route in enumerate(table.routes):
        for at, name in enumerate(route.to):
            if name not in table.receivers:
                path = ("routes", number, "to", at)
                hint = nearest(name, table.receivers)
                yield Problem(path, f"there is no receiver {shown(name)}{hint}")


def read_url(
    name: str, receiver: Receiver, base: Path, environment: Mapping[str, str] | None = None
) -> str:
    """Read a receiver's URL, which is a secret: it is for Apprise alone.

    Raises:
        UsageError: it is not there, or its file is open to others. The URL is not in the message.
    """
    known = os.environ if environment is None else environment
    if receiver.url_env is not None:
        text = known.get(receiver.url_env, "").strip()
        where = receiver.url_env
        if not text:
            raise UsageError(f"receiver {name}: {where} is not set in the environment")
    else:
        path = base / Path(receiver.url_file or "").expanduser()
        where = str(path)
        try:
            mode = path.stat().st_mode
            text = path.read_text(encoding="utf-8")[: _LONGEST + 1].strip()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "is no text"
            raise UsageError(f"receiver {name}: {where}: {why}") from None
        if mode & 0o007:
            raise UsageError(
                f"receiver {name}: {where} has mode {mode & 0o777:04o} and holds a secret; run "
                f"`chmod o= {where}`"
            )
    if not text or len(text) > _LONGEST or len(text.split()) != 1 or not text.isprintable():
        raise UsageError(f"receiver {name}: {where} must hold one Apprise URL and nothing else")
    return text


class NotifyFile:
    """The notify file of a process, read again when it has changed.

    A change that is not valid is reported and not taken: the last one that was goes on to hold.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._stamp: Any = "not looked at yet"
        self._table: NotifyTable | None = None

    def current(self) -> NotifyTable:
        """Return what holds now; nobody is told anything by a file that has never been valid."""
        with self._lock:
            stamp = _stamp(self.path)
            if stamp != self._stamp:
                self._read()
                self._stamp = stamp
            return self._table or NotifyTable()

    def _read(self) -> None:
        try:
            self._table = load_table(self.path)
        except UsageError as error:
            if self._table is None:
                log.warning("the notify file is not valid, nobody is told anything: %s", error)
            else:
                log.warning("the notify file is not valid, its last valid state holds: %s", error)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def notify_path(given: Path | None = None) -> Path:
    """Choose the notify file: the command's option, or WINCH_NOTIFY_FILE.

    Raises:
        UsageError: neither is there.
    """
    path = given or settings().notify_file
    if path is None:
        raise UsageError("no notify file: set WINCH_NOTIFY_FILE, or name one with --file")
    return path
