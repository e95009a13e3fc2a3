"""Executables on a host's disk: what one is, back-up, atomic replacement, and its record.

The record says what stood before the last upgrade, so that a rollback begun hours later, by
another run, knows where to go back to.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from tasks.nginx.facts import Binary
from tasks.nginx.params import NewBinary
from worker.errors import Failed, Refused
from worker.remote import Command, Host

DIRECTORY = "/var/lib/winch/nginx"

_DESCRIBE = """
if [ -z "$2" ]; then IFS=' ' read -r want rest <"$1.sha256" || exit 66; else want=$2; fi
sum=$(sha256sum <"$1") || exit 67
printf '%s\\n%s\\n' "$want" "${sum%% *}"
timeout -k 1 5 "$1" -v 2>&1 </dev/null
"""
# "$1" what to install, "$2" its SHA-256, "$3" the binary's path. Owner, mode, SELinux context,
# extended attributes (capabilities) are the present one's; a chown would clear capabilities, so
# everything is copied after the content. cp says nothing when it cannot copy the last two.
_INSTALL = """
set -e
new=$3.winch-new
kept() {
    stat -c '%u:%g %a' "$1"
    stat -c %C "$1" 2>/dev/null || :
    ! command -v getcap >/dev/null || getcap "$1" | sed 's/^[^ ]* *=* *//'
}
trap 'rm -f "$new"' EXIT
rm -f "$new"
cp "$1" "$new"
if [ -e "$3" ]; then
    cp --attributes-only --preserve=all "$3" "$new" 2>/dev/null || {
        chown "$(stat -c %u:%g "$3")" "$new"
        chmod "$(stat -c %a "$3")" "$new"
    }
    touch "$new"
    had=$(kept "$3") has=$(kept "$new")
    [ "$had" = "$has" ] || {
        echo "its owner, mode, SELinux context, capabilities cannot be kept:" \
            "expected $(echo $had), got $(echo $has)" >&2
        exit 66
    }
else
    chmod 755 "$new"
