"""A command that reboots its host: it is done when the host has booted anew.

The connection breaks under such a command, and what the host remembers of it in /run is gone. What
says that it took place is the kernel's boot id (random(4)), which is another one after each boot.
"""

from __future__ import annotations

from collections.abc import Callable

from tasks.deploy.record import Record
from worker.errors import Busy, CommandFailed, Failed, NotAllowed, Unreachable
from worker.remote import Command
from worker.step import Context, Wait

_BOOT_ID = Command.of("cat", "/proc/sys/kernel/random/boot_id")
_LOOK_EVERY_SECONDS = 2.0
_STARTED_SECONDS = 60  # for the services, once it answers
# Without systemd, or with a service that failed, it says so at once and means nothing here.
_STARTED = Command.of("systemctl", "is-system-running", "--wait")


def begin(context: Context, record: Record) -> None:
    """Remember which boot this is, before the command."""
    if record.get("boot") is None:
        record.remember(boot=_boot_id(context))


def rebooted(
    context: Context, record: Record, act: Callable[[], object], limit: float
) -> Wait | None:
    """Run the command, unless its reboot has taken place; None when the host has booted anew.

    Raises:
        Failed: the command failed, or the host has not booted anew within `limit` seconds.
    """
    if record.get("asked") is None:
        try:
            here = _boot_id(context) == record.get("boot")
        except Unreachable as error:  # an earlier try may have begun it
            if error.permanent or context.elapsed() > limit:
                raise
            return Wait("retry", str(error), _LOOK_EVERY_SECONDS)
        try:
            if here:
                act()
        except (Busy, NotAllowed):
            raise
        except Unreachable as error:
            context.progress(f"{context.host.name} went away: {error}")
        record.remember(asked=context.elapsed())
    spent = context.elapsed() - float(record.get("asked"))
    try:
        seen = "it still runs since before the command"
        if _boot_id(context) != record.get("boot"):
            _see_started(context)
            return None
    except NotAllowed:
        raise
    except Unreachable as error:
        seen = str(error)
    if spent > limit:
        raise Failed(
            f"{context.host.name}: expected it to have booted anew within {limit:.0f} s of the "
            f"command (`reboots`), found: {seen}; look at its console, then `winch retry`"
        )
    return Wait("soak", f"{context.host.name} reboots ({spent:.0f} s)", _LOOK_EVERY_SECONDS)


def _boot_id(context: Context) -> str:
    return context.host.read(_BOOT_ID, timeout=10).stdout.strip()


def _see_started(context: Context) -> None:
    try:
        context.host.read(_STARTED, timeout=_STARTED_SECONDS, check=False)
    except CommandFailed:
        context.progress(f"{context.host.name}: not all services have started")
