"""Follow a run to its end: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from rich.console import Console
from rich.live import Live

from chatops.cli_common import note, out, show, show_json, warn
from chatops.render.events import Teller
from chatops.render.hosts import hosts_to_approve, waits_for_approval
from chatops.render.live import live
from chatops.render.recap import recap
from chatops.render.words import ENDED, IN_FLIGHT, Document, listed, utc_time
from chatops.reports import Source, run_document, unserved
from chatops.services import unserved_warning
from worker.errors import ServiceError

APPROVAL = 7
INTERRUPTED = 99

_POLL = 0.25  # seconds between two looks
_POLL_MANY = 1.0
_MANY = 200  # hosts
_AWAY = 30.0  # seconds that the database may be away
_LOOK_FOR_WORKERS = 3.0  # seconds between two looks at who serves the run

Sleep = Callable[[float], None]


class View(Protocol):
    """How a run is shown while it goes on."""

    def update(self, document: Document, notes: list[str]) -> None:
        """Show how the run stands."""

    def close(self) -> None:
        """Give the screen back."""


class Silent:
    """Show nothing: the document at the end is all (`--json`)."""

    def update(self, document: Document, notes: list[str]) -> None:
        """Show nothing."""

    def close(self) -> None:
        """Nothing was taken."""


class Lines:
    """A line an event, for logs and pipes."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._teller = Teller()
        self._notes: set[str] = set()

    def update(self, document: Document, notes: list[str]) -> None:
        """Print what is new."""
        now = self._now()
        for event in self._teller.tell(document, at=utc_time(now), clock=now):
            sys.stdout.write(f"{event}\n")
        sys.stdout.flush()
        for text in notes:
            if text not in self._notes:
                self._notes.add(text)
                warn(text)

    def close(self) -> None:
        """Nothing was taken."""


class Table:
    """The live table."""

    def __init__(self, console: Console, now: Callable[[], float]) -> None:
        self._console = console
        self._now = now
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._live.start()

    def update(self, document: Document, notes: list[str]) -> None:
        """Draw it anew."""
        height = self._console.size.height - 1
        self._live.update(live(document, now=self._now(), height=height, notes=notes), refresh=True)

    def close(self) -> None:
        """Remove the table; the recap says it better."""
        self._live.stop()


def make_view(now: Callable[[], float], *, as_json: bool) -> View:
    """Choose the view that fits standard output."""
    if as_json:
        return Silent()
    console = out()
    if sys.stdout.isatty() and not console.is_dumb_terminal:
        return Table(console, now)
    return Lines(now)


@dataclass
class Follower:
    """Looks at a run again and again."""

    store: Source
    run_id: int
    view: View
    sleep: Sleep = time.sleep
    monotonic: Callable[[], float] = time.monotonic

    def follow(self) -> Document:
        """Return the run's document when it has ended or only an approval can help it.

        Raises:
            ServiceError: the database was away for too long.
        """
        warning: str | None = None
        looked = float("-inf")
        while True:
            document = self._read()
            if document["status"] in ENDED or _needs_approval(document):
                self.view.update(document, [])
                return document
            if self.monotonic() - looked >= _LOOK_FOR_WORKERS:
                warning, looked = self._warning(), self.monotonic()
            notes = [] if warning is None else [warning]
            if document["status"] == "paused":
                notes.append(f"paused: `winch resume {self.run_id}` lets it go on")
            later = document.get("start_at") is not None
            if later:
                notes.append(f"{document['detail']}; Ctrl-C stops following, not the run")
            self.view.update(document, notes)
            self.sleep(_POLL_MANY if later or len(document["hosts"]) > _MANY else _POLL)

    def _read(self) -> Document:
        deadline = self.monotonic() + _AWAY
        said = False
        while True:
            try:
                return run_document(self.store, self.run_id)
            except ServiceError as error:
                if self.monotonic() >= deadline:
                    raise
                if not said:
                    note(f"{error}; trying again for {_AWAY:.0f} s; the run is not affected")
                    said = True
                self.sleep(1.0)

    def _warning(self) -> str | None:
        try:
            return unserved_warning(unserved(self.store, self.run_id))
        except ServiceError:
            return None  # `_read` will say so


def _needs_approval(document: Document) -> bool:
    """Whether nothing goes on before somebody approves: the run, or all that is under way."""
    if document["status"] != "waiting":
        return False
    under_way = [host for host in document["hosts"] if host["status"] in IN_FLIGHT]
    if not under_way:
        return waits_for_approval(document)
    return all(host.get("waiting_for") == "approval" for host in under_way)


def follow(store: Source, run_id: int, *, as_json: bool = False) -> int:
    """Follow a run to its end and print the recap. Returns the exit code.

    Raises:
        ServiceError: the database was away for too long.
    """
    try:
        view = make_view(store.now, as_json=as_json)
        try:
            document = Follower(store, run_id, view).follow()
        finally:
            view.close()
    except KeyboardInterrupt:
        note(f"run {run_id} goes on; `winch watch {run_id}` follows it again")
        return INTERRUPTED
    if as_json:
        show_json(document)
    else:
        show(recap(document, now=store.now()))
    if document["status"] not in ENDED:
        names = listed(hosts_to_approve(document))
        which = f" ({names})" if names else ""
        note(f"run {run_id} waits for approval{which}; `winch approve {run_id}` lets it go on")
        return APPROVAL
    return 1 if document["exit_code"] is None else int(document["exit_code"])
