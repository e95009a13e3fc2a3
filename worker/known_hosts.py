"""Which host keys are expected: the lines of known_hosts files that name one host.

Paramiko compares each line that it loads with all before it; a file of thousands of hosts would
cost seconds a connection. Here only the lines of one host become keys. Patterns (`*.example.org`,
`!web9`), hashed names and `@revoked` are understood; `@cert-authority` is passed over.
"""

from __future__ import annotations

import base64
import fnmatch
import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from paramiko import PKey, RejectPolicy, SSHClient, SSHException
from paramiko.hostkeys import HostKeyEntry, HostKeys, InvalidHostKey

DEFAULT_FILES = (Path("~/.ssh/known_hosts"), Path("/etc/ssh/ssh_known_hosts"))


class UnknownHostKey(SSHException):
    """No line names this host, or none with a key of this type."""

    def __init__(self, name: str, key: PKey) -> None:
        super().__init__(name, key)
        self.name = name
        self.key = key


class RevokedHostKey(UnknownHostKey):
    """A line marks this very key as revoked."""


class Strict(RejectPolicy):
    """Refuse a host that no line names, and say which key it showed."""

    def __init__(self, revoked: list[PKey]) -> None:
        self._revoked = revoked

    def missing_host_key(self, client: SSHClient, hostname: str, key: PKey) -> Any:  # noqa: ARG002
        raise (RevokedHostKey if key in self._revoked else UnknownHostKey)(hostname, key)


@dataclass
class Known:
    """The keys of one host."""

    keys: list[tuple[str, PKey]] = field(default_factory=list)
    revoked: list[PKey] = field(default_factory=list)


def host_key_name(address: str, port: int) -> str:
    """Return the name under which a known_hosts file has a host."""
    return address if port == 22 else f"[{address}]:{port}"  # noqa: PLR2004


def fingerprint(key: PKey) -> str:
    """Return a key as people compare it: `ED25519 SHA256:…`, like OpenSSH shows it."""
    digest = base64.b64encode(hashlib.sha256(key.asbytes()).digest()).decode().rstrip("=")
    return f"{key.get_name()} SHA256:{digest}"


def read_known(files: list[Path], name: str) -> Known:
    """Collect the keys of a host from files; one that is not there has none.

    Raises:
        OSError: a file cannot be read.
    """
    known = Known()
    for file in files:
        try:
            text = file.expanduser().read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            continue
        for line in text.splitlines():
            _take(known, line.strip(), name)
    known.keys = [(kind, key) for kind, key in known.keys if key not in known.revoked]
    return known


def _take(known: Known, line: str, name: str) -> None:
    if not line or line.startswith("#"):
        return
    marker = ""
    if line.startswith("@"):
        marker, _, line = line.partition(" ")
        line = line.strip()
    if marker not in {"", "@revoked"} or not matches(line.partition(" ")[0], name):
        return
    try:
        entry = HostKeyEntry.from_line(line)
    except (InvalidHostKey, ValueError, SSHException):
        return  # as OpenSSH does: a line that cannot be read names nobody
    if entry is None or entry.key is None:
        return
    if marker:
        known.revoked.append(entry.key)
    else:
        known.keys.append((entry.key.get_name(), entry.key))


def matches(names: str, name: str) -> bool:
    """Whether a line's first field names this host: sshd(8), SSH_KNOWN_HOSTS FILE FORMAT."""
    if names.startswith("|1|"):
        try:
            return HostKeys.hash_host(name, names) == names
        except ValueError:
            return False
    found = False
    for pattern in names.split(","):
        # Brackets are literal here: `[127.0.0.1]:2222`.
        literal = pattern.removeprefix("!").replace("[", "[[]").lower()
        if fnmatch.fnmatchcase(name.lower(), literal):
            if pattern.startswith("!"):
                return False
            found = True
    return found
