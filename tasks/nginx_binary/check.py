"""Before the first host of a group is touched: every machine answers, and none would refuse."""

from __future__ import annotations

from tasks.nginx.control import Nginx
from tasks.nginx.params import Instance
from tasks.nginx.preflight import check
from tasks.nginx.target import Course, course_of
from tasks.nginx_binary.fan_out import fan_out
from tasks.nginx_binary.params import CheckGroup, CheckRollback, PreflightGroup
from tasks.nginx_binary.place import standing
from worker.errors import Refused
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


def preview_preflight_group(context: Context, params: PreflightGroup) -> list[str]:
    """Say where the new binary is still to come, so that it cannot be tested yet."""
    names = [instance.host for instance in params.instances]
    there = fan_out(names, lambda name: standing(context.on(name), params.new.path))
    return [
        f"{name}: {params.new.path} -T  # when it is there"
        for name, sha256 in zip(names, there, strict=True)
        if sha256 is None
    ]


@step("nginx.preflight_group", preview=preview_preflight_group)
def preflight_group(context: Context, params: PreflightGroup) -> Outcome:
    """See that the nginx of every host can be upgraded. Each lane looks again at its own.

    Raises:
        Refused: names all that cannot, and why.
    """

    def refusal(instance: Instance) -> str | None:
        nginx = Nginx(context, instance, context.on(instance.host))
        try:
            check(nginx, params.new, force=params.force, leased=False)
        except Refused as error:
            return str(error)
        return None

    said = fan_out(params.instances, refusal)
    against = {one.host: why for one, why in zip(params.instances, said, strict=True) if why}
    total = len(params.instances)
    if not against:
        return Done(f"{total} of {total} can be upgraded", changed=False)
    text = "; ".join(against.values())
    if len(against) < total:
        text += (
            f"; no host was touched: mend that, or leave {len(against)} of {total} out by "
            f"`--exclude {','.join(against)}`"
        )
    raise Refused(text)


def preview_check_rollback(context: Context, params: CheckRollback) -> list[str]:
    """Say from which version to which each host would go back."""
    return courses(context, params)


@step("nginx.check_rollback", preview=preview_check_rollback)
def check_rollback(context: Context, params: CheckRollback) -> Outcome:
    """See where each host is going to go back to.

    Raises:
        Refused: to nowhere, unless an older upgrade is meant.
    """
    return Done("; ".join(courses(context, params)), changed=False)


def courses(context: Context, params: CheckRollback) -> list[str]:
    """A line for each host.

    Raises:
        Refused: the newest upgrade of the group has reached none of them.
    """

    def one(instance: Instance) -> Course:
        nginx = Nginx(context, instance, context.on(instance.host))
        return course_of(nginx, older=params.older)

    found = fan_out(params.instances, one)
    lines = [
        f"{instance.host}: {course.text}"
        for instance, course in zip(params.instances, found, strict=True)
    ]
    if params.all_ and found and all(course.stays for course in found):
        raise Refused(f"nothing to go back to: {'; '.join(lines)}; nothing was changed")
    return lines
