"""A run as a card: title, progress bar, step now, estimate, fields, buttons. Pure.

A card knows no network; each adapter draws it in its own form. In its texts, `…` is code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from chatops.render import hosts
from chatops.render.words import (
    ENDED,
    IN_FLIGHT,
    Document,
    count,
    icon,
    listed,
    moment,
    one_line,
    title,
    whole,
    word,
)

MOST_TEXT = 600  # characters of one text from a host or a person
MOST_ROWS = 5  # hosts of which a card says what they are at
_BAR = 20  # characters
_STATUS_SIGNS = {
    "queued": "🕓", "running": "🔄", "waiting": "⏳", "paused": "⏸️", "succeeded": "✅",
    "failed": "❌", "aborted": "🛑", "rolled_back": "↩️",
}  # fmt: skip

# What a button does, what it asks before, and whether it is dangerous.
_BUTTONS: dict[str, tuple[str, str, bool]] = {
    "approve": ("Approve", "Let run {run} ({what}) go on?", False),
    "pause": ("Pause", "Start no further host of run {run} ({what})?", False),
    "resume": ("Resume", "Let run {run} ({what}) go on?", False),
    "retry": ("Retry", "Go on with run {run} ({what}) from the step that failed?", False),
    "skip": ("Skip {host}", "Leave {host} as it is, and go on with the others of run {run}?", True),
    "abort": ("Abort", "End run {run} ({what})? Hosts stay as they are.", True),
}


@dataclass(frozen=True)
class Button:
    """A button, and what it asks before it acts."""

    action: str
    run: int
    label: str
    question: str
    danger: bool = False
    host: str = ""

    @property
    def value(self) -> str:
        """Write it for a network to keep: `12`, or `12 web1`."""
        return f"{self.run} {self.host}".rstrip()


def read_value(text: str) -> tuple[int, tuple[str, ...]]:
    """Read what `Button.value` wrote.

    Raises:
        ValueError: it is none of ours.
    """
    run, _, host = text.partition(" ")
    return int(run), (host,) if host else ()


@dataclass(frozen=True)
class Card:
    """What is shown, whatever the network."""

    title: str = ""
    bar: str = ""
    lines: tuple[str, ...] = ()
    fields: tuple[tuple[str, str], ...] = ()
    buttons: tuple[Button, ...] = field(default=())

    @property
    def text(self) -> str:
        """Say it in plain text, for notifications and those who cannot see it."""
        fields = (f"{name}: {value}" for name, value in self.fields)
        return "\n".join(filter(None, [self.title, self.bar, *self.lines, *fields]))


def note(*lines: str) -> Card:
    """Make a card that only says something."""
    return Card(lines=tuple(lines))


def run_card(
    document: Document, *, now: float, may: Callable[[str], bool] = lambda _action: True
) -> Card:
    """Draw a run; `may`: whether whoever looks may do an action."""
    status = document["status"]
    done, total = document["progress"]["done"], document["progress"]["total"]
    buttons = [button for button in fitting(document) if may(button.action)]
    return Card(
        title=f"{_STATUS_SIGNS.get(status, icon(status))} {title(document)} · {word(status)}",
        bar=f"{bar(done, total)} {_hosts_done(document)} · {done} of {count(total, 'step')}",
        lines=tuple(_lines(document)),
        fields=tuple(_fields(document, now)),
        buttons=tuple(buttons),
    )


def bar(done: int, total: int) -> str:
    """Draw a progress bar."""
    full = _BAR * done // total if total else 0
    return "▓" * full + "░" * (_BAR - full)


def _hosts_done(document: Document) -> str:
    ready = sum(host["status"] in ("succeeded", "skipped") for host in document["hosts"])
    return f"{ready} of {count(len(document['hosts']), 'host')}"


def _lines(document: Document) -> list[str]:
    """What the hosts under way are at, and what went wrong."""
    lines = []
    for host in document["hosts"]:
        if host["status"] in (*IN_FLIGHT, "failed", "rolled_back"):
            step = hosts.step_now(host)
            name = "" if step is None or host["status"] == "rolled_back" else f" `{step['name']}`"
            said = cut(hosts.said(host))
            lines.append(f"{icon(host['status'])} {host['name']}{name} {said}".rstrip())
    more = len(lines) - MOST_ROWS
    if more > 0:
        lines = [*lines[:MOST_ROWS], f"… and {count(more, 'host')} more"]
    detail = document["detail"]
    if detail and not (document["status"] in ("failed", "rolled_back") and lines):
        lines.insert(0, cut(detail))
    return lines


def _fields(document: Document, now: float) -> list[tuple[str, str]]:
    begun, ended = moment(document["started_at"]), moment(document["ended_at"])
    approval = document.get("approval") or {}
    found = [
        ("asked by", one_line(document["requested_by"])),
        ("why", cut(document["reason"])),
        ("variables", cut(", ".join(f"{k}={v}" for k, v in document["vars"].items()))),
        ("approved by", one_line(approval.get("approved_by"))),
        ("took" if ended else "since", "" if begun is None else whole((ended or now) - begun)),
        ("left", estimate(document, now)),
    ]
    return [(name, value) for name, value in found if value]


def estimate(document: Document, now: float) -> str:
    """Guess how long it still takes from how long it took until now; empty where nobody knows."""
    begun = moment(document["started_at"])
    done, total = document["progress"]["done"], document["progress"]["total"]
    if document["status"] != "running" or begun is None or not 0 < done < total:
        return ""
    seconds = max(0.0, now - begun) * (total - done) / done
    coarse = 5.0 if seconds < 60 else 30.0  # noqa: PLR2004 - a guess is not told to the second
    return f"about {whole(max(coarse, round(seconds / coarse) * coarse))}"


def fitting(document: Document) -> list[Button]:
    """List the buttons that make sense now, whoever looks."""
    status, held = document["status"], [h["name"] for h in document["hosts"]]
    failed = [h["name"] for h in document["hosts"] if h["status"] == "failed"]
    names: list[tuple[str, str]] = []
    if hosts.waits_for_approval(document) or hosts.hosts_to_approve(document):
        names.append(("approve", ""))
    if status not in ENDED:
        names.append(("resume" if status == "paused" else "pause", ""))
    if status in ("failed", "rolled_back", "aborted") and held:
        names.append(("retry", ""))
    if status == "failed" and failed:
        names.append(("skip", failed[0]))
    if status not in ENDED or (status == "failed" and failed):
        names.append(("abort", ""))
    return [button(document, action, host) for action, host in names]


def button(document: Document, action: str, host: str = "") -> Button:
    """Make one button for a run."""
    label, question, danger = _BUTTONS[action]
    run, what = document["id"], f"{document['job']} {document['target']}"
    asked = question.format(run=run, what=cut(what, 60), host=host)
    return Button(action, run, label.format(host=host), asked, danger, host)


def milestones(document: Document) -> list[tuple[str, str]]:
    """List what a run's thread should have been told by now: a key that stays, and a line."""
    found = []
    approval = document.get("approval") or {}
    if approval:
        wants = f"waits for approval ({approval['role']}): {cut(approval['why'])}"
        found.append(("approval", f"⏳ {wants}"))
        if approval.get("approved_by"):
            found.append(("approved", f"👍 approved by {approval['approved_by']}"))
    for host in document["hosts"]:
        if host["status"] in ("succeeded", "failed", "rolled_back", "skipped"):
            tries = sum(step["attempts"] for step in host["steps"])
            found.append((f"{host['name']} {host['status']} {tries}", _ended(host)))
    if document["status"] in ENDED:
        text = f"{_STATUS_SIGNS[document['status']]} {word(document['status'])}"
        detail = cut(document["detail"])
        key = f"run {document['status']} {document['ended_at']}"
        found.append((key, f"{text}: {detail}" if detail else text))
    return found


