"""Unpack, configure and compile nginx on a build host; keep the binary only."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from tasks.nginx_binary.arguments import compiler_errors, progress_of, rejected
from tasks.nginx_binary.params import Build
from tasks.nginx_binary.place import root_of
from worker.errors import Failed, Refused, StepError
from worker.remote import Command, Host, Result
from worker.step import Context

CONFIGURE_TIMEOUT_SECONDS = 300.0
_MOST_REJECTED = 100
_NEEDED_KIB = 150_000  # of disk, while it compiles; 60 MB with symbols and all modules

# "$1" root, "$2" tarball, "$3" KiB that must be free. Prints the directory of the source.
_UNPACK = """
set -e
umask 022
find "$1" -maxdepth 1 -name '.build.*' -mmin +240 -exec rm -rf {} +
free=$(df -Pk "$1" | awk 'NR == 2 { print $4 }')
[ "$free" -ge "$3" ] || { echo "only $free KiB free in $1, $3 are needed" >&2; exit 69; }
work=$(mktemp -d "$1/.build.XXXXXX")
case $2 in
*gz) kind=z ;;
*xz) kind=J ;;
*bz2) kind=j ;;
*) kind= ;;
esac
tar "-xo${kind}f" "$2" -C "$work" || { rm -rf "$work"; exit 1; }
for top in "$work"/*/; do [ -d "$top/src/core" ] && break; done
printf '%s\\n' "${top%/}"
"""
_NO_ROOM = 69
# "$1" source, then configure's arguments.
_CONFIGURE = """
cd "$1" || exit
shift
if [ -x configure ]; then script=./configure; else script=auto/configure; fi
nice -n 10 "$script" "$@" 2>&1
code=$?
[ $code = 0 ] || tail -n 20 objs/autoconf.err >&2
exit $code
"""
# "$1" source, "$2" jobs or empty. Its first line is the number of files to compile.
_MAKE = """
cd "$1" || exit
target=
grep -q '^binary:' objs/Makefile && target=binary
printf 'files %s\\n' "$(make -n -f objs/Makefile $target | grep -c -e '-o objs/.*[.]o ')"
exec nice -n 10 make -f objs/Makefile -j "${2:-$(nproc)}" $target
"""
# "$1" source, "$2" target, then the dropped arguments. Prints the checksum, written last.
_KEEP = """
set -e
umask 022
cd "$1"
rm -f "$2.sha256"
cp objs/nginx "$2.new"
chmod 755 "$2.new"
gzip -nc "$2.new" >"$2.gz.new"
sum=$(sha256sum <"$2.new" | cut -d ' ' -f 1)
mv -f "$2.gz.new" "$2.gz"
mv -f "$2.new" "$2"
target=$2
shift 2
rm -f "$target.dropped"
[ $# = 0 ] || printf '%s\\n' "$@" >"$target.dropped"
printf '%s  nginx\\n' "$sum" >"$target.sha256"
printf '%s\\n' "$sum"
"""
# "$1" root, "$2" how many to keep. The last few builds and sources stay; so does what is not an
# hour old, which another build may be about to use.
_PRUNE = """
for path in $(ls -1dtc "$1"/cache/*/ 2>/dev/null | tail -n "+$(($2 + 1))") \\
    $(ls -1tc "$1"/sources/* 2>/dev/null | tail -n "+$(($2 + 1))"); do
    [ -z "$(find "$path" -maxdepth 0 -mmin +60)" ] || rm -rf "$path"
done
"""
_KEPT = 5


@dataclass(frozen=True)
class Compiled:
    """What came of it."""

    sha256: str
    seconds: float


def compile_nginx(
    context: Context,
    host: Host,
    tarball: str,
    target: str,
    arguments: Sequence[str],
    params: Build,
) -> Compiled:
    """Build `target` from a tarball on the host; whatever else was written is removed.

    Raises:
        Refused: arguments are rejected, or the disk is too full.
        Failed: configure or the compiler does not succeed; its own words are in the message.
    """
    began = time.monotonic()
    context.progress(f"{host.name}: unpacks the source of nginx {params.version}")
    unpacked = host.act(
        Command.shell(_UNPACK, root_of(params.target), tarball, str(_NEEDED_KIB)), check=False
    )
    if not unpacked.ok:
        kind = Refused if unpacked.exit_code == _NO_ROOM else Failed
        said = " ".join(unpacked.stderr.split())[-300:]
        raise kind(f"{host.name}: cannot unpack the source: {said}; make room there, then retry")
    source = unpacked.stdout.strip()
    try:
        dropped = configure(context, host, source, arguments, params)
        _make(context, host, source, params)
        kept = host.act(Command.shell(_KEEP, source, target, *dropped))
    finally:
        _remove(host, source)
    host.act(Command.shell(_PRUNE, root_of(params.target), str(_KEPT)), check=False)
    return Compiled(kept.stdout.strip(), time.monotonic() - began)


def configure(
    context: Context, host: Host, source: str, arguments: Sequence[str], params: Build
) -> list[str]:
    """Run configure; returns the arguments that it rejected and that were dropped.

    It names one bad argument at a time, at once, so it is asked until it takes the rest.
    """
    left = list(arguments)
    bad: list[str] = []
    while True:
        context.progress(f"{host.name}: configures nginx {params.version}")
        result = host.act(
            Command.shell(_CONFIGURE, source, *left),
            timeout=CONFIGURE_TIMEOUT_SECONDS,
            check=False,
        )
        found = [] if result.ok else [one for one in rejected(result.stdout, left) if one in left]
        bad += found
        left = [one for one in left if one not in found]
        if not found or len(bad) > _MOST_REJECTED:
            break
    if bad and not params.drop_unknown:
        raise Refused(refusal(host.name, params.version, bad, "are not known"))
    if not result.ok:
        raise Failed(
            f"{host.name}: configure of nginx {params.version}: {_configure_error(result)}"
        )
    return bad


def refusal(host: str, version: str, arguments: list[str], why: str) -> str:
    """Say which arguments cannot be kept and how to leave them out."""
    options = " ".join(f"--drop-argument {argument.partition('=')[0]}" for argument in arguments)
    return (
        f"{host}: nginx {version} does not configure with all arguments of the running one: these "
        f"{why} there: {' '.join(arguments)}; leave them out by {options}, or all such ones by "
        "--drop-unknown; nothing was changed"
    )


def _configure_error(result: Result) -> str:
    lines = [line.strip() for line in result.stdout.splitlines() if line.strip()]
    error = next((line for line in lines if ": error: " in line), lines[-1] if lines else "")
    detail = " | ".join(compiler_errors(result.stderr, 2))
    return f"{error}{f' ({detail})' if detail else ''}"[:600]


def _make(context: Context, host: Host, source: str, params: Build) -> None:
    total = 0
    done = 0

    def on_line(line: str) -> None:
        nonlocal total, done
        if line.startswith("files "):
            total = int(line.split()[1] or 0)
        file = progress_of(line)
        if file is not None:
            done += 1
            context.progress(f"{host.name}: compiles {done} of {max(total, done)}: {file}")

    result = host.act(
        Command.shell(_MAKE, source, "" if params.jobs is None else str(params.jobs)),
        timeout=params.timeout,
        check=False,
        on_line=on_line,
    )
    if not result.ok:
        said = " | ".join(compiler_errors(result.stderr or result.stdout))
        raise Failed(
            f"{host.name}: nginx {params.version} does not compile: {said[:800]}; `winch logs` has "
            "all of it"
        )


def _remove(host: Host, source: str) -> None:
    work = source.rpartition("/")[0]
    try:
        if "/.build." in work:
            host.act(Command.of("rm", "-rf", work), check=False)
    except StepError:
        return  # the first error is the one to tell; a later build removes it
