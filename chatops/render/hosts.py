"""What a run's document says of one host: the step now, the time it took, what to say of it."""

from __future__ import annotations

from chatops.render.words import IN_FLIGHT, Document, moment


def step_now(host: Document) -> Document | None:
    """The step that a host is at: under way, else failed, else the next one, else the last."""
    steps: list[Document] = host["steps"]
    for statuses in (IN_FLIGHT, {"failed"}, {"pending"}):
        found = [step for step in steps if step["status"] in statuses]
        if found:
            return found[0]
    return next((s for s in reversed(steps) if s["status"] in ("succeeded", "rolled_back")), None)


def seconds(host: Document, now: float) -> float | None:
    """How long a host's steps took, in all; the one under way counts until `now`."""
    total = None
    for step in host["steps"]:
        took = step_seconds(step, now)
        if took is not None:
            total = (total or 0.0) + took
    return total


def step_seconds(step: Document, now: float) -> float | None:
    """How long a step took, or has taken by `now`; None if it has not started."""
    if step["seconds"] is not None:
        return float(step["seconds"])
    begun = moment(step["started_at"])
    if begun is None or step["status"] not in IN_FLIGHT:
        return None
    return max(0.0, now - begun)


def said(host: Document) -> str:
    """The one thing to say of a host now: why it failed, or what its step says."""
    if host["status"] in ("failed", "rolled_back", "skipped", "cancelled") and host["detail"]:
        return str(host["detail"])
    step = step_now(host)
    return "" if step is None else str(step["detail"] or "")


def waits_for_approval(document: Document) -> bool:
    """Whether the run as a whole waits for an approval, before any host does."""
    return bool((document.get("approval") or {}).get("needed"))


def hosts_to_approve(document: Document) -> list[str]:
    """The hosts that wait for an approval."""
    return [host["name"] for host in document["hosts"] if host.get("waiting_for") == "approval"]


def tally(document: Document) -> dict[str, int]:
    """How many hosts have which status, in the order in which the statuses first appear."""
    counts: dict[str, int] = {}
    for host in document["hosts"]:
        counts[host["status"]] = counts.get(host["status"], 0) + 1
    return counts
