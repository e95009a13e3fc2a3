"""Does the pair's service answer: on a member's own address, and at the addresses of the pair?"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

from tasks.keepalived.params import AddressCheck
from tasks.probe.params import Check
from tasks.probe.steps import expected, label, observe
from worker.errors import Failed, Refused
from worker.remote import Host
from worker.step import Context

_PAUSE = 0.1  # seconds


def see_service(host: Host, checks: Sequence[Check], *, sleep: Callable[[float], None]) -> None:
    """See that a member's own service answers; each check is tried as it says, thrice at most.

    Raises:
        Refused: it does not.
    """
    for check in checks:
        tries = min(check.probe.attempts, 3)
        for left in reversed(range(tries)):
            seen = observe(check, host)
            if seen.passed:
                break
            if left:
                sleep(min(check.probe.interval, 1.0))
        else:
            raise Refused(
                f"{host.name}: {label(check, host)} failed: expected {expected(check)}, observed "
                f"{seen.seen}; its peer is not taken out while this one does not serve: mend the "
                f"service on {host.name} first"
            )


def see_answers(
    context: Context, answers: Iterable[AddressCheck], ips: Iterable[str], *, until: float
) -> str:
    """See that addresses answer. Returns what was seen, in words; `until`: a monotonic time.

    Raises:
        Failed: one does not.
    """
    wanted = set(ips)
    said: list[str] = []
    for each in answers:
        if each.ip not in wanted:
            continue
        while not (seen := observe(each.check, context.host)).passed:
            if time.monotonic() >= until:
                raise Failed(
                    f"{label(each.check, context.host)} failed: expected {expected(each.check)} at "
                    f"{each.ip}, observed {seen.seen}; look at the service on the member that "
                    "holds it (`winch pair status`)"
                )
            time.sleep(_PAUSE)
        said.append(f"{label(each.check, context.host)}: {seen.seen}")
    return "; ".join(said)
