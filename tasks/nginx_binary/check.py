"""`nginx.check_group`: every machine that the job is going to need answers."""

from __future__ import annotations

from tasks.nginx_binary.fan_out import fan_out
from tasks.nginx_binary.params import CheckGroup
from worker.remote import Command
from worker.step import Context, Done, Outcome, step

CONNECT_TIMEOUT_SECONDS = 20.0


def preview_check_group(_context: Context, _params: CheckGroup) -> list[str]:
    """Nothing is changed by it."""
    return []


@step("nginx.check_group", preview=preview_check_group)
def check_group(context: Context, params: CheckGroup) -> Outcome:
    """Reach every host.

    Raises:
        Unreachable: names all that do not answer, and why.
    """

    def knock(name: str) -> None:
        context.on(name).read(Command.of("true"), timeout=CONNECT_TIMEOUT_SECONDS)

    fan_out(params.hosts, knock)
    count = len(params.hosts)
    return Done(f"{count} {'host answers' if count == 1 else 'hosts answer'}", changed=False)
