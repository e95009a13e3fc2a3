"""What happened between two looks at a run, one plain line an event."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from chatops.render import hosts
from chatops.render.words import IN_FLIGHT, Document, one_line, word

_CHATTY = 5.0  # seconds at least between two lines that differ in nothing but their text
_BEGUN = frozenset({"running", "waiting", "succeeded", "failed", "skipped", "rolled_back"})


@dataclass(frozen=True)
class Event:
    """One line: when, where, what."""

    at: str
    host: str  # "-": the run itself
    step: str
    status: str
    detail: str

    def __str__(self) -> str:
        words = [self.at, self.host, self.step, word(self.status)]
        return "  ".join(filter(None, [*words, one_line(self.detail)]))


class Teller:
    """Remembers what was said of a run, and says what is new. Time comes from outside."""

    def __init__(self) -> None:
        self._run: tuple[str, str | None] | None = None
        self._hosts: dict[str, str] = {}
        self._steps: dict[tuple[str, int], tuple[Any, ...]] = {}
        self._said_at: dict[tuple[str, int], float] = {}

    def tell(self, document: Document, *, at: str, clock: float) -> list[Event]:
        """List what is new in a document that was read at `at` (ISO 8601), `clock` in seconds."""
        of_run = self._of_run(document, at)
        events = [] if document["ended_at"] else of_run
        for host in document["hosts"]:
            events += self._of_steps(host, at, clock)
            events += self._of_host(host, at)
        # Times are whole seconds: the end of a run comes after those of its hosts.
        events += of_run if document["ended_at"] else []
        return sorted(events, key=lambda event: event.at)

    def _of_run(self, document: Document, at: str) -> list[Event]:
        state = (document["status"], document["detail"])
        if state == self._run:
            return []
        first, self._run = self._run is None, state
        when = document["ended_at"] or (document["created_at"] if first else at)
        return [Event(when, "-", "", document["status"], document["detail"] or "")]

    def _of_host(self, host: Document, at: str) -> list[Event]:
        before = self._hosts.get(host["name"], "pending")
        self._hosts[host["name"]] = host["status"]
        if host["status"] == before or host["status"] in (*IN_FLIGHT, "pending"):
            return []
        if host["status"] == "cancelled" and before == "pending":
            return []  # it never began: the recap lists it
        ends = [step["ended_at"] for step in host["steps"] if step["ended_at"]]
        detail = hosts.said(host) if host["status"] != "succeeded" else ""
        return [Event(max(ends, default=at), host["name"], "", host["status"], detail)]

    def _of_steps(self, host: Document, at: str, clock: float) -> list[Event]:
        events = []
        for number, step in enumerate(host["steps"]):
            key = (host["name"], number)
            state = (step["status"], step["attempts"])
            text = step["detail"] or ""
            before = self._steps.get(key)
            if step["status"] not in _BEGUN or before == (*state, text):
                self._steps[key] = (*state, text)
                continue
            same = before is not None and before[:2] == state
            if same and clock - self._said_at.get(key, 0.0) < _CHATTY:
                continue
            self._steps[key], self._said_at[key] = (*state, text), clock
            when = at if same else _when(step, at)
            events.append(Event(when, host["name"], step["name"], step["status"], text))
        return events


def _when(step: Document, at: str) -> str:
    """When a step came to its status: it knows when it began and ended, not when it waited."""
    first = step["status"] == "running" and step["attempts"] <= 1
    return str(step["ended_at"] or (step["started_at"] if first else None) or at)
