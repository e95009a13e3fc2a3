"""What goes wrong between Winch and HAProxy's Runtime API, one class for each cause.

Refused
├── RuntimeApiRefused             HAProxy answered, and said no
│   ├── PermissionDenied          the socket lacks `level admin`
│   ├── NoSuchBackend
│   ├── NoSuchServer
│   ├── StaticAlgorithm           the backend's algorithm knows no weights but 0 % and 100 %
│   ├── WeightOutOfRange
│   ├── UnknownCommand            too old a HAProxy
│   └── ProxyDisabled             asked of a worker that is on its way out
├── BadName                       would be no single word of the Runtime API
├── SocketMissing                 no such file on the balancer
├── SocketForbidden               the user there may not open it
└── NoSocketClient                neither socat nor nc, python3 or perl there
Unreachable
└── HaproxyDown                   nobody listens, or no answer in time; worth another try
"""

from __future__ import annotations

from worker.errors import Refused, Unreachable


class RuntimeApiRefused(Refused):
    """HAProxy refused a command; `reply` is what it said."""

    def __init__(self, message: str, reply: str = "") -> None:
        super().__init__(message, reply)
        self.reply = reply


class PermissionDenied(RuntimeApiRefused):
    """The socket was not configured with `level admin`."""


class NoSuchBackend(RuntimeApiRefused):
    """No backend of that name."""


class NoSuchServer(RuntimeApiRefused):
    """No server of that name in that backend."""


class StaticAlgorithm(RuntimeApiRefused):
    """The backend's load-balancing algorithm cannot change weights while it runs."""


class WeightOutOfRange(RuntimeApiRefused):
    """Absolute weights are 0 to 256."""


class UnknownCommand(RuntimeApiRefused):
    """This HAProxy does not know the command."""


class ProxyDisabled(RuntimeApiRefused):
    """The worker that was asked is leaving after a reload and takes no orders."""


class BadName(Refused):
    """A name that HAProxy would not accept, or would read as more than one word."""


class SocketMissing(Refused):
    """The socket's file does not exist on the balancer."""


class SocketForbidden(Refused):
    """The user that Winch is on the balancer may not open the socket."""


class NoSocketClient(Refused):
    """The balancer has no program that can speak to a socket."""


class HaproxyDown(Unreachable):
    """The socket is there, but nobody answers; `slow`: not even with an error."""

    def __init__(self, message: str, slow: bool = False) -> None:
        super().__init__(message, slow)
        self.slow = slow


# The beginning of a reply, the class it becomes, and what to do about it. The texts are the same
# from HAProxy 2.6 to 3.2 (src/cli.c, src/server.c, src/proxy.c).
_REPLIES: tuple[tuple[str, type[RuntimeApiRefused], str], ...] = (
    (
        "Permission denied",
        PermissionDenied,
        "add `level admin` to this `stats socket` in haproxy.cfg and reload HAProxy",
    ),
    ("No such backend", NoSuchBackend, "correct the backend's name in the fleet file"),
    ("Can't find backend", NoSuchBackend, "correct the backend's name in the fleet file"),
    ("No such server", NoSuchServer, "correct the server's name in the fleet file"),
    ("Require 'backend/server'", NoSuchServer, "correct the server's name in the fleet file"),
    (
        "Backend is using a static LB algorithm",
        StaticAlgorithm,
        "only 0 % and 100 % work there: leave `enable.weights` at [100]",
    ),
    ("Absolute weight can only be", WeightOutOfRange, "use a weight from 0 to 256"),
    ("Unknown command", UnknownCommand, "this needs HAProxy 1.8 or newer"),
    ("Proxy is disabled", ProxyDisabled, "ask the worker that took over"),
)


def refusal(where: str, command: str, reply: str) -> RuntimeApiRefused:
    """Turn a reply that is no success into our error; `where` names the balancer and socket."""
    first = reply.strip().partition("\n")[0]
    for start, kind, remedy in _REPLIES:
        if first.startswith(start):
            return kind(f"{where}: `{command}`: HAProxy says “{first}”: {remedy}", reply)
    return RuntimeApiRefused(
        f"{where}: `{command}`: expected an empty reply, HAProxy says “{first}”", reply
    )
