"""A distribution's package, brought to a version and back."""

from __future__ import annotations

from tasks.deploy import apt, rpm
from tasks.deploy.params import Package
from tasks.deploy.record import RedeployRecord, RestoreRecord, act
from worker.errors import Failed, Refused
from worker.remote import Command, Host
from worker.step import Context, Done

_TOOL = Command.shell(
    "for tool in apt-get dnf yum; do command -v $tool >/dev/null 2>&1 && echo $tool && exit; done"
)


def _tool(host: Host) -> str:
    tool = host.read(_TOOL, check=False).stdout.strip()
    if tool not in {"apt-get", "dnf", "yum"}:
        raise Refused(
            f"{host.name}: has no package manager that Winch knows: expected apt-get, dnf or yum, "
            "found none; use another kind of redeploy (`command`)"
        )
    return tool


def _missing(host: Host, params: Package, available: list[str]) -> Refused:
    wish = params.name if params.version is None else f"{params.name} {params.version}"
    offer = ", ".join(available[:6]) if available else "no version of it"
    return Refused(
        f"{host.name}: {wish} is in none of the host's repositories, which offer {offer}; correct "
        "the version, or add the repository on the host"
    )


def redeploy(context: Context, params: Package, record: RedeployRecord) -> Done:
    """Install the wished version."""
    tool = _tool(context.host)
    if tool == "apt-get":
        return _redeploy_apt(context, params, record)
    return _redeploy_rpm(context, params, record, tool)


def _refreshed(context: Context, params: Package) -> apt.AptFacts:
    """Observe with fresh lists, unless the exact version is known already."""
    facts = apt.observe(context.host, params.name)
    if params.version is not None and params.version in facts.available:
        return facts
    context.progress("apt-get update")
    update = context.host.act(apt.UPDATE, timeout=params.timeout, check=False)
    if not update.ok:
        # A repository that is down matters only if it is the one that has the version.
        context.progress(f"apt-get update exited with {update.exit_code}: using the lists at hand")
    return apt.observe(context.host, params.name)


def _redeploy_apt(context: Context, params: Package, record: RedeployRecord) -> Done:
    host, name = context.host, params.name
    facts = _refreshed(context, params)
    version = record.get("target") or apt.target(facts, params.version)
    if version is None:
        raise _missing(host, params, facts.available)
    installed = facts.installed
    wished = params.version or "the newest"
    note = "" if version == params.version else f" ({wished} means {version})"
    if installed is not None and installed.complete and installed.version == version:
        if record.before is not None:
            return Done(f"{name} {_from_to(record.before.get('version'), version)}{note}")
        return Done(f"{name} is {version} already{note}", changed=False)
    if installed is not None and installed.held:
        raise Refused(
            f"{host.name}: {name} is held at {installed.version}: `apt-mark unhold {name}` on the "
            "host if it may be changed"
        )
    if facts.interrupted:
        act(context, apt.MEND, timeout=params.timeout, what="finish an interrupted dpkg")
        facts = apt.observe(host, name)
    words, changes = apt.plan(host, facts, name, str(version))
    if record.before is None:
        before = facts.installed.version if facts.installed is not None else None
        record.remember(
            before={
                "version": before,
                "packages": {c.name: c.before for c in changes},
                "kept": before is None or before in facts.available,
            },
            target=version,
        )
        if before is not None and before not in facts.available:
            context.progress(f"{name} {before} is in no repository: it could not be put back")
    act(context, apt.install(words), timeout=params.timeout, what=f"install {name} {version}")
    _verify_apt(host, name, str(version))
    stood = (record.before or {}).get("version")
    return Done(f"{name} {_from_to(stood, str(version))}{note}")


def _verify_apt(host: Host, name: str, version: str | None) -> None:
    after = apt.observe(host, name).installed
    if version is None:
        if after is not None:
            raise Failed(f"{host.name}: {name} is {after.version}, expected not installed")
    elif after is None or not after.complete or after.version != version:
        seen = "not installed" if after is None else f"{after.version} (status {after.status})"
        raise Failed(
            f"{host.name}: {name} is {seen}, expected {version} installed; look at "
            "/var/log/dpkg.log on the host"
        )


