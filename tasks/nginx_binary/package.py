"""`nginx.unpack_package`: the binary out of the distribution's package.

The package is downloaded into a directory of its own by the host's package manager, with the
host's sources and keys, and only unpacked: its scripts, which restart nginx, never run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tasks.deploy.versions import choose
from tasks.nginx.params import Instance
from tasks.nginx_binary import debian, fedora
from tasks.nginx_binary.fan_out import fan_out
from tasks.nginx_binary.params import Unpack
from tasks.nginx_binary.place import make_directory, root_of, standing
from worker.errors import Failed, Refused
from worker.remote import Command, Host
from worker.step import Context, Done, Outcome, step

DOWNLOAD_TIMEOUT_SECONDS = 300.0
NO_BINARY = 66  # exit code: the package is another one, without the binary


@dataclass(frozen=True)
class Offer:
    """A package that a host can get: its name and full version."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name}={self.version}"


@dataclass(frozen=True)
class Manager:
    """A package manager. `offers`: what there is, newest first; `update` may refresh that.

    `unpack` is a script: it downloads "$1", a package with its version, and unpacks it into the
    directory `root`, both in the working directory.
    """

    tool: str
    offers: Callable[[Host, Instance], list[tuple[str, str]]]
    update: Command | None
    spec: Callable[[str, str], str]
    unpack: str


_APT = Manager("apt-get", debian.offers, debian.UPDATE, debian.spec, debian.UNPACK)
_DNF = Manager("dnf", fedora.offers, None, fedora.spec, fedora.UNPACK)
_YUM = Manager("yum", fedora.offers, None, fedora.spec, fedora.UNPACK_YUM)


def manager_of(host: Host) -> Manager:
    """Find out which package manager a host has.

    Raises:
        Refused: none that Winch knows.
    """
    script = "for t in apt-get dnf yum; do command -v $t >/dev/null 2>&1 && echo $t && break; done"
    tool = host.read(Command.shell(script), check=False).stdout.strip()
    found = next((one for one in (_APT, _DNF, _YUM) if one.tool == tool), None)
    if found is None:
        raise Refused(
            f"{host.name}: no apt-get, dnf or yum there: give the new nginx by --binary or --build"
        )
    return found


def preview_unpack(context: Context, params: Unpack) -> list[str]:
    """Say what each host would download."""

    def one(instance: Instance) -> str | None:
        host = context.on(instance.host)
        manager = manager_of(host)
        offers = _wished(manager.offers(host, instance), params.version)
        if not offers:
            return f"{host.name}: {manager.tool} update, then look for nginx {params.version}"
        if _is_there(host, params.target, offers):
            return None
        return f"{host.name}: download {offers[0]} and unpack {params.target} from it"

    return [line for line in fan_out(params.instances, one) if line is not None]


@step("nginx.unpack_package", preview=preview_unpack)
def unpack_package(context: Context, params: Unpack) -> Outcome:
    """Download the package of that version on every host, and take the binary out of it.

    Raises:
        Refused: a host's sources do not have it.
    """
    got = fan_out(params.instances, lambda instance: unpack_on(context, instance, params))
    packages = ", ".join(dict.fromkeys(str(offer) for offer in got))
    return Done(f"{packages} unpacked on {len(got)} hosts", changed=False)


def unpack_on(context: Context, instance: Instance, params: Unpack) -> Offer:
    """Do it on one host."""
    host = context.on(instance.host)
    manager = manager_of(host)
    every = manager.offers(host, instance)
    offers = _wished(every, params.version)
    if not offers and manager.update is not None:
        context.progress(f"{host.name}: {manager.tool} update")
        host.act(manager.update, timeout=DOWNLOAD_TIMEOUT_SECONDS, check=False)
        every = manager.offers(host, instance)
        offers = _wished(every, params.version)
    if not offers:
        raise Refused(_not_offered(host.name, params.version, every))
    there = _is_there(host, params.target, offers)
    if there is not None:
        return there
    make_directory(host, params.target)
    for offer in offers:
        context.progress(f"{host.name}: downloads {offer}")
        words = (root_of(params.target), params.target, instance.binary, str(offer))
        script = _SCRIPT.replace("@UNPACK@", manager.unpack)
        result = host.act(
            Command.shell(script, *words, manager.spec(offer.name, offer.version)),
            timeout=DOWNLOAD_TIMEOUT_SECONDS,
            check=False,
        )
        if result.ok and standing(host, params.target) is not None:
            return offer
        if result.exit_code != NO_BINARY:
            lines = (result.stderr.strip() or result.stdout.strip() or "no output").splitlines()
            raise Failed(f"{host.name}: {offer} could not be unpacked: {lines[-1][:300]}")
    names = ", ".join(str(offer) for offer in offers)
    raise Refused(
        f"{host.name}: no nginx executable in {names}: give it by --binary; nothing was changed"
    )


def _wished(every: list[tuple[str, str]], wish: str) -> list[Offer]:
    """Choose of each package the newest version that is wished; packages in their order."""
    names = dict.fromkeys(name for name, _ in every)
    chosen = ((name, choose(wish, [v for n, v in every if n == name])) for name in names)
    return [Offer(name, version) for name, version in chosen if version is not None]


def _not_offered(host: str, wish: str, every: list[tuple[str, str]]) -> str:
    have = ", ".join(f"{name} {version}" for name, version in every[:6]) or "none of nginx at all"
    return (
        f"{host}: its package sources have no nginx {wish}; they have {have}: add the source that "
        "has it (a backports suite, nginx.org), or give --binary or --build; nothing was changed"
    )


def _is_there(host: Host, target: str, offers: list[Offer]) -> Offer | None:
    """Which of the packages has been unpacked to `target` already."""
    if standing(host, target) is None:
        return None
    origin = host.read(Command.of("cat", f"{target}.package"), check=False).stdout.strip()
    return next((offer for offer in offers[:1] if str(offer) == origin), None)


# "$1" root, "$2" target, "$3" the path of the binary in use, "$4" name=version, "$5" for the tool
_SCRIPT = f"""
set -e
umask 022
root=$1 target=$2 binary=$3 origin=$4 spec=$5
work=$(mktemp -d "$root/.unpack.XXXXXX")
trap 'cd /; rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
chmod 755 "$work" # apt downloads as its own user
cd "$work"
mkdir root
set -- "$spec"
@UNPACK@
for found in "root$binary" root/usr/sbin/nginx root/usr/bin/nginx; do
    [ -f "$found" ] && [ ! -L "$found" ] && break
done
[ -f "$found" ] || exit {NO_BINARY}
cp "$found" new
chmod 755 new
sum=$(sha256sum <new | cut -d ' ' -f 1)
rm -f "$target.sha256" "$target.package"
mv -f new "$target"
printf '%s\\n' "$origin" >"$target.package"
printf '%s  nginx\\n' "$sum" >"$target.sha256.new"
mv -f "$target.sha256.new" "$target.sha256"
"""
