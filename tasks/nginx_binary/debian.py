"""nginx's packages by apt and dpkg."""

from __future__ import annotations

import re

from tasks.nginx.params import Instance
from worker.remote import Command, Host

# Where the executable has been in Debian and Ubuntu over the years.
NAMES = ("nginx", "nginx-core", "nginx-light", "nginx-full", "nginx-extras")
UPDATE = Command.of("env", "LC_ALL=C", "apt-get", "update", "-q", "-o", "DPkg::Lock::Timeout=120")
_MADISON_COLUMNS = 3

UNPACK = """
LC_ALL=C apt-get download -q "$1" >&2
for file in *.deb; do dpkg-deb -x "$file" root; done
"""


def parse_owner(text: str) -> list[str]:
    """Parse `dpkg -S PATH`: `nginx:amd64, other: /usr/sbin/nginx`; diversions are no owners."""
    owners: list[str] = []
    for line in text.splitlines():
        names, _, path = line.rpartition(": ")
        if path.startswith("/") and not names.startswith("diversion by"):
            owners += [name.strip().partition(":")[0] for name in names.split(",")]
    return list(dict.fromkeys(owners))


def parse_madison(text: str) -> list[tuple[str, str]]:
    """Parse `apt-cache madison`: NAME | VERSION | WHERE, newest first; sources are left out."""
    found = []
    for line in text.splitlines():
        columns = [column.strip() for column in line.split("|")]
        if len(columns) >= _MADISON_COLUMNS and not columns[2].endswith(" Sources"):
            found.append((columns[0], columns[1]))
    return list(dict.fromkeys(found))


def offers(host: Host, instance: Instance) -> list[tuple[str, str]]:
    """List names and versions, the package of the running binary first, newest version first."""
    said = host.read(Command.of("env", "LC_ALL=C", "dpkg", "-S", instance.binary), check=False)
    owners = [
        name for name in parse_owner(said.stdout) if re.fullmatch(r"[a-z0-9][a-z0-9.+-]+", name)
    ]
    names = list(dict.fromkeys([*owners, *NAMES]))
    madison = host.read(Command.of("env", "LC_ALL=C", "apt-cache", "madison", *names), check=False)
    every = parse_madison(madison.stdout)
    return sorted(
        every, key=lambda offer: names.index(offer[0]) if offer[0] in names else len(names)
    )


def spec(name: str, version: str) -> str:
    """Write a package as `apt-get download` wants it."""
    return f"{name}={version}"
