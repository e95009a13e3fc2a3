"""A unit, restarted or reloaded, and the proof that it happened.

systemd gives every activation of a unit an InvocationID (systemd.exec(5)). A restart has taken
place when it differs from the one that was remembered; a reload keeps it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from tasks.deploy.params import Systemd, UnitAction
from tasks.deploy.record import Record, RedeployRecord, RestoreRecord, act, last_words
from worker.errors import Failed, Refused
from worker.remote import Command, Host
from worker.step import Context, Done

PROPERTIES = "LoadState,ActiveState,SubState,Type,Result,CanReload,InvocationID"
# States in which a unit does not stay: look again.
UNSETTLED = {"activating", "deactivating", "reloading", "refreshing"}
LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class UnitFacts:
    """What `systemctl show` says."""

    load: str
    active: str
    sub: str
    type: str
    result: str
    can_reload: bool
    invocation: str

    @property
    def is_active(self) -> bool:
        """Whether it runs (a one-shot unit that ended well counts)."""
        ended_well = self.type == "oneshot" and self.active == "inactive"
        return self.active == "active" or (ended_well and self.result == "success")

    def __str__(self) -> str:
        return f"{self.active} ({self.sub}, result {self.result})"


def parse_show(text: str) -> UnitFacts:
    """Parse KEY=VALUE lines of `systemctl show`; a missing key is an empty value."""
    values = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    return UnitFacts(
        load=values.get("LoadState", ""),
        active=values.get("ActiveState", ""),
        sub=values.get("SubState", ""),
        type=values.get("Type", ""),
        result=values.get("Result", ""),
        can_reload=values.get("CanReload", "") == "yes",
        invocation=values.get("InvocationID", ""),
    )


def observe(host: Host, unit: str) -> UnitFacts:
    """Read a unit's state."""
    return parse_show(
        host.read(Command.of("systemctl", "show", f"--property={PROPERTIES}", "--", unit)).stdout
    )


def decide(facts: UnitFacts, action: UnitAction, since: str, *, acted: bool) -> list[str]:
    """Name the systemctl verbs that are still needed.

    `since`: the InvocationID that was remembered before the first action; `acted`: whether it was
    remembered in an earlier try. A reload leaves no trace, so it is done again after a crash.
    """
    if acted and action == "restart" and facts.invocation not in {"", since}:
        return []
    return [action]


def check(host: Host, unit: str, facts: UnitFacts, action: UnitAction) -> None:
    """Refuse what cannot work.

    Raises:
        Refused: there is no such unit, it is masked, or it cannot be reloaded.
    """
    if facts.load != "loaded":
        raise Refused(
            f"{host.name}: unit {unit} is {facts.load or 'unknown'}, expected loaded: look at "
            f"`systemctl status {unit}` on the host and correct the unit's name in the fleet file"
        )
    if action == "reload" and not facts.can_reload:
        raise Refused(f"{host.name}: unit {unit} cannot be reloaded: use `action: restart`")
    if action == "reload" and facts.active not in {"active", "reloading", "refreshing"}:
        raise Refused(
            f"{host.name}: unit {unit} is {facts}, expected active: there is nothing to reload, "
            "start it or use `action: restart`"
        )


def command_for(verb: str, unit: str) -> Command:
    """Build `systemctl VERB -- UNIT`."""
    return Command.of("systemctl", verb, "--", unit)


def _journal(host: Host, unit: str) -> str:
    result = host.read(
        Command.of("journalctl", f"--unit={unit}", "--lines=5", "--no-pager", "--output=cat"),
        check=False,
    )
    return last_words(result)


def _settle(host: Host, unit: str, deadline: float) -> UnitFacts:
    facts = observe(host, unit)
    while facts.active in UNSETTLED and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
        facts = observe(host, unit)
    return facts


def bring(context: Context, record: Record, unit: str, action: UnitAction, timeout: float) -> bool:
    """Restart or reload a unit once for this step, and see that it runs. Return whether it was done
    now (and not by an earlier try of the same step).

    Raises:
        Failed: it does not run afterwards; the journal's last lines are in the message.
    """
    host = context.host
    deadline = time.monotonic() + timeout
    facts = observe(host, unit)
    check(host, unit, facts, action)
    remembered = record.get("invocation")
    if remembered is None:
        record.remember(invocation=facts.invocation)
    since = facts.invocation if remembered is None else str(remembered)
    verbs = decide(facts, action, since, acted=remembered is not None)
    for verb in verbs:
        context.progress(f"systemctl {verb} {unit}")
        _systemctl(context, verb, unit, timeout)
    facts = _settle(host, unit, deadline)
    if not facts.is_active:
        raise Failed(
            f"{host.name}: {unit} is {facts} after {action}, expected active; its journal: "
            f"{_journal(host, unit)}"
        )
    if action == "restart" and facts.type != "oneshot" and facts.invocation == since:
        raise Failed(
            f"{host.name}: {unit} was not restarted: expected an InvocationID other than {since}; "
            f"look at `systemctl status {unit}` on the host"
        )
    return bool(verbs)


def _systemctl(context: Context, verb: str, unit: str, timeout: float) -> None:
    try:
        act(context, command_for(verb, unit), timeout=timeout, what=f"systemctl {verb} {unit}")
    except Failed as error:
        journal = _journal(context.host, unit)
        raise Failed(f"{error.message}; its journal: {journal}") from error


def redeploy(context: Context, params: Systemd, record: RedeployRecord) -> Done:
    """Restart or reload the unit."""
    facts = observe(context.host, params.unit)
    check(context.host, params.unit, facts, params.action)
    if record.before is None:
        record.remember(before={"active": facts.is_active, "state": facts.active})
    now = bring(context, record, params.unit, params.action, params.timeout)
    note = "" if now else " (by an earlier try of this step)"
    return Done(f"{params.unit} {_past(params.action)}, active{note}")


def restore(context: Context, params: Systemd, record: RestoreRecord) -> Done:
    """Do the same again, so that the unit takes what was put back; or stop it if it was stopped."""
    before = record.before or {}
    if not before.get("active", True):
        _systemctl(context, "stop", params.unit, params.timeout)
        return Done(f"{params.unit} stopped, as it was before")
    facts = observe(context.host, params.unit)
    # A unit that the redeploy broke has nothing to reload any more.
    action: UnitAction = params.action if facts.active == "active" else "restart"
    bring(context, record, params.unit, action, params.timeout)
    return Done(f"{params.unit} {_past(action)} again, active")


def preview(context: Context, params: Systemd) -> list[str]:
    """Say what would be run."""
    check(context.host, params.unit, observe(context.host, params.unit), params.action)
    return [str(command_for(params.action, params.unit))]


def preview_restore(_context: Context, params: Systemd, record: RestoreRecord) -> list[str]:
    """Say what would be run to go back."""
    before = record.before or {}
    verb = params.action if before.get("active", True) else "stop"
    return [str(command_for(verb, params.unit))]


def _past(action: UnitAction) -> str:
    return "restarted" if action == "restart" else "reloaded"
