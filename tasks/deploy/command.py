"""A command of the user's own, and its undo.

A command outlives the worker and the connection that started it. So the host itself keeps a mark
that it completed, and a second try, which the guard holds back until the first one has ended, runs
it again only when there is none: it was interrupted, and nobody can know how far it came.
"""

from __future__ import annotations

from uuid import uuid4

from tasks.deploy import reboot
from tasks.deploy.params import CommandDeploy
from tasks.deploy.record import Record, RedeployRecord, RestoreRecord, act
from worker.errors import CommandFailed, Failed, Refused
from worker.remote import Command
from worker.step import Context, Done, Outcome, Wait

FACTS_TIMEOUT_SECONDS = 30
MAX_FACTS_BYTES = 64 * 1024  # one word of a command is at most 128 KiB on Linux


def observe(context: Context, params: CommandDeploy) -> str | None:
    """Read what `facts` prints; None without it.

    Raises:
        Refused: it failed, or printed more than fits into an environment variable.
    """
    if params.facts is None:
        return None
    name = context.host.name
    command = Command.of("sh", "-c", params.facts)
    try:
        result = context.host.read(command, timeout=FACTS_TIMEOUT_SECONDS)
    except CommandFailed as error:
        raise Refused(
            f"{name}: `facts` exited with {error.code}, expected 0: "
            f"{(error.stderr or error.stdout).strip()[-300:] or 'no output'}; correct it in the "
            "fleet file"
        ) from error
    text = result.stdout.rstrip("\n").replace("\0", "")
    if len(text.encode()) > MAX_FACTS_BYTES:
        raise Refused(
            f"{name}: `facts` printed {len(text.encode())} bytes, at most {MAX_FACTS_BYTES} are "
            "kept; print less (a version, a checksum)"
        )
    return text


def with_before(script: str, before: str | None) -> Command:
    """Build `sh -c SCRIPT` with what stood before in its environment."""
    return Command.of("env", f"WINCH_BEFORE={before or ''}", "sh", "-c", script)


# "$1": a name for the mark, "$2": the user's text. The directory is the guard's (worker/guard.sh).
_ONCE = """
if [ -n "${WINCH_RUN_DIR:-}" ]; then dir=$WINCH_RUN_DIR
elif [ "$(id -u)" = 0 ]; then dir=/run/winch
else dir=/tmp/winch-$(id -u); fi
[ -d "$dir" ] || mkdir -m 0700 "$dir"
[ -O "$dir" ] || { echo "$dir is not ours: remove it" >&2; exit 112; }
mark=$dir/$1.done
[ ! -e "$mark" ] || { echo "it had completed already"; exit 0; }
sh -c "$2"
code=$?
[ "$code" != 0 ] || : > "$mark"
exit "$code"
"""


def once(command: Command, mark: str) -> Command:
    """Let `env … sh -c SCRIPT` run only if no command with this mark has completed on the host."""
    *environment, shell, option, script = command.argv
    return Command.of(*environment, shell, option, _ONCE, "winch", mark, script)


def _short(text: str | None) -> str:
    flat = " ".join((text or "").split())
    return flat if len(flat) <= 60 else f"{flat[:57]}..."  # noqa: PLR2004


def _complete(
    context: Context,
    params: CommandDeploy,
    record: Record,
    command: Command,
    what: str,
    advice: str,
) -> Wait | None:
    """Run a command, once; None when it has completed, and the host has rebooted if it is to."""
    if record.get("completed") is not None:
        return None
    if params.reboots is not None:
        reboot.begin(context, record)
    record.remember(mark=uuid4().hex)

    def run() -> None:
        marked = once(command, record.get("mark"))
        act(context, marked, timeout=params.timeout, what=what, advice=advice)

    if params.reboots is None:
        run()
    elif (wait := reboot.rebooted(context, record, run, params.reboots)) is not None:
        return wait
    record.remember(completed=True)
    return None


def redeploy(context: Context, params: CommandDeploy, record: RedeployRecord) -> Outcome:
    """Run the command, unless an earlier try of this step had it complete."""
    if record.before is None:
        record.remember(before={"facts": observe(context, params)})
    before: str | None = (record.before or {}).get("facts")
    command = with_before(params.run, before)
    advice = "see `winch logs` for its whole output"
    if (wait := _complete(context, params, record, command, "the command", advice)) is not None:
        return wait
    if params.facts is None:
        return Done("the command completed")
    after = observe(context, params)
    if after == before:
        return Done(f"the command changed nothing: facts are {_short(after)!r} as before", False)
    return Done(f"the command completed: facts {_short(before)!r} → {_short(after)!r}")


def restore(context: Context, params: CommandDeploy, record: RestoreRecord) -> Outcome:
    """Run `undo`.

    Raises:
        Failed: there is no `undo`, or facts afterwards are not what they were before.
    """
    before: str | None = (record.before or {}).get("facts")
    under_way = record.get("asked") is not None
    if not under_way and params.facts is not None and observe(context, params) == before:
        return Done(f"nothing to undo: facts are {_short(before)!r} as before", changed=False)
    if params.undo is None:
        raise Failed(
            f"{context.host.name}: the command cannot be undone: add `undo` to its redeploy in the "
            "fleet file; now put the host right by hand, then `winch retry` or `winch skip`"
        )
    command = with_before(params.undo, before)
    advice = "put the host right by hand, then `winch retry` or `winch skip`"
    wait = _complete(context, params, record, command, "the undo command", advice)
    if wait is not None:
        return wait
    if params.facts is None:
        return Done("undone")
    after = observe(context, params)
    if after != before:
        raise Failed(
            f"{context.host.name}: after `undo` facts are {_short(after)!r}, expected "
            f"{_short(before)!r} as before; correct `undo`, or put the host right by hand"
        )
    return Done(f"undone: facts are {_short(before)!r} again")


def preview(context: Context, params: CommandDeploy) -> list[str]:
    """Say what would be run."""
    observe(context, params)
    return [params.run.strip()]


def preview_restore(_context: Context, params: CommandDeploy, _record: RestoreRecord) -> list[str]:
    """Say what would be run to go back."""
    return [params.undo.strip()] if params.undo is not None else ["(cannot be undone: no `undo`)"]
