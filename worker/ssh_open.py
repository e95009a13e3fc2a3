"""Open one SSH connection: strict host keys, our own socket, keys from a file or the agent.

`~/.ssh/config` is not read: a worker must reach a host the same way from everywhere.
"""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import Callable
from typing import Any

import fabric
from paramiko import PasswordRequiredException, PKey, SSHException, Transport
from paramiko.pkey import UnknownKeyType

from worker.errors import NotAllowed, Unreachable
from worker.known_hosts import Known, Strict, host_key_name, read_known
from worker.plan import HostSpec
from worker.ssh_errors import known_hosts_files, place, translate

_KEEPALIVE_IDLE = 10  # seconds
_KEEPALIVE_INTERVAL = 5  # seconds
_KEEPALIVE_COUNT = 3
_USER_TIMEOUT = 20_000  # milliseconds that sent data may stay unacknowledged, tcp(7)

# What it logs, it also raises, and then it is translated; its tracebacks would only repeat that.
logging.getLogger("paramiko").setLevel(logging.CRITICAL)


def open_connection(
    host: HostSpec, jump: Callable[[], Transport] | None, timeout: float
) -> fabric.Connection:
    """Connect and authenticate; `jump` gives the transport of the host in between.

    Raises:
        NotAllowed: a host key is not the expected one, or our key is not accepted.
        Unreachable: everything else.
    """
    sock: Any = None
    connection: Any = None
    try:
        key, encrypted = _load_key(host)
        known = _known(host)
        sock = _tcp(host, timeout) if jump is None else _through(host, jump(), timeout)
        connection = fabric.Connection(
            host=host.address,
            user=host.ssh.user,
            port=host.ssh.port,
            config=fabric.Config(lazy=True),
            connect_timeout=timeout,
            connect_kwargs={
                "sock": sock,
                "pkey": key,
                "allow_agent": True,
                "look_for_keys": host.ssh.identity_file is None,
                "banner_timeout": timeout,
                "auth_timeout": timeout,
                "channel_timeout": timeout,
            },
        )
        client = connection.client
        client.set_missing_host_key_policy(Strict(known.revoked))
        name = host_key_name(host.address, host.ssh.port)
        for kind, expected in known.keys:
            client.get_host_keys().add(name, kind, expected)
        try:
            connection.open()
            _wake_seldom(connection.transport)
        except SSHException as error:
            if encrypted and "authentication" in str(error).lower():
                raise PasswordRequiredException("private key file is encrypted") from error
            raise
    except Exception as error:
        if connection is not None:
            connection.client.close()
        if sock is not None:
            with contextlib.suppress(Exception):
                sock.close()
        raise translate(host, error) from error
    return connection


def _wake_seldom(transport: Transport) -> None:
    """Let Paramiko's thread of an idle connection wake up each 5 s instead of ten times a second.

    It reads with a timeout only to notice that it should end; what arrives wakes it at once.
    """
    settimeout = getattr(transport.sock, "settimeout", None)
    if settimeout is not None:
        settimeout(5.0)


def _tcp(host: HostSpec, timeout: float) -> socket.socket:
    """Connect. Commands are small packets both ways: with Nagle each would wait for an ACK."""
    sock = socket.create_connection((host.address, host.ssh.port), timeout)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        ("TCP_KEEPIDLE", _KEEPALIVE_IDLE),
        ("TCP_KEEPINTVL", _KEEPALIVE_INTERVAL),
        ("TCP_KEEPCNT", _KEEPALIVE_COUNT),
        ("TCP_USER_TIMEOUT", _USER_TIMEOUT),
    ):
        if hasattr(socket, option):  # macOS lacks some
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    return sock


def _through(host: HostSpec, transport: Transport, timeout: float) -> Any:
    try:
        return transport.open_channel(
            "direct-tcpip", (host.address, host.ssh.port), ("127.0.0.1", 0), timeout=timeout
        )
    except SSHException as error:
        raise Unreachable(
            f"{place(host)}: its jump host {host.ssh.jump} cannot reach it ({error})"
        ) from error


def _known(host: HostSpec) -> Known:
    files = known_hosts_files(host)
    if host.ssh.known_hosts is not None and not host.ssh.known_hosts.expanduser().exists():
        raise NotAllowed(
            f"{place(host)}: its known_hosts file {host.ssh.known_hosts} does not exist: write the "
            f"host's key into it (ssh-keyscan -p {host.ssh.port} {host.address})"
        )
    try:
        return read_known(files, host_key_name(host.address, host.ssh.port))
    except OSError as error:
        raise NotAllowed(f"{place(host)}: cannot read known_hosts: {error}") from error


def _load_key(host: HostSpec) -> tuple[PKey | None, bool]:
    """Return the key of `identity_file`, and whether it is encrypted and thus left to the agent."""
    file = host.ssh.identity_file
    if file is None:
        return None, False
    try:
        return PKey.from_path(file), False
    except TypeError:  # how cryptography says "encrypted"
        return None, True
    except OSError as error:
        raise NotAllowed(f"{place(host)}: cannot read its key: {error}") from error
    except (ValueError, SSHException, UnknownKeyType) as error:
        raise NotAllowed(
            f"{place(host)}: {file} is not a private key that can be used ({error}): give an "
            "Ed25519, ECDSA or RSA key"
        ) from error
