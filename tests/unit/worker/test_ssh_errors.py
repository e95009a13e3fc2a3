"""Every error of Paramiko becomes one of ours."""

from __future__ import annotations

import inspect
import socket

import pytest
from paramiko import ECDSAKey, ssh_exception

from worker.errors import NotAllowed, Unreachable
from worker.plan import HostSpec
from worker.ssh_errors import PERMANENT, translate

HOST = HostSpec(name="web1", address="192.0.2.7")
KEY = ECDSAKey.generate()
EXAMPLES: dict[str, Exception] = {
    "BadAuthenticationType": ssh_exception.BadAuthenticationType("bad", ["password"]),
    "BadHostKeyException": ssh_exception.BadHostKeyException("web1", KEY, KEY),
    "ChannelException": ssh_exception.ChannelException(1, "prohibited"),
    "NoValidConnectionsError": ssh_exception.NoValidConnectionsError(
        {("192.0.2.7", 22): OSError("no")}
    ),
    "PartialAuthentication": ssh_exception.PartialAuthentication(["password"]),
    "ProxyCommandFailure": ssh_exception.ProxyCommandFailure("nc", 1),
}


def classes() -> list[type[Exception]]:
    return [
        kind
        for _, kind in inspect.getmembers(ssh_exception, inspect.isclass)
        if issubclass(kind, Exception) and kind.__module__ == ssh_exception.__name__
    ]


def test_no_class_of_paramiko_is_missing_in_the_table() -> None:
    assert set(classes()) == set(PERMANENT)


@pytest.mark.parametrize("kind", classes(), ids=lambda kind: kind.__name__)
def test_each_is_translated(kind: type[Exception]) -> None:
    error = EXAMPLES.get(kind.__name__) or kind("it broke")
    ours = translate(HOST, error)
    assert ours.permanent is PERMANENT[kind]
    assert isinstance(ours, NotAllowed) is PERMANENT[kind]
    assert ours.message.startswith("web1 (192.0.2.7:22): ")
    assert "\n" not in ours.message


@pytest.mark.parametrize(
    "text",
    [
        "Authentication timeout.",
        "Authentication failed: transport shut down or saw EOF",
    ],
)
def test_a_connection_lost_while_authenticating_may_be_tried_again(text: str) -> None:
    assert not translate(HOST, ssh_exception.AuthenticationException(text)).permanent


def test_no_key_at_all_is_permanent() -> None:
    error = ssh_exception.SSHException("No authentication methods available")
    assert translate(HOST, error).permanent


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (socket.gaierror(-2, "Name or service not known"), "address has no meaning"),
        (TimeoutError(), "no answer in time"),
        (ConnectionRefusedError(111, "Connection refused"), "Connection refused"),
        (EOFError(), "EOFError"),
        (RuntimeError("what\nnow"), "what now"),
    ],
)
def test_errors_of_sockets_may_be_tried_again(error: Exception, text: str) -> None:
    ours = translate(HOST, error)
    assert text in ours.message
    assert not ours.permanent


def test_our_own_stay_as_they_are() -> None:
    error = Unreachable("bastion: no")
    assert translate(HOST, error) is error