def _redeploy_rpm(context: Context, params: Package, record: RedeployRecord, tool: str) -> Done:
    host, name = context.host, params.name
    facts = rpm.observe(host, tool, name)
    version = record.get("target") or rpm.target(facts, params.version)
    if version is None:
        raise _missing(host, params, facts.available)
    wished = params.version or "the newest"
    note = "" if version == params.version else f" ({wished} means {version})"
    if facts.installed == version:
        if record.before is not None:
            return Done(f"{name} {_from_to(record.before.get('version'), version)}{note}")
        return Done(f"{name} is {version} already{note}", changed=False)
    if record.before is None:
        record.remember(before={"version": facts.installed, "packages": {}}, target=version)
    command = rpm.change(tool, name, facts.installed, str(version))
    act(context, command, timeout=params.timeout, what=f"install {name} {version}")
    _verify_rpm(host, tool, name, str(version))
    return Done(f"{name} {_from_to((record.before or {}).get('version'), str(version))}{note}")


def _verify_rpm(host: Host, tool: str, name: str, version: str | None) -> None:
    after = rpm.observe(host, tool, name).installed
    if after != version:
        raise Failed(
            f"{host.name}: {name} is {after or 'not installed'}, expected "
            f"{version or 'not installed'}; look at `{tool} history` on the host"
        )


def restore(context: Context, params: Package, record: RestoreRecord) -> Done:
    """Install the version that stood before, or remove what was not there."""
    before = record.before or {}
    version: str | None = before.get("version")
    tool = _tool(context.host)
    if tool == "apt-get":
        changed = _restore_apt(context, params, version, dict(before.get("packages", {})))
    else:
        changed = _restore_rpm(context, params, version, tool)
    stood = version or "not installed"
    return Done(
        f"{params.name} is {stood} again" if changed else f"{params.name} is {stood}", changed
    )


def _restore_apt(
    context: Context, params: Package, version: str | None, packages: dict[str, str | None]
) -> bool:
    host, name = context.host, params.name
    facts = apt.observe(host, name)
    if facts.interrupted:
        act(context, apt.MEND, timeout=params.timeout, what="finish an interrupted dpkg")
        facts = apt.observe(host, name)
    installed = facts.installed
    if version is None:
        if installed is None:
            return False
        act(context, apt.remove(name), timeout=params.timeout, what=f"remove {name}")
    else:
        if installed is not None and installed.complete and installed.version == version:
            return False
        if version not in facts.available:
            raise Failed(
                f"{host.name}: {name} {version} is in none of the host's repositories any more, "
                f"which offer {', '.join(facts.available[:6]) or 'nothing'}: it cannot be put "
                "back; install a version by hand, then `winch retry` or `winch skip`"
            )
        words = {name: version} | {other: old for other, old in packages.items() if old}
        command = apt.install([f"{other}={old}" for other, old in words.items()])
        act(context, command, timeout=params.timeout, what=f"put back {name} {version}")
    _verify_apt(host, name, version)
    return True


def _restore_rpm(context: Context, params: Package, version: str | None, tool: str) -> bool:
    host, name = context.host, params.name
    facts = rpm.observe(host, tool, name)
    if facts.installed == version:
        return False
    if version is None:
        act(context, rpm.remove(tool, name), timeout=params.timeout, what=f"remove {name}")
    else:
        command = rpm.change(tool, name, facts.installed, version)
        act(context, command, timeout=params.timeout, what=f"put back {name} {version}")
    _verify_rpm(host, tool, name, version)
    return True


def preview(context: Context, params: Package) -> list[str]:
    """Say what would be run, from the lists at hand."""
    host, name = context.host, params.name
    tool = _tool(host)
    if tool != "apt-get":
        facts = rpm.observe(host, tool, name)
        version = rpm.target(facts, params.version)
        if version is None:
            raise _missing(host, params, facts.available)
        if facts.installed == version:
            return []
        return [str(rpm.change(tool, name, facts.installed, version))]
    seen = apt.observe(host, name)
    wanted = apt.target(seen, params.version)
    if wanted is None:
        return [str(apt.UPDATE), f"apt-get install {name}={params.version or 'NEWEST'}"]
    if seen.installed is not None and seen.installed.complete and seen.installed.version == wanted:
        return []
    mend = [str(apt.MEND)] if seen.interrupted else []
    words, _changes = apt.plan(host, seen, name, wanted)
    return [*mend, str(apt.install(words))]


def preview_restore(_context: Context, params: Package, record: RestoreRecord) -> list[str]:
    """Say what would be run to go back."""
    version = (record.before or {}).get("version")
    if version is None:
        return [f"remove {params.name}"]
    return [f"install {params.name} {version}"]


def _from_to(before: object, after: str) -> str:
    return f"{before} → {after}" if before else f"{after} installed"
