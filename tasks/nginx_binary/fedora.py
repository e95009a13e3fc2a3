"""nginx's packages by dnf or yum and rpm."""

from __future__ import annotations

import re

from tasks.deploy.rpm import parse_list
from tasks.nginx.params import Instance
from worker.remote import Command, Host

NAMES = ("nginx-core", "nginx")
LIST_TIMEOUT_SECONDS = 120.0
_CPIO = """
for file in *.rpm; do
    rpm2cpio "$file" | (cd root && cpio -idm --quiet --no-absolute-filenames)
done
"""
UNPACK = f"""
dnf -q download --destdir . "$1" >&2 # of dnf-plugins-core
{_CPIO}"""
UNPACK_YUM = f"""
yumdownloader -q --destdir . "$1" >&2 # of yum-utils
{_CPIO}"""


def offers(host: Host, instance: Instance) -> list[tuple[str, str]]:
    """List names and versions, the package of the running binary first, newest version first."""
    query = Command.of("rpm", "-qf", "--queryformat", r"%{NAME}\n", instance.binary)
    said = host.read(query, check=False)
    owners = said.stdout.split() if said.ok else []
    owners = [name for name in owners if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]*", name)]
    names = list(dict.fromkeys([*owners, *NAMES]))
    script = (
        'tool=$(command -v dnf || command -v yum) && LC_ALL=C "$tool" -q list --showduplicates "$@"'
    )
    listed = host.read(Command.shell(script, *names), timeout=LIST_TIMEOUT_SECONDS, check=False)
    return [(name, version) for name in names for version in parse_list(listed.stdout, name)]


def spec(name: str, version: str) -> str:
    """Write a package as `dnf download` wants it."""
    return f"{name}-{version}"