def _ended(host: Document) -> str:
    steps = []
    for step in host["steps"]:
        if step["status"] in ("succeeded", "failed", "rolled_back") and step["seconds"] is not None:
            name = step["name"].rpartition(".")[2].replace("_", " ")
            mark = "✗ " if step["status"] == "failed" else ""
            steps.append(f"{mark}{name} {step['seconds']:.1f} s")
    told = f"{icon(host['status'])} {host['name']} {word(host['status'])}"
    told = " · ".join([told, *steps])
    said = cut(hosts.said(host)) if host["status"] != "succeeded" else ""
    return f"{told}: {said}" if said else told


def runs_card(found: Sequence[Document], *, now: float) -> Card:
    """List runs, the newest first."""
    if not found:
        return note("no runs yet")
    lines = []
    for run in found:
        begun, ended = moment(run["started_at"]), moment(run["ended_at"])
        took = "" if begun is None else f" · {whole((ended or now) - begun)}"
        done, total = run["progress"]["done"], run["progress"]["total"]
        lines.append(
            f"{icon(run['status'])} {title(run)} · {word(run['status'])} · {done} of {total}"
            f"{took} · by {one_line(run['requested_by'])}"
        )
    return Card(title="The newest runs", lines=tuple(lines))


def leases_card(held: Sequence[Document]) -> Card:
    """List who holds what."""
    if not held:
        return note("nobody holds a lease")
    lines = [
        f"`{lease['name']}` run {lease['run']} ({lease['job']} {lease['target']}, "
        f"{word(lease['run_status'])}) since {lease['since']} · "
        f"by {one_line(lease['requested_by'])}"
        for lease in held
    ]
    return Card(title="Leases", lines=tuple(lines[:50]))


def freezes_card(found: Sequence[Document]) -> Card:
    """List what is frozen."""
    if not found:
        return note("nothing is frozen")
    lines = [
        f"`{one['scope']}` until {one['until']} · by {one_line(one['by'])} · "
        f"{one_line(one['reason'])}"
        for one in found
    ]
    return Card(title="Frozen", lines=tuple(lines[:50]))


def cut(text: str | None, most: int = MOST_TEXT) -> str:
    """Text as one line of at most that many characters."""
    line = one_line(text)
    return line if len(line) <= most else f"{line[: most - 1]}…"


def some(names: list[str]) -> str:
    """Names with commas."""
    return listed(names)
