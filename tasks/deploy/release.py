"""An archive, unpacked beside the old release, `current` swapped to it in one rename.

    DIRECTORY/current -> releases/1.4
    DIRECTORY/releases/1.3, 1.4            each with a file .winch-sha256: the archive's checksum
    DIRECTORY/releases/.winch-upload-SHA…  while it is being unpacked
    DIRECTORY/releases/.winch-unpack-SHA   renamed when complete

A version that stands there with another checksum is never unpacked over: the new one gets the
checksum's first digits appended to its name, and the old one stays to go back to.
"""

from __future__ import annotations

from dataclasses import dataclass

from tasks.deploy import systemd
from tasks.deploy.archive import MARK, Archive, open_archive
from tasks.deploy.params import Release
from tasks.deploy.record import RedeployRecord, RestoreRecord, act
from worker.errors import Failed, Refused
from worker.remote import Command, Host
from worker.step import Context, Done

_FACTS = f"""
cd "$1" 2>/dev/null || exit 0
if [ -L current ]; then echo "current $(readlink current)"
elif [ -e current ]; then echo "blocked current"; fi
cd releases 2>/dev/null || exit 0
for d in $(ls -t); do
    if [ -d "$d" ]; then echo "release $d $(cat "$d/{MARK}" 2>/dev/null)"; fi
done
if [ -f "$2" ]; then echo "uploaded $(sha256sum < "$2" | cut -d ' ' -f 1)"; fi
"""


@dataclass(frozen=True)
class ReleaseFacts:
    """What stands in the directory. `releases`: name -> checksum ("" if Winch did not unpack it),
    youngest first; `current`: what the link points to, as it is written."""

    current: str | None
    blocked: bool
    releases: dict[str, str]
    uploaded: str | None


def parse_facts(text: str) -> ReleaseFacts:
    """Parse the lines `current TARGET`, `blocked current`, `release NAME [SHA]`, `uploaded SHA`."""
    current: str | None = None
    uploaded: str | None = None
    blocked = False
    releases: dict[str, str] = {}
    for line in text.splitlines():
        key, _, rest = line.partition(" ")
        if key == "current":
            current = rest
        elif key == "blocked":
            blocked = True
        elif key == "uploaded":
            uploaded = rest.strip()
        elif key == "release":
            name, _, sha256 = rest.partition(" ")
            releases[name] = sha256.strip()
    return ReleaseFacts(current, blocked, releases, uploaded)


def target_name(facts: ReleaseFacts, version: str, sha256: str) -> str:
    """Name the release: its version, unless that stands there with another checksum."""
    if facts.releases.get(version, sha256) == sha256:
        return version
    return f"{version}-{sha256[:8]}"


def decide_prune(facts: ReleaseFacts, keep: int, needed: set[str]) -> list[str]:
    """Name the releases to remove: the oldest ones beyond `keep`, none that is needed, and only
    what Winch unpacked."""
    mine = [name for name, sha256 in facts.releases.items() if sha256]
    kept = [name for name in mine if name in needed]
    for name in mine:
        if name not in kept and len(kept) < keep:
            kept.append(name)
    return [name for name in mine if name not in kept]


def _upload_path(params: Release, archive: Archive) -> str:
    return f"{params.directory}/releases/.winch-upload-{archive.sha256[:16]}{archive.ending}"


def observe(host: Host, params: Release, archive: Archive) -> ReleaseFacts:
    """Read what stands in the directory."""
    upload = _upload_path(params, archive).rpartition("/")[2]
    return parse_facts(
        host.read(Command.shell(_FACTS, params.directory, upload), timeout=120).stdout
    )


def _link_name(current: str | None) -> str | None:
    return None if current is None else current.rstrip("/").rpartition("/")[2]


def unpack_command(params: Release, archive: Archive, name: str) -> Command:
    """Build the unpacking: into a new directory, marked, then renamed."""
    temporary = f"{params.directory}/releases/.winch-unpack-{archive.sha256[:16]}"
    script = f"""
set -eu
umask 022
temporary=$1 target=$2 owner=$3 sha256=$4 upload=$5
shift 5
rm -rf -- "$temporary"
mkdir -- "$temporary"
"$@"
printf '%s\\n' "$sha256" > "$temporary/{MARK}"
if [ -n "$owner" ]; then chown -R -h -- "$owner" "$temporary"; fi
chmod u+rwx,go+rx "$temporary"
touch -- "$temporary"
mv -T -- "$temporary" "$target"
rm -f -- "$upload"
"""
    upload = _upload_path(params, archive)
    return Command.shell(
        script,
        temporary,
        f"{params.directory}/releases/{name}",
        params.owner or "",
        archive.sha256,
        upload,
        *archive.unpack(upload, temporary),
    )


def swap_command(directory: str, link: str | None) -> Command:
    """Build the swap of `current` in one rename; None removes it."""
    if link is None:
        return Command.of("rm", "-f", "--", f"{directory}/current")
    script = 'ln -sfn -- "$1" "$2/.winch-current" && mv -T -- "$2/.winch-current" "$2/current"'
    return Command.shell(script, link, directory)


