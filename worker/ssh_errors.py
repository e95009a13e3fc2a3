"""Errors of Paramiko, Fabric and sockets, turned into ours: here and nowhere else."""

from __future__ import annotations

import socket
from pathlib import Path

from paramiko import ssh_exception as theirs

from worker.errors import NotAllowed, Unreachable
from worker.known_hosts import (
    DEFAULT_FILES,
    RevokedHostKey,
    UnknownHostKey,
    fingerprint,
    host_key_name,
)
from worker.plan import HostSpec

# Every class of paramiko.ssh_exception, and whether trying again can help.
# A test fails when Paramiko grows one that does not stand here.
PERMANENT: dict[type[Exception], bool] = {
    theirs.SSHException: False,
    theirs.ChannelException: False,
    theirs.MessageOrderError: False,
    theirs.NoValidConnectionsError: False,
    theirs.ProxyCommandFailure: False,
    theirs.AuthenticationException: True,
    theirs.BadAuthenticationType: True,
    theirs.BadHostKeyException: True,
    theirs.ConfigParseError: True,
    theirs.CouldNotCanonicalize: True,
    theirs.IncompatiblePeer: True,
    theirs.PartialAuthentication: True,
    theirs.PasswordRequiredException: True,
    theirs.UnableToAuthenticate: True,
}


def known_hosts_files(host: HostSpec) -> list[Path]:
    """Return the files that say which key a host must have."""
    return [host.ssh.known_hosts] if host.ssh.known_hosts is not None else list(DEFAULT_FILES)


def place(host: HostSpec) -> str:
    """Return how a message names a host: `web1 (10.0.0.7:22)`."""
    return f"{host.name} ({host.address}:{host.ssh.port})"


def translate(host: HostSpec, error: BaseException) -> Unreachable:
    """Make our error of one that came while a connection or a session was opened."""
    if isinstance(error, Unreachable):
        return error
    text = _host_key(host, error) or _key(host, error)
    if text is not None:
        return NotAllowed(f"{place(host)}: {text}")
    match error:
        case theirs.ChannelException():
            text = f"it opens no session ({_text(error)}): see MaxSessions in its sshd_config"
        case socket.gaierror():
            text = f"its address has no meaning here ({_text(error)}): correct it"
        case TimeoutError():
            text = "no answer in time: see that it runs and that no firewall drops the port"
        case _:
            text = f"no connection: {_text(error)}"
    permanent = not _broke(error) and any(
        permanent for kind, permanent in PERMANENT.items() if type(error) is kind
    )
    return (NotAllowed if permanent else Unreachable)(f"{place(host)}: {text}")


def _host_key(host: HostSpec, error: BaseException) -> str | None:
    name = host_key_name(host.address, host.ssh.port)
    files = ", ".join(str(file) for file in known_hosts_files(host))
    scan = f"ssh-keyscan -p {host.ssh.port} {host.address}"
    match error:
        case RevokedHostKey():
            return (
                f"its host key {fingerprint(error.key)} is marked @revoked in {files}: give the "
                "host a new key"
            )
        case UnknownHostKey():
            return (
                f"unknown host key: {files} has none for {name}, and it showed "
                f"{fingerprint(error.key)}: compare that with the host's own, then add it ({scan})"
            )
        case theirs.BadHostKeyException():
            return (
                f"its host key CHANGED: {files} expects {fingerprint(error.expected_key)}, and it "
                f"showed {fingerprint(error.key)}: if the machine was reinstalled, run ssh-keygen "
                f"-R '{name}' on that file and add the new key; if not, somebody may stand in "
                "between"
            )
        case _:
            return None


def _key(host: HostSpec, error: BaseException) -> str | None:
    if isinstance(error, theirs.PasswordRequiredException):
        return (
            f"the key {host.ssh.identity_file} is encrypted and no agent has it: run ssh-add on it "
            "where the worker runs, or use a key without a passphrase"
        )
    if _refused(error):
        user = host.ssh.user or "this user"
        key = host.ssh.identity_file or "the agent's keys and ~/.ssh/id_*"
        return (
            f"it refused {key} for {user} ({_text(error)}): put the public key into that user's "
            "authorized_keys, or correct ssh.user and ssh.identity_file"
        )
    return None


def _refused(error: BaseException) -> bool:
    """Whether our keys were refused, or there was none to offer."""
    if "No authentication methods available" in str(error):
        return True
    return isinstance(error, theirs.AuthenticationException) and not _broke(error)


def _broke(error: BaseException) -> bool:
    """Whether a failed authentication was a lost connection; Paramiko has one class for both."""
    text = str(error).lower()
    return "timeout" in text or "transport shut down" in text or "saw eof" in text


def _text(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
