"""One SSH connection, opened when it is needed and again when it was lost."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING

from paramiko import Channel, ChannelException, SSHException, Transport

from worker.errors import Unreachable
from worker.plan import HostSpec
from worker.pool import NoMoreSessions
from worker.ssh_errors import translate
from worker.ssh_open import open_connection

if TYPE_CHECKING:
    import fabric

_PIECE = 1 << 16  # bytes


class SshLink:
    """The connection of one host, for all threads. A jump host's link carries others."""

    def __init__(self, spec: HostSpec, jump: SshLink | None, timeout: float) -> None:
        self._spec = spec
        self._jump = jump
        self._timeout = timeout
        self._lock = threading.Lock()
        self._attempts = 0
        self._failure: Unreachable | None = None
        self._connection: fabric.Connection | None = None
        self._carried: set[SshLink] = set()

    def transport(self) -> Transport:
        """Return the live transport; one thread opens it, the others wait for what comes of that.

        Raises:
            NotAllowed, Unreachable: it cannot be opened.
        """
        attempts = self._attempts
        with self._lock:
            transport = self._live()
            if transport is not None:
                return transport
            if self._attempts != attempts and self._failure is not None:
                raise type(self._failure)(self._failure.message) from self._failure
            self._attempts += 1
            self._failure = None
            self._drop()
            try:
                jump = None if self._jump is None else self._jump.transport
                self._connection = open_connection(self._spec, jump, self._timeout)
            except Unreachable as error:
                self._failure = error
                raise
            if self._jump is not None:
                self._jump._carried.add(self)
            live: Transport = self._connection.transport
            return live

    def open_stream(self, command: str) -> SshStream:
        """Start a command in a session of its own.

        A connection that turns out to be dead here is opened again, once: nothing was sent.

        Raises:
            NoMoreSessions: the host refuses a further session.
            NotAllowed, Unreachable: no connection.
        """
        for attempt in ("first", "last"):
            transport = self.transport()
            try:
                channel = transport.open_session(timeout=self._timeout)
            except ChannelException as error:
                raise NoMoreSessions(str(error)) from error
            except (SSHException, EOFError, OSError) as error:
                if transport.is_active() and "Unable to open channel" in str(error):
                    # Two threads were refused at once: Paramiko keeps the reason for only one.
                    raise NoMoreSessions(str(error)) from error
                if attempt == "last" or transport.is_active():
                    raise translate(self._spec, error) from error
                continue
            try:
                stream = SshStream(channel)
                channel.settimeout(self._timeout)
                channel.exec_command(command)
            except (SSHException, EOFError, OSError) as error:
                channel.close()
                raise translate(self._spec, error) from error
            return stream
        raise AssertionError("unreachable")  # pragma: no cover

    @property
    def connected(self) -> bool:
        """Whether the connection is open, as far as this side knows."""
        return self._live() is not None

    def carries(self) -> bool:
        """Whether connections to other hosts go through this one."""
        return any(link.connected for link in list(self._carried))

    def disconnect(self) -> None:
        """Close the connection; commands under way end with an error."""
        with self._lock:
            self._drop()

    def _live(self) -> Transport | None:
        connection = self._connection
        if connection is None or connection.transport is None:
            return None
        transport: Transport = connection.transport
        return transport if transport.is_active() else None

    def _drop(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(Exception):
                self._connection.client.close()
            self._connection = None
        if self._jump is not None:
            self._jump._carried.discard(self)


class _Bell(threading.Event):
    """Rung when a channel has output or has ended.

    Paramiko clears a buffer's event when that buffer is empty; but this one is of two buffers, so
    only its reader clears it, and looks at both afterwards.
    """

    def clear(self) -> None:
        """Do nothing."""

    def reset(self) -> None:
        """Clear it."""
        super().clear()


class SshStream:
    """A session's channel as a stream."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._bell = _Bell()
        channel.in_buffer.set_event(self._bell)
        channel.in_stderr_buffer.set_event(self._bell)

    def send(self, data: bytes, deadline: float) -> None:
        """Send all of it."""
        view = memoryview(data)
        while view:
            self._channel.settimeout(max(0.001, deadline - time.monotonic()))
            sent = self._channel.send(bytes(view[:_PIECE]))
            if sent == 0:
                raise EOFError("the channel is closed")
            view = view[sent:]

    def receive(self, deadline: float) -> tuple[bytes, bytes]:
        """Wait for output."""
        channel = self._channel
        while True:
            self._bell.reset()
            # Looked at before the buffers: what comes before the end is read before the end.
            ended = channel.eof_received or channel.closed
            out = channel.recv(_PIECE) if channel.recv_ready() else b""
            err = channel.recv_stderr(_PIECE) if channel.recv_stderr_ready() else b""
            if out or err:
                return out, err
            if ended:
                raise EOFError("end of file")
            remaining = deadline - time.monotonic()
            if remaining <= 0 or not self._bell.wait(remaining):
                return b"", b""

    def finish(self) -> None:
        """End the input."""
        self._channel.shutdown_write()

    def close(self) -> None:
        """Close the channel."""
        with contextlib.suppress(OSError, EOFError, SSHException):
            self._channel.close()
