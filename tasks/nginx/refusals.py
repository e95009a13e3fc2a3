"""What speaks against an upgrade, each with what to do about it. Pure."""

from __future__ import annotations

import posixpath

from tasks.nginx import config, listening
from tasks.nginx.examine import Examination
from tasks.nginx.facts import executable_of


def refusals(seen: Examination, *, force: bool) -> list[str]:
    """Say everything that speaks against the upgrade, each with what to do about it."""
    checks = (
        _same_version(seen, force),
        _relative(seen),
        _configuration(seen),
        _pid_files(seen),
        _unit(seen),
        _compiled_in(seen),
        _daemon(seen),
        _listens(seen),
        _taken(seen),
        _reuseport(seen),
        _space(seen),
    )
    return [text for text in checks if text]


def _same_version(seen: Examination, force: bool) -> str:
    if force or seen.master.version != seen.new.version:
        return ""
    return f"nginx {seen.new.version} runs already: use --force to replace it by the same version"


def _relative(seen: Examination) -> str:
    binary, argv0 = seen.facts.instance.binary, seen.master.argv0
    found = executable_of(seen.master)
    if found == binary:
        return ""
    if argv0.startswith("/"):
        return (
            f"it was started as {argv0}, and that is what USR2 executes, not {binary}: set "
            f"`binary: {argv0}` in the fleet file"
        )
    return (
        f"it was started by the relative path `{argv0}`: USR2 would look for {found} and not "
        f"find it: restart it once as {binary}"
    )


def _configuration(seen: Examination) -> str:
    if seen.tested.ok:
        return ""
    said = seen.tested.said
    if not seen.old_passes:
        return (
            f"the configuration on the disk is broken, for the running {seen.master.version} too: "
            f"{said}: mend it first"
        )
    if "module" in said and (" version " in said or "binary compatible" in said):
        return (
            f"a dynamic module does not load into nginx {seen.new.version}: {said}: install the "
            f"modules that were built for {seen.new.version}, or take its load_module out"
        )
    missing = sorted(seen.old_build.features - seen.new_build.features)
    lacks = f" (it lacks {', '.join(missing)})" if missing else ""
    return (
        f"the configuration does not work with nginx {seen.new.version}{lacks}: {said}: build it "
        "with what the configuration needs, or change the configuration"
    )


def _pid_files(seen: Examination) -> str:
    instance, unit = seen.facts.instance, seen.facts.unit
    places = {f"the fleet file says {instance.pid_file}": instance.pid_file}
    if seen.tested.tree is not None:
        said = config.setting(seen.tested.tree, "pid")
        if said:
            path = posixpath.join(_prefix(seen), said[0])
            places[f"the configuration says {path}"] = path
        else:
            path = seen.new_build.pid_path
            places[f"nginx {seen.new.version} was built with {path}"] = path
    if unit is not None and unit.loaded:
        shown = unit.pid_file or "nothing"
        places[f"PIDFile= of {instance.unit} says {shown}"] = unit.pid_file
    if len({config.plain_run(path) if path else "" for path in places.values()}) == 1:
        return ""
    return (
        f"the pid files do not agree: {', '.join(places)}: when the old master quits, systemd "
        "would stop everything: make them the same (`pid` in nginx.conf, PIDFile= in the unit, "
        "`pid_file` in the fleet file), then reload both"
    )


def _prefix(seen: Examination) -> str:
    options = dict(zip(seen.master.options[::2], seen.master.options[1::2], strict=False))
    return options.get("-p") or seen.new_build.prefix


def _unit(seen: Examination) -> str:
    instance, unit = seen.facts.instance, seen.facts.unit
    if instance.unit is None:
        return ""
    if unit is None or not unit.loaded:
        return (
            f"there is no unit {instance.unit}: correct `unit` in the fleet file, or `unit: none`"
        )
    if unit.main_pid == seen.master.pid and unit.active in {"active", "reloading"}:
        return ""
    if unit.main_pid != 0 and unit.active == "active":
        return (
            f"{instance.unit} follows process {unit.main_pid}, the master is {seen.master.pid}: "
            f"run `systemctl reload {instance.unit}` once"
        )
    return (
        f"master {seen.master.pid} was not started by {instance.unit} ({unit.active}, MainPID "
        f"{unit.main_pid}): say `unit: none` in the fleet file, or start it by systemd"
    )


def _compiled_in(seen: Examination) -> str:
    """What no test of the configuration notices: the new binary would read something else."""
    old, new, options = seen.old_build, seen.new_build, seen.master.options
    wrong = []
    if "-p" not in options and old.prefix != new.prefix:
        wrong.append(f"--prefix={new.prefix} (running: {old.prefix})")
    if "-c" not in options and old.conf_path != new.conf_path:
        wrong.append(f"--conf-path={new.conf_path} (running: {old.conf_path})")
    tree = seen.tested.tree
    if tree is not None and config.setting(tree, "user") is None:
        for name in ("user", "group"):
            theirs, ours = new.value(name) or "nobody", old.value(name) or "nobody"
            if theirs != ours:
                wrong.append(f"--{name}={theirs} (running: {ours})")
    if not wrong:
        return ""
    return (
        f"nginx {seen.new.version} was built with {', '.join(wrong)}, and the running one was not "
        "started with options that say otherwise: build it with the arguments of the running one"
    )


def _daemon(seen: Examination) -> str:
    tree = seen.tested.tree
    if tree is None or config.setting(tree, "daemon") != ("off",):
        return ""
    return (
        "it runs with `daemon off`, and then ignores WINCH, so that its workers cannot be let go "
        "before it ends: run it with `daemon on`, in systemd with Type=forking"
    )


def _listens(seen: Examination) -> str:
    if seen.tested.tree is None or not seen.tested.ok:
        return ""
    gone = config.no_longer(seen.facts.listens(seen.master), config.listens(seen.tested.tree))
    if not gone:
        return ""
    return (
        f"the configuration on the disk no longer listens on {', '.join(gone)}, where nginx "
        "listens now: put the listen back, or reload nginx first if that is what you want"
    )


def _taken(seen: Examination) -> str:
    if not seen.taken:
        return ""
    return (
        f"the configuration on the disk listens on {', '.join(seen.taken)}, which another process "
        "has: end that process, or take the listen out"
    )


def _reuseport(seen: Examination) -> str:
    if seen.tested.tree is None:
        return ""
    fewer = listening.sockets_closed(seen.facts, seen.master, seen.tested.tree, seen.cpus)
    if not fewer:
        return ""
    return (
        f"with `reuseport`, the configuration on the disk closes sockets of {', '.join(fewer)}, "
        "and resets the connections that wait in them: leave worker_processes and reuseport as "
        "they were when nginx was last reloaded"
    )


def _space(seen: Examination) -> str:
    instance = seen.facts.instance
    if seen.free_binary is not None and seen.free_binary < seen.needed:
        return (
            f"the disk is full: {seen.free_binary} KiB free in "
            f"{posixpath.dirname(instance.binary)}, expected {seen.needed}: make room"
        )
    if seen.free_pid_file == 0:
        return (
            f"no space left in {posixpath.dirname(instance.pid_file)}: the new master could not "
            "write its pid file, and everything would stop: make room"
        )
    return ""
