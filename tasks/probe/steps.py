"""The step `probe.verify`: every check passes, in order, or the step fails.

Tries follow each other inside the step for a few seconds; a longer sequence gives its worker slot
back between two tries (`Wait`), and goes on counting where it was.
"""

from __future__ import annotations

import time

from tasks.probe import attempts, from_host, from_worker
from tasks.probe.attempts import Tally
from tasks.probe.observation import Observation, expected_command, expected_http
from tasks.probe.params import Check, CommandProbe, Http, Tcp, Verify
from worker.errors import Failed
from worker.remote import Host
from worker.step import Context, Done, Outcome, Wait, step

INSIDE_SECONDS = 5.0  # of tries and pauses before the slot is given back


def label(check: Check, host: Host) -> str:
    """Say what is probed."""
    match check.probe:
        case Http() as http:
            return f"{http.method} {http.url}"
        case Tcp() as tcp:
            return f"tcp {tcp.address or host.address}:{tcp.port}"
        case CommandProbe() as command:
            return f"command `{' '.join(command.run.split())[:80]}`"


def expected(check: Check) -> str:
    """Say what is expected."""
    match check.probe:
        case Http() as http:
            return expected_http(http)
        case Tcp():
            return "a connection"
        case CommandProbe() as command:
            return expected_command(command)


def observe(check: Check, host: Host) -> Observation:
    """Make one try."""
    probe = check.probe
    from_it = probe.source == "host"
    match probe:
        case Http() if from_it:
            return from_host.http(host, from_host.find_http_tool(host), probe)
        case Http():
            return from_worker.http(probe)
        case Tcp() if from_it:
            return from_host.tcp(host, probe.address or host.address, probe.port, probe.timeout)
        case Tcp():
            return from_worker.tcp(probe.address or host.address, probe.port, probe.timeout)
        case CommandProbe():
            return from_host.command(host, probe)


def preview(context: Context, params: Verify) -> list[str]:
    """List the checks; none changes anything."""
    lines = []
    for check in params.checks:
        probe = check.probe
        origin = "host" if isinstance(probe, CommandProbe) else probe.source
        lines.append(
            f"{label(check, context.host)} from the {origin}: expect {expected(check)}, "
            f"{probe.consecutive} in a row of {probe.attempts}"
        )
    return lines


@step("probe.verify", preview=preview)
def verify(context: Context, params: Verify) -> Outcome:
    """Probe until every check has passed; fail with what was seen last."""
    number = attempts.open_round(context.memory)
    start = attempts.resume(context.memory, number)
    slot_ends = time.monotonic() + INSIDE_SECONDS
    seen = []
    for index, check in enumerate(params.checks[start.check :], start.check):
        tally = start if index == start.check else Tally(check=index)
        outcome = _run(context, check, tally, number, slot_ends)
        if isinstance(outcome, Wait):
            return outcome
        seen.append(outcome)
    context.remember(**{f"ended_{number}": True})
    return Done("; ".join(seen) or "nothing to check", changed=False)


def _run(context: Context, check: Check, tally: Tally, number: int, slot_ends: float) -> Wait | str:
    """Make tries of one check: what passed in words, or a wait before the next try.

    Raises:
        Failed: the tries that are left cannot suffice.
    """
    probe, name = check.probe, label(check, context.host)
    while True:
        observation = observe(check, context.host)
        verdict, tally = attempts.decide(probe, tally, observation)
        said = f"{name}: {observation.seen} ({tally.tried} of {probe.attempts})"
        if verdict == "passed":
            context.progress(said)
            return f"{name}: {observation.seen}"
        if verdict == "failed":
            context.remember(**{f"ended_{number}": True})
            raise Failed(
                f"{context.host.name}: {name} failed after {tally.tried} tries: expected "
                f"{expected(check)}{_in_a_row(probe.consecutive)}, observed {observation.seen}; "
                "look at the service on the host, then `winch retry`"
            )
        context.progress(said)
        if time.monotonic() + probe.interval > slot_ends:
            key = attempts.next_key(context.memory, number)
            context.remember(**{key: attempts.kept(tally)})
            return Wait("retry", said, probe.interval)
        time.sleep(probe.interval)


def _in_a_row(consecutive: int) -> str:
    return f" {consecutive} times in a row" if consecutive > 1 else ""
