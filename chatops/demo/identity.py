"""Who logs in to the demo's sshd: we ourselves, whatever the account database makes of us.

sshd wants an account with a real shell, and as root one called `sshd` for its unprivileged half.
A bare container may have neither. Then libnss_wrapper shows sshd, and sshd alone, an account
database of the demo's own; nothing in /etc is touched.
"""

from __future__ import annotations

import grp
import os
import pwd
from dataclasses import dataclass
from pathlib import Path

NO_SHELLS = {"nologin", "false", "sync", ""}
PRIVSEP_DIRECTORY = Path("/run/sshd")
SHADOW = Path("/etc/shadow")


@dataclass(frozen=True)
class Identity:
    """The account that the demo runs under and logs in to."""

    user: str
    group: str
    uid: int
    gid: int
    shell: str
    has_sshd_account: bool
    locked: bool = False  # a password that starts with "!" locks SSH out unless PAM decides

    @property
    def is_root(self) -> bool:
        return self.uid == 0

    @property
    def needs_wrapper(self) -> bool:
        """Whether sshd would refuse what the account database says."""
        no_shell = Path(self.shell).name in NO_SHELLS
        return no_shell or (self.is_root and not self.has_sshd_account)

    def passwd(self, home: Path) -> str:
        """Write the account database that sshd is shown."""
        lines = [f"{self.user}:x:{self.uid}:{self.gid}::{home}:/bin/sh"]
        if self.user != "sshd":
            lines.append("sshd:x:65534:65534::/run/sshd:/usr/sbin/nologin")
        return "\n".join(lines) + "\n"

    def groups(self) -> str:
        """Write the group database beside it."""
        return f"{self.group}:x:{self.gid}:\nnogroup:x:65534:\n"


def _account(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def shadow_locks(shadow: str, user: str) -> bool:
    """Read /etc/shadow's text: is the user's password locked?"""
    entries = (line.split(":") for line in shadow.splitlines())
    return any(len(e) > 1 and e[0] == user and e[1].startswith("!") for e in entries)


def who_we_are() -> Identity:
    """Observe our own account."""
    uid, gid = os.geteuid(), os.getegid()
    try:
        entry = pwd.getpwuid(uid)
        user, shell = entry.pw_name, entry.pw_shell or "/bin/sh"
    except KeyError:
        user, shell = "demo", ""
    try:
        group = grp.getgrgid(gid).gr_name
    except KeyError:
        group = "demo"
    locked = uid == 0 and SHADOW.exists() and shadow_locks(SHADOW.read_text(), user)
    return Identity(user, group, uid, gid, shell, _account("sshd"), locked)