fi
case $(sha256sum <"$new") in "$2 "*) ;; *) echo "its checksum is not $2" >&2; exit 65 ;; esac
sync "$new" 2>/dev/null || sync
mv -fT "$new" "$3" 2>/dev/null || mv -f "$new" "$3"
"""
# "$1" from, "$2" to, "$3" SHA-256, "$4" the file whose attributes it gets
_KEEP = """
set -e
case $(sha256sum 2>/dev/null <"$2") in "$3 "*) exit 0 ;; esac
trap 'rm -f "$2.part"' EXIT
mkdir -p "$(dirname "$2")"
cp "$1" "$2.part"
cp --attributes-only --preserve=all "$4" "$2.part" 2>/dev/null || chmod 755 "$2.part"
case $(sha256sum <"$2.part") in "$3 "*) ;; *) echo "its checksum is not $3" >&2; exit 65 ;; esac
mv -f "$2.part" "$2"
"""
# "$1" directory of records and brought binaries, "$2" the binary, "$3" how many to keep of each.
# What is not an hour old may have been brought by a run that has not come so far.
_PRUNE = """
records=$(cat "$1"/*.json 2>/dev/null)
surplus() { # how many to keep, then paths, newest first
    keep=$1
    shift
    for path do
        keep=$((keep - 1))
        [ "$keep" -lt 0 ] || continue
        case $records in *"\\"$path\\""* | *"\\"${path%/}/nginx\\""*) continue ;; esac
        [ -n "$(find "$path" -maxdepth 0 -mmin +60)" ] && rm -rf "$path" && echo "$path"
    done
}
surplus "$3" $(ls -1dtc "$2".winch-[0-9]* 2>/dev/null)
surplus "$3" $(ls -1dtc "$1"/binary-*/ "$1"/package-*/ "$1"/build-*/ 2>/dev/null)
:
"""
KEPT = 3


@dataclass(frozen=True)
class Kept:
    """A binary of a known content, and where a copy of it is."""

    version: str
    sha256: str
    path: str

    def dump(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def load(cls, data: dict[str, Any]) -> Kept:
        return cls(str(data["version"]), str(data["sha256"]), str(data["path"]))


@dataclass(frozen=True)
class Record:
    """The last upgrade on a host: what stood before, and what was brought."""

    old: Kept
    new: Kept


def describe_new(host: Host, new: NewBinary) -> Kept:
    """Say what the new binary is; its checksum is the expected one.

    Raises:
        Refused: it is not there, not what was expected, or does not run on this host.
    """
    command = Command.shell(_DESCRIBE, new.path, new.sha256 or "")
    result = host.read(command, check=False)
    lines = result.stdout.splitlines()
    if len(lines) < 2:  # noqa: PLR2004
        said = result.stderr.strip().rpartition("\n")[2] or f"exit code {result.exit_code}"
        raise Refused(
            f"{host.name}: cannot read the new binary {new.path}: {said}: bring it there again"
        )
    want, sha256, *said_lines = lines
    if sha256 != want:
        raise Refused(
            f"{host.name}: {new.path} has the checksum {sha256[:12]}…, expected {want[:12]}…: "
            "it was damaged or replaced on its way; bring it there again"
        )
    said = " ".join(said_lines)
    version = said.partition("version: ")[2].split(" ")[0].rpartition("/")[2]
    if not result.ok or not version:
        raise Refused(
            f"{host.name}: {new.path} does not run here: `-v` says {said[:200]!r}: use a binary "
            "that was built for this release and architecture"
        )
    if new.version is not None and not version.startswith(new.version):
        raise Refused(
            f"{host.name}: {new.path} is nginx {version}, expected {new.version}: choose another "
            "binary, or correct the version"
        )
    return Kept(version, sha256, new.path)


def backup_path(binary: str, version: str) -> str:
    """Where a binary is kept beside the one in use: /usr/sbin/nginx.winch-1.22.1."""
    return f"{binary}.winch-{version}"


def keep(host: Host, source: str, wanted: Kept, like: str) -> None:
    """Copy an executable to `wanted.path`, unless exactly that is there already."""
    _run(host, Command.shell(_KEEP, source, wanted.path, wanted.sha256, like), wanted.path)


def install(host: Host, source: Kept, binary: str) -> None:
    """Put a binary in the place of the one in use, by an atomic rename."""
    _run(host, Command.shell(_INSTALL, source.path, source.sha256, binary), binary)


def prune(host: Host, binary: str) -> list[str]:
    """Remove back-ups and brought binaries that nothing needs any more; return what is gone.

    Of each the last few stay, and whatever a record names: a way back may need it.
    """
    result = host.act(Command.shell(_PRUNE, DIRECTORY, binary, str(KEPT)), check=False)
    return result.stdout.split()


def _run(host: Host, command: Command, path: str) -> None:
    result = host.act(command, timeout=120.0, check=False)
    if not result.ok:
        said = result.stderr.strip().rpartition("\n")[2] or f"exit code {result.exit_code}"
        raise Failed(f"{host.name}: cannot write {path}: {said}: mend that and retry")


def record_path(binary: str) -> str:
    """Where the record of a binary is."""
    return f"{DIRECTORY}/{binary.strip('/').replace('/', '-')}.json"


def write_record(host: Host, binary: str, record: Record) -> None:
    """Write down what stands before an upgrade, before it begins."""
    text = json.dumps({"old": record.old.dump(), "new": record.new.dump()}, indent=1) + "\n"
    host.act(Command.of("mkdir", "-p", DIRECTORY))
    host.put(text.encode(), record_path(binary))


def read_record(host: Host, binary: str) -> Record | None:
    """Read it; None if there was no upgrade, or it cannot be understood."""
    result = host.read(Command.of("cat", record_path(binary)), check=False)
    try:
        data = json.loads(result.stdout)
        return Record(Kept.load(data["old"]), Kept.load(data["new"]))
    except (ValueError, KeyError, TypeError):
        return None


def same(one: Binary | None, other: Kept) -> bool:
    """Whether an executable has that content."""
    return one is not None and one.sha256 == other.sha256
