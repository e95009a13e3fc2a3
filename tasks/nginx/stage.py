"""`nginx.stage`: the running binary kept, the new one in its place on the disk."""

from __future__ import annotations

from tasks.nginx import binary
from tasks.nginx.binary import Kept, Record, describe_new
from tasks.nginx.control import Nginx
from tasks.nginx.examine import test_configuration
from tasks.nginx.facts import Master
from tasks.nginx.params import Stage
from worker.errors import Failed
from worker.step import Context, Done, Outcome, step


def before_of(context: Context) -> tuple[Kept, str] | None:
    """What stood before the lane's upgrade, and the identity of its master."""
    memory = context.memory if "before" in context.memory else context.recall("nginx.stage")
    before = memory.get("before")
    return None if before is None else (Kept.load(before), str(before["master"]))


def preview_stage(context: Context, params: Stage) -> list[str]:
    """List what would be copied."""
    facts, now = Nginx(context, params.instance).look()
    new = describe_new(context.host, params.new)
    if binary.same(facts.disk, new):
        return []
    running = now.old or now.new
    path = params.instance.binary
    lines = [f"mv {path}.winch-new {path}  # nginx {new.version} from {new.path}"]
    if running is not None:
        lines.insert(0, f"cp {path} {binary.backup_path(path, running.version)}")
    return lines


@step("nginx.stage", preview=preview_stage)
def stage(context: Context, params: Stage) -> Outcome:
    """Keep the running binary under its version, and rename the new one into its place."""
    host, path = context.host, params.instance.binary
    facts, now = Nginx(context, params.instance).settle()
    new = describe_new(host, params.new)
    running = now.old or now.new
    if before_of(context) is None:
        if running is None or running.binary is None:
            raise Failed(f"{host.name}: nginx is {now}: start it, then retry")
        kept = Kept(running.version, running.sha256, binary.backup_path(path, running.version))
        context.remember(before={**kept.dump(), "master": running.process.identity})
    before, _ = before_of(context) or (new, "")
    record = Record(before, new)
    if binary.read_record(host, path) != record:
        binary.write_record(host, path, record)
    source = next((f"/proc/{m.pid}/exe" for m in facts.masters if m.sha256 == before.sha256), None)
    if source is not None:
        binary.keep(host, source, before, path)
    if binary.same(facts.disk, new):
        return Done(f"nginx {new.version} is in its place already", changed=False)
    if running is not None:
        _test(context, new, running)
    binary.install(host, new, path)
    facts, _ = Nginx(context, params.instance).look()
    if not binary.same(facts.disk, new):
        raise Failed(
            f"{host.name}: expected nginx {new.version} at {path}, found another: somebody else "
            "writes there; retry when that has ended"
        )
    return Done(f"nginx {new.version} is in its place, {before.version} kept as {before.path}")


def _test(context: Context, new: Kept, running: Master) -> None:
    tested = test_configuration(context.host, new.path, running.options)
    if not tested.ok:
        raise Failed(
            f"{context.host.name}: `{new.path} -t` fails: {tested.said}: mend the configuration, "
            "then retry"
        )