def redeploy(context: Context, params: Release, record: RedeployRecord) -> Done:
    """Upload, unpack, swap, restart; each only if it is still needed."""
    host = context.host
    archive = open_archive(params.archive)
    facts = observe(host, params, archive)
    _check(host, params, archive, facts)
    name = str(record.get("target") or target_name(facts, params.version, archive.sha256))
    link = f"releases/{name}"
    stands = facts.releases.get(name) == archive.sha256
    if record.before is None:
        if stands and facts.current == link:
            return Done(f"{params.directory}/current is {name} already", changed=False)
        record.remember(before={"current": facts.current}, target=name)
    if not stands:
        _install(context, params, archive, facts, name)
    if facts.current != link:
        act(
            context,
            swap_command(params.directory, link),
            timeout=30,
            what=f"swap current to {name}",
        )
    _verify(host, params, archive, link)
    if params.unit is not None:
        systemd.bring(context, record, params.unit, params.action, params.timeout)
    before = _link_name((record.before or {}).get("current"))
    pruned = _prune(context, params, archive, {name} | ({before} if before else set()))
    detail = f"current: {before or 'none'} → {name}"
    if params.unit is not None:
        detail += f", {params.unit} {params.action}ed"
    return Done(f"{detail}, {pruned} old removed" if pruned else detail)


def _check(host: Host, params: Release, archive: Archive, facts: ReleaseFacts) -> None:
    if facts.blocked:
        raise Refused(
            f"{host.name}: {params.directory}/current is a file or directory, expected a symbolic "
            "link: move it into releases/ and link to it, or choose another directory"
        )
    needed = archive.unpack("", "")[0]
    if not host.read(Command.shell('command -v "$1"', needed), check=False).ok:
        raise Refused(f"{host.name}: {needed} is not installed, and {archive.path.name} needs it")
    if params.unit is not None:
        systemd.check(host, params.unit, systemd.observe(host, params.unit), params.action)


def _install(
    context: Context, params: Release, archive: Archive, facts: ReleaseFacts, name: str
) -> None:
    host = context.host
    upload = _upload_path(params, archive)
    if facts.uploaded != archive.sha256:
        make = Command.of("mkdir", "-p", "--", f"{params.directory}/releases")
        act(context, make, timeout=30, what="make the directory of releases")
        context.progress(f"upload {archive.path.name} ({archive.size / 1e6:.1f} MB)")
        host.put(archive.path, upload, mode=0o600)
        if observe(host, params, archive).uploaded != archive.sha256:
            raise Failed(
                f"{host.name}: {upload} has another checksum than {archive.path} after the "
                "upload; is the disk full? `winch retry` uploads it again"
            )
    act(
        context,
        unpack_command(params, archive, name),
        timeout=params.timeout,
        what=f"unpack {archive.path.name}",
    )


def _verify(host: Host, params: Release, archive: Archive, link: str) -> None:
    after = observe(host, params, archive)
    name = _link_name(link) or ""
    if after.current != link or after.releases.get(name) != archive.sha256:
        raise Failed(
            f"{host.name}: {params.directory}/current is {after.current}, expected {link} with "
            f"checksum {archive.sha256[:16]}; does something else change this directory?"
        )


def _prune(context: Context, params: Release, archive: Archive, needed: set[str]) -> int:
    facts = observe(context.host, params, archive)
    old = decide_prune(facts, params.keep, needed)
    if old:
        paths = [f"{params.directory}/releases/{name}" for name in old]
        command = Command.of("rm", "-rf", "--", *paths)
        act(context, command, timeout=params.timeout, what="remove old releases")
    return len(old)


def restore(context: Context, params: Release, record: RestoreRecord) -> Done:
    """Swap `current` back to what it was, and restart. The failed release stays for a look."""
    host = context.host
    before: str | None = (record.before or {}).get("current")
    read = Command.shell('if [ -L "$1" ]; then readlink "$1"; fi', f"{params.directory}/current")
    now = host.read(read).stdout.rstrip("\n") or None
    swapped = now != before
    if swapped:
        act(
            context,
            swap_command(params.directory, before),
            timeout=30,
            what=f"swap current back to {_link_name(before) or 'nothing'}",
        )
        now = host.read(read).stdout.rstrip("\n") or None
        if now != before:
            raise Failed(f"{host.name}: {params.directory}/current is {now}, expected {before}")
    # Until the redeploy came to the unit, the unit ran the old release and does so still.
    if params.unit is not None and record.redeployed("invocation") is not None:
        _put_unit_back(context, params, record, params.unit, stood=before is not None)
    return Done(f"current is {_link_name(before) or 'gone, as before'} again")


def _put_unit_back(
    context: Context, params: Release, record: RestoreRecord, unit: str, *, stood: bool
) -> None:
    if not stood:
        act(context, systemd.command_for("stop", unit), timeout=params.timeout, what=f"stop {unit}")
        return
    # A unit that the new release broke has nothing to reload any more.
    is_active = systemd.observe(context.host, unit).active == "active"
    action = params.action if is_active else "restart"
    systemd.bring(context, record, unit, action, params.timeout)


def preview(context: Context, params: Release) -> list[str]:
    """Say what would be run."""
    archive = open_archive(params.archive)
    facts = observe(context.host, params, archive)
    _check(context.host, params, archive, facts)
    name = target_name(facts, params.version, archive.sha256)
    stands = facts.releases.get(name) == archive.sha256
    if stands and facts.current == f"releases/{name}":
        return []
    lines = []
    if not stands:
        lines = [
            f"upload {archive.path} ({archive.size / 1e6:.1f} MB)",
            f"unpack to {params.directory}/releases/{name}",
        ]
    lines.append(f"ln -sfn releases/{name} {params.directory}/current")
    if params.unit is not None:
        lines.append(str(systemd.command_for(params.action, params.unit)))
    return lines


def preview_restore(_context: Context, params: Release, record: RestoreRecord) -> list[str]:
    """Say what would be run to go back."""
    before = (record.before or {}).get("current")
    lines = [
        f"ln -sfn {before} {params.directory}/current"
        if before
        else f"rm {params.directory}/current"
    ]
    if params.unit is not None:
        lines.append(str(systemd.command_for(params.action if before else "stop", params.unit)))
    return lines
