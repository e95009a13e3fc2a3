"""The Runtime API of one HAProxy process, spoken from the balancer's own host.

Management guide, 9.3. Several commands go over one connection, joined by `; ` (by newline, 3.x
runs only the first); each reply ends with an empty line, and the success of a `set` is nothing but
that line. Errors are text too, and the exit code says nothing about them.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from tasks.haproxy.errors import (
    BadName,
    HaproxyDown,
    NoSocketClient,
    SocketForbidden,
    SocketMissing,
    refusal,
)
from tasks.haproxy.facts import State
from worker.errors import CommandFailed, Failed, StepError
from worker.guard import file_name
from worker.remote import Command, Host, Result

REPLY_TIMEOUT_SECONDS = 15.0
REREAD_PAUSES_SECONDS = (0.05, 0.2)
MOST_CHARACTERS = 8_000  # of one line of commands; HAProxy's buffer is 16 kB by default
_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,255}")
_KILLED_BY_TIMEOUT = 124
_RELOADED = "another run reloads this HAProxy"


@cache
def _script() -> str:
    return files("tasks.haproxy").joinpath("talk.sh").read_text()


@dataclass(frozen=True)
class Talk(Command):
    """Commands for a Runtime API socket; recorded as a person would type them."""

    def __str__(self) -> str:
        return f"echo '{(self.stdin or '').strip()}' | socat - {self.argv[5]}"


def talk(socket: str, commands: Sequence[str], *, lease: str | None = None) -> Talk:
    """Make the one remote command that sends `commands` over one connection.

    `lease`: the balancer's; whoever reloads it holds its lock on the host, and the commands wait
    until that is done.
    """
    words = ["sh", "-c", _script(), "sh", socket, socat_address(socket)]
    words += [file_name(lease)] if lease is not None else []
    return Talk(tuple(words), stdin="; ".join(commands) + "\n")


def talk_script() -> str:
    """The shell script that sends its standard input to a socket; see `talk.sh`."""
    return _script()


def socat_address(socket: str) -> str:
    """How socat calls a socket."""
    escaped = socket.replace(":", r"\:")
    return f"UNIX-CONNECT:{escaped}" if socket.startswith("/") else f"TCP:{socket}"


def name(word: str) -> str:
    """Let a proxy's or server's name pass into a command, or refuse it.

    Raises:
        BadName: it has a character that HAProxy does not allow in names.
    """
    if _NAME.fullmatch(word) is None:
        raise BadName(
            f"{word!r} is no name of a proxy or server: expected only letters, digits and _.:-"
        )
    return word


def set_server_state(backend: str, server: str, state: State) -> str:
    """Build the command that makes a server ready, drain or maint."""
    return f"set server {name(backend)}/{name(server)} state {state}"


def set_weight(backend: str, server: str, weight: int) -> str:
    """Build the command that sets an absolute weight, 0 to 256."""
    return f"set weight {name(backend)}/{name(server)} {int(weight)}"


def set_server_health_down(backend: str, server: str) -> str:
    """Build the command after which only passed checks make the server UP again."""
    return f"set server {name(backend)}/{name(server)} health down"


def shutdown_sessions_server(backend: str, server: str) -> str:
    """Build the command that cuts all sessions of a server."""
    return f"shutdown sessions server {name(backend)}/{name(server)}"


def split_replies(text: str) -> list[str]:
    """Split what came over one connection at the empty line that ends each reply."""
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    replies: list[str] = []
    reply: list[str] = []
    for line in lines:
        if line:
            reply.append(line)
        else:
            replies.append("\n".join(reply))
            reply = []
    if reply:
        replies.append("\n".join(reply))  # the master's own errors end without an empty line
    return replies


class Runtime:
    """One socket on one balancer.

    Commands that change something share the lock of the balancer's lease: none comes between the
    moment when a reload reads the states and the one when the new worker has them. `exclusive`: for
    a run that holds that lease, and with it the lock, itself.
    """

    def __init__(self, host: Host, socket: str, *, exclusive: bool = False) -> None:
        self.host = host
        self.socket = socket
        self._lease = None if exclusive else f"balancer:{host.name}"

    @property
    def where(self) -> str:
        """How messages call it."""
        return f"{self.host.name} ({self.socket})"

    def read_text(self, *commands: str) -> str:
        """Send commands that change nothing in one connection; return all that came back.

        While HAProxy reloads, connections may be cut: asking again harms nobody.
        """
        for pause in REREAD_PAUSES_SECONDS:
            try:
                return self._send(commands, acting=False)
            except HaproxyDown as error:
                if error.slow:
                    raise
                time.sleep(pause)
        return self._send(commands, acting=False)

    def ask(self, *commands: str) -> list[str]:
        """Send commands that change nothing; return one reply for each.

        Raises:
            HaproxyDown: the connection broke before the last reply.
        """
        replies: list[str] = []
        for chunk in _chunks(commands):
            part = split_replies(self.read_text(*chunk))
            if len(part) != len(chunk):
                raise HaproxyDown(
                    f"{self.where}: expected {len(chunk)} replies to `{'; '.join(chunk)}`, "
                    f"got {len(part)}: HAProxy ended the connection; look at its log"
                )
            replies += part
        return replies

    def tell(self, *commands: str, then: Sequence[str] = ()) -> list[str]:
        """Send commands that change something, under the guard; all are sent, none is repeated.

        `then` are questions, asked in the same connection where they fit in: one reply for each is
        returned.

        Raises:
            RuntimeApiRefused: HAProxy refused one (the first refusal; the others were done).
        """
        chunks = _chunks(commands)
        with_last = len(_chunks([*chunks[-1], *then])) == 1
        for number, chunk in enumerate(chunks, 1):
            asked = list(then) if with_last and number == len(chunks) else []
            replies = split_replies(self._send([*chunk, *asked], acting=True))
            for command, reply in zip(chunk, replies, strict=False):
                if reply:
                    raise refusal(self.where, command, reply)
            if len(replies) < len(chunk):
                raise HaproxyDown(
                    f"{self.where}: `{chunk[len(replies)]}` got no reply: look at HAProxy's log"
                )
            if asked and len(replies) == len(chunk) + len(asked):
                return replies[len(chunk) :]
        return self.ask(*then) if then else []

    def _send(self, commands: Sequence[str], *, acting: bool) -> str:
        command = talk(self.socket, commands, lease=self._lease if acting else None)
        call = self.host.act if acting else self.host.read
        try:
            result = call(command, timeout=REPLY_TIMEOUT_SECONDS, check=False)
        except CommandFailed as error:
            if error.code != _KILLED_BY_TIMEOUT:
                raise
            result = Result(error.code, error.stdout, error.stderr, REPLY_TIMEOUT_SECONDS)
        if result.ok and result.stdout:
            return result.stdout
        raise self._no_answer(result)

    def _no_answer(self, result: Result) -> StepError:
        said = result.stderr.strip().rpartition("\n")[2]
        if "No such file or directory" in said:
            return SocketMissing(
                f"{self.where}: no such socket: is HAProxy running there, and is this the path "
                "of a `stats socket` in its configuration?"
            )
        if "Permission denied" in said:
            return SocketForbidden(
                f"{self.where}: may not open the socket: give the SSH user its group, or set "
                "`ssh.become: sudo` for this host"
            )
        if said.startswith(_RELOADED):
            return HaproxyDown(f"{self.where}: {said}; nothing was sent", slow=True)
        if "no socat, nc, python3 or perl" in said:
            return NoSocketClient(f"{self.where}: {said} on the balancer: install socat there")
        if result.exit_code == _KILLED_BY_TIMEOUT or result.ok or _is_dead(said):
            return HaproxyDown(
                f"{self.where}: expected an answer, got {said or 'none'}: is HAProxy running?",
                slow=result.exit_code == _KILLED_BY_TIMEOUT or "timed out" in said,
            )
        return Failed(
            f"{self.where}: talking to HAProxy exited with {result.exit_code}: "
            f"{said or 'no output'}"
        )


def _is_dead(said: str) -> bool:
    return any(
        text in said
        for text in ("refused", "timed out", "reset by peer", "Broken pipe", "No route to host")
    )


def _chunks(commands: Sequence[str]) -> list[list[str]]:
    chunks: list[list[str]] = []
    room = 0
    for command in commands:
        if len(command) + 2 > room:
            chunks.append([])
            room = MOST_CHARACTERS
        chunks[-1].append(command)
        room -= len(command) + 2
    return chunks
