"""`nginx.build_binary`: from source, on a build host, with the running binary's arguments.

ROOT/sources/SHA256.tar.gz    the source, uploaded once
ROOT/cache/KEY/nginx          what was built of it: KEY is of source, arguments and compiler
ROOT/.build.XXXXXX            while it is being built
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from tasks.nginx.params import Instance
from tasks.nginx_binary.arguments import (
    Built,
    needed_paths,
    not_there,
    parse_version_output,
    value_of,
    without,
)
from tasks.nginx_binary.compiling import compile_nginx, refusal
from tasks.nginx_binary.fan_out import fan_out
from tasks.nginx_binary.needs import check_needs
from tasks.nginx_binary.params import Build
from tasks.nginx_binary.place import fetch, install, make_directory, root_of, standing
from tasks.nginx_binary.upload import check_file
from worker.errors import Refused
from worker.remote import Command, Host
from worker.step import Context, Done, Outcome, step

# "$1" binary, "$2" pid file. The running one: after a failed upgrade the file is another one.
_RUNNING = """
pid=$(head -n 1 "$2" 2>/dev/null)
case $pid in
'' | *[!0-9]*) ;;
*) [ -x "/proc/$pid/exe" ] && grep -q '^nginx:' "/proc/$pid/cmdline" && exec "/proc/$pid/exe" -V ;;
esac
exec "$1" -V
"""
# "$1" compiler. What would make another binary of the same source and arguments.
_TOOLCHAIN = "uname -m; $1 --version 2>/dev/null | head -n 1; cat /etc/os-release 2>/dev/null"
_PATHS = 'for path do [ -e "$path" ] || printf "%s\\n" "$path"; done'


@dataclass(frozen=True)
class Recipe:
    """What is going to be built: with which arguments, and where it is kept on the build host.

    `dropped`: arguments of the running nginx that name a directory which is not there.
    """

    arguments: tuple[str, ...]
    dropped: tuple[str, ...]
    cached: str


def preview_build(context: Context, params: Build) -> list[str]:
    """Say what would be built, and who would get it."""
    host = context.on(params.build_host)
    recipe = prepare(context, params)
    commands: list[str] = []
    if standing(host, recipe.cached) is None:
        commands = [
            f"{host.name}: build nginx {params.version} from {Path(params.source).name} with "
            f"{len(recipe.arguments)} arguments of {params.like.host}'s running nginx"
        ]
    lacking = fan_out(params.hosts, lambda name: standing(context.on(name), params.target))
    return commands + [
        f"{name}: copy the built nginx to {params.target}"
        for name, has in zip(params.hosts, lacking, strict=True)
        if commands or has is None
    ]


@step("nginx.build_binary", preview=preview_build)
def build_binary(context: Context, params: Build) -> Outcome:
    """Build it unless it is in the cache, and bring it to every host.

    Raises:
        Refused: the build host lacks something, or arguments no longer configure.
        Failed: it does not compile.
    """
    host = context.on(params.build_host)
    recipe = prepare(context, params)
    sha256 = standing(host, recipe.cached)
    how = "taken from the cache"
    if sha256 is None:
        source = _upload_source(host, params)
        make_directory(host, recipe.cached)
        result = compile_nginx(context, host, source, recipe.cached, recipe.arguments, params)
        sha256 = result.sha256
        how = f"built in {result.seconds:.0f} s"
    unknown = host.read(Command.of("cat", f"{recipe.cached}.dropped"), check=False).stdout
    dropped = [*recipe.dropped, *unknown.splitlines()]
    if dropped:
        how += f" without {' '.join(dropped)}"
    data = fetch(host, f"{recipe.cached}.gz", sha256)
    sent = fan_out(
        params.hosts, lambda name: install(context.on(name), data, params.target, sha256)
    )
    return Done(
        f"nginx {params.version} {how} on {host.name}, sent to {sum(sent)} of {len(sent)} hosts",
        changed=False,
    )


def prepare(context: Context, params: Build) -> Recipe:
    """Find out what is to be built, and that it can be.

    Raises:
        Refused: it cannot.
    """
    host = context.on(params.build_host)
    running = running_nginx(context.on(params.like.host), params.like)
    slips = not_there(running.arguments, params.drop)
    if slips:
        raise Refused(
            f"{params.like.host}: --drop-argument {slips[0]}: the running nginx has no such "
            "argument; `nginx -V` shows them; nothing was changed"
        )
    arguments = [*without(running.arguments, params.drop), *params.add]
    paths = dict(needed_paths(arguments))
    words = [path for path in paths.values() if path.startswith("/")]
    gone = host.read(Command.shell(_PATHS, *words)).stdout.splitlines() if words else []
    missing = [one for one, path in paths.items() if path in gone or not path.startswith("/")]
    if missing and not params.drop_unknown:
        raise Refused(refusal(host.name, params.version, missing, "name a directory that is not"))
    arguments = without(arguments, missing)
    check_needs(host, arguments, params.version)
    compiler = value_of(arguments, "--with-cc") or "cc"
    toolchain = host.read(Command.shell(_TOOLCHAIN, compiler)).stdout
    text = "\n".join([params.sha256, str(params.drop_unknown), *arguments, toolchain])
    key = hashlib.sha256(text.encode()).hexdigest()[:32]
    return Recipe(tuple(arguments), tuple(missing), f"{root_of(params.target)}/cache/{key}/nginx")


def running_nginx(host: Host, instance: Instance) -> Built:
    """Read the arguments that the running nginx was built with.

    Raises:
        Refused: it does not say them.
    """
    result = host.read(Command.shell(_RUNNING, instance.binary, instance.pid_file), check=False)
    said = result.stderr + result.stdout
    try:
        built = parse_version_output(said)
    except ValueError as error:
        raise Refused(f"{host.name}: `nginx -V` cannot be understood: {error}") from None
    if built is None:
        lines = said.strip().splitlines() or ["no output"]
        raise Refused(
            f"{host.name}: expected the version and arguments of nginx from `{instance.binary} "
            f"-V`, got: {lines[-1][:200]}; correct `binary` in the fleet file"
        )
    return built


def _upload_source(host: Host, params: Build) -> str:
    suffix = "".join(Path(params.source).suffixes[-2:]) if ".tar." in params.source else ".tgz"
    path = f"{root_of(params.target)}/sources/{params.sha256}{suffix}"
    there = host.read(Command.shell('sha256sum <"$1"', path), check=False).stdout.split()[:1]
    if there != [params.sha256]:
        check_file(Path(params.source), params.sha256, "--build")
        make_directory(host, path)
        host.put(Path(params.source), path)
    return path
