"""What people are told of an event: a title and a line or two, with nothing secret in it."""

from __future__ import annotations

from chatops.notify.events import Event
from worker.mask import mask

_MOST = 400  # characters of a detail
_TITLES = {
    "failed": "failed",
    "approval": "is waiting for approval",
    "rolled_back": "was rolled back",
    "succeeded": "succeeded",
    "aborted": "was aborted",
}


def title(event: Event) -> str:
    """Write the title: `Winch: run 12 failed: roll web`."""
    said = _TITLES.get(event.kind)
    if said is not None:
        return f"Winch: run {event.run_id} {said}: {event.job or 'run'} {_plain(event.target)}"
    match event.kind:
        case "lease_broken":
            of = "" if event.run_id is None else f" of run {event.run_id}"
            return f"Winch: lease {_plain(event.target)}{of} was broken"
        case "worker_lost":
            return f"Winch: worker {_plain(event.target)} is gone"
        case "frozen":
            return f"Winch: {_frozen(event)} frozen"
        case "unfrozen":
            return f"Winch: {_frozen(event)} no longer frozen"
        case _:
            run = "" if event.run_id is None else f" by run {event.run_id}"
            what = _plain(f"{event.job or ''} {event.target}")
            return f"Winch: a freeze was overridden{run}: {what}"


def body(event: Event, public_url: str | None = None) -> str:
    """Write the lines under it: the host and the reason, who asked, and where to look."""
    lines = []
    if event.detail:
        lines.append(_plain(event.detail))
    asked = []
    if event.requested_by is not None:
        asked.append(f"asked for by {_plain(event.requested_by)}")
    elif event.kind != "worker_lost":
        asked.append(f"by {_plain(event.actor)}")
    if event.kind == "lease_broken" and event.requested_by is not None:
        asked.insert(0, f"broken by {_plain(event.actor)}, run")
    if event.reason and event.kind not in ("frozen", "unfrozen"):
        asked.append(f"({_plain(event.reason)})")
    link = _link(event, public_url)
    last = " ".join(asked)
    if link:
        last = f"{last} · {link}" if last else link
    return "\n".join([*lines, *([last] if last else [])])


def _link(event: Event, public_url: str | None) -> str:
    if public_url is None:
        return "" if event.run_id is None else f"winch show {event.run_id}"
    base = public_url.rstrip("/")
    return f"{base}/" if event.run_id is None else f"{base}/runs/{event.run_id}"


def _frozen(event: Event) -> str:
    return f"{_plain(event.target)} is" if ":" in event.target else "everything is"


def _plain(text: str) -> str:
    """One line, bounded, without control characters and secrets."""
    line = " ".join("".join(c if c.isprintable() else " " for c in mask(text)).split())
    return line if len(line) <= _MOST else f"{line[: _MOST - 1]}…"
