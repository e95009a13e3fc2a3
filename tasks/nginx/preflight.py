"""`nginx.preflight`: refuse whatever cannot end well, and change nothing."""

from __future__ import annotations

from tasks.nginx.binary import Kept, describe_new, read_record
from tasks.nginx.control import Nginx
from tasks.nginx.examine import Examination, examine
from tasks.nginx.observe import Observer
from tasks.nginx.params import Instance, NewBinary, Preflight
from tasks.nginx.phase import Phase, Situation, situation
from tasks.nginx.refusals import refusals
from worker.errors import Refused
from worker.step import Context, Done, Outcome, step


def preview_preflight(context: Context, params: Preflight) -> list[str]:
    """List what will be tested."""
    facts = Observer(context.host, params.instance).look()
    return [f"{params.instance.binary}: {situation(facts)}; {params.new.path} -T"]


@step("nginx.preflight", preview=preview_preflight)
def preflight(context: Context, params: Preflight) -> Outcome:
    """See that nginx can be upgraded to the new binary.

    Raises:
        Refused: with everything that speaks against it, and what to do about each.
    """
    nginx = Nginx(context, params.instance)
    return Done(check(nginx, params.new, force=params.force), changed=False)


def check(nginx: Nginx, wanted: NewBinary, *, force: bool, leased: bool = True) -> str:
    """Say that this nginx can be upgraded, and what is to be known of it.

    `leased` False: the host may be another run's at this moment. What that one has under way is
    not judged then: the lane waits for its lease, and looks again.

    Raises:
        Refused: it cannot.
    """
    facts, now = nginx.settle()
    if not leased and _by_a_run(nginx, now):
        return f"another run has it: {now.phase}"
    new = describe_new(nginx.host, wanted)
    if force and _to_finish(now, new):
        return f"{now.phase} to {new.version} already: going on"
    name = nginx.host.name
    if now.phase is not Phase.STEADY or now.new is None:
        raise Refused(f"{name}: nginx is {now}: {_offer(now, new, nginx.instance)}")
    seen = examine(nginx.host, facts, now.new, new)
    against = refusals(seen, force=force)
    if against:
        raise Refused(f"{name}: not upgraded to nginx {new.version}: {'; also: '.join(against)}")
    return _detail(seen)


def _by_a_run(nginx: Nginx, now: Situation) -> bool:
    """Whether two masters are those of the upgrade that is on record, or of its way back."""
    if now.old is None or now.new is None:
        return False
    record = read_record(nginx.host, nginx.instance.binary)
    return record is not None and {now.old.sha256, now.new.sha256} == {
        record.old.sha256,
        record.new.sha256,
    }


def _to_finish(now: Situation, new: Kept) -> bool:
    under_way = {Phase.UPGRADING, Phase.LEAVING, Phase.IDLE, Phase.QUIT_PENDING}
    return now.phase in under_way and now.new is not None and now.new.sha256 == new.sha256


def _offer(now: Situation, new: Kept, instance: Instance) -> str:
    back = f"`winch nginx rollback {instance.group}` brings the old version back"
    if now.phase is Phase.NOT_RUNNING:
        how = f"`systemctl start {instance.unit}`" if instance.unit else "by hand"
        return f"start it first ({how})"
    if _to_finish(now, new):
        return f"an upgrade to this binary is under way: finish it with --force, or {back}"
    if now.phase in {Phase.QUIT_PENDING, Phase.ROLLED_BACK}:
        leaving = now.old if now.phase is Phase.QUIT_PENDING else now.new
        who = f"{leaving} still serves {leaving.connections} connections" if leaving else ""
        return f"{who}: try again when it has ended"
    if now.phase is Phase.BROKEN and now.old is None and not now.orphans and now.new is not None:
        return (
            f"write its pid into {instance.pid_file}, or correct `pid_file` in the fleet file; "
            f"look with `winch nginx status {instance.group}`"
        )
    if now.phase is Phase.BROKEN:
        return f"look with `winch nginx status {instance.group}`; {back}"
    return f"another upgrade is under way: finish it with its own binary and --force, or {back}"


def _detail(seen: Examination) -> str:
    lacks = sorted(seen.old_build.features - seen.new_build.features)
    notes = [f"{seen.master.version} can become {seen.new.version}"]
    if lacks:
        notes.append(f"which lacks {', '.join(lacks)}, unused by the configuration")
    if seen.facts.oldbin is not None:
        notes.append(f"a stale {seen.facts.instance.pid_file}.oldbin will be overwritten")
    if seen.tested.tree is None:
        notes.append("the configuration was tested, but not compared with where it listens now")
    return "; ".join(notes)
