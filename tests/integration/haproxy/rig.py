"""A real HAProxy with tiny HTTP servers behind it, and a step's context without an engine."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tasks.haproxy.params import Balancer
from tests.needs import needs_program
from worker.plan import HostSpec
from worker.remote import Command, Result
from worker.ssh import Connections
from worker.step import Done, Wait

_NUMBERS = itertools.count(1)
PORT = 8080


def new_address() -> str:
    """A loopback address that no other test uses."""
    number, pid = next(_NUMBERS), os.getpid()
    return f"127.{64 + pid % 128}.{pid // 128 % 60 * 4 + number // 250 % 4}.{number % 250 + 1}"


def eventually(condition: Callable[[], bool], what: str, seconds: float = 10.0) -> None:
    """Wait for a condition, with a deadline."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.02)


class App:
    """A server that answers `200 ok`; `GET /slow` answers when `release` is set."""

    def __init__(self) -> None:
        self.address = new_address()
        self.release = threading.Event()
        self.requests = 0  # that came in; counted by one thread a connection: good enough for none
        self._listener: socket.socket | None = None
        self.start()

    def start(self) -> None:
        listener = socket.socket()
        self._listener = listener
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((self.address, PORT))
        listener.listen(128)
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def stop(self) -> None:
        """Refuse new connections; those that are there go on."""
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client = listener.accept()[0]
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            data = b""
            while part := client.recv(4096):
                data += part
                while b"\r\n\r\n" in data:
                    request, _, data = data.partition(b"\r\n\r\n")
                    self.requests += 1
                    if request.startswith(b"GET /slow"):
                        self.release.wait(60)
                    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


class Haproxy:
    """HAProxy as an ordinary process with a master's socket; reload by USR2."""

    def __init__(
        self,
        backends: str,
        *,
        level: str = "admin",
        sockets: int = 1,
        program: str | None = None,
        fragments: Mapping[str, str] | None = None,
    ) -> None:
        self.program = program or needs_program("haproxy")
        needs_program("socat")
        self.directory = Path(tempfile.mkdtemp(prefix="winch-hap-"))
        self.address = new_address()
        self.sockets = [str(self.directory / f"admin{n}.sock") for n in range(1, sockets + 1)]
        self.master_socket = str(self.directory / "master.sock")
        self.config = self.directory / "haproxy.cfg"
        self.clients: list[socket.socket] = []
        stats = "\n".join(f"  stats socket {path} mode 600 level {level}" for path in self.sockets)
        self.config.write_text(
            f"global\n{stats}\n  stats socket ipv4@{self.address}:9999 level admin\n"
            "defaults\n  mode http\n  timeout connect 1s\n  timeout client 60s\n"
            f"  timeout server 60s\n  default-server inter 50ms\n{backends}\n"
            f"frontend entry\n  bind {self.address}:{PORT}\n  default_backend web_servers\n"
        )
        more: list[str] = []
        if fragments is not None:
            self.fragments = self.directory / "conf.d"
            self.fragments.mkdir()
            for name, text in fragments.items():
                (self.fragments / name).write_text(text)
            more = ["-f", str(self.fragments)]
        log = (self.directory / "log").open("wb")
        self.process = subprocess.Popen(
            [self.program, "-W", "-S", self.master_socket, "-f", str(self.config), *more],
            stdout=log,
            stderr=log,
        )
        log.close()
        eventually(self._answers, f"HAProxy: {(self.directory / 'log').read_text()}")

    def _answers(self) -> bool:
        try:
            return bool(self.say("show info"))
        except OSError:
            return False

    def say(self, command: str, path: str | None = None) -> str:
        """What HAProxy answers, by a client of the test's own."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5)
            client.connect(path or self.sockets[0])
            client.sendall(command.encode() + b"\n")
            client.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: client.recv(65536), b"")).decode()

    def server(self, name: str, backend: str = "web_servers") -> dict[str, str]:
        """A server's row of `show stat`, and its admin state under `admin`."""
        lines = self.say("show stat").splitlines()
        header = lines[0].removeprefix("# ").split(",")
        rows = (dict(zip(header, line.split(","), strict=False)) for line in lines[1:] if line)
        row = next(r for r in rows if (r["pxname"], r["svname"]) == (backend, name))
        states = (line.split() for line in self.say("show servers state").splitlines()[2:] if line)
        state = next(s for s in states if (s[1], s[3]) == (backend, name))
        return row | {"admin": state[6], "uweight": state[7]}

    def status(self, name: str, backend: str = "web_servers") -> str:
        return self.server(name, backend)["status"]

    def wait_for(self, name: str, status: str, backend: str = "web_servers") -> None:
        eventually(lambda: self.status(name, backend) == status, f"{backend}/{name} is {status}")

    def worker(self) -> str:
        """The pid of the worker, "" while the master executes itself."""
        try:
            reply = self.say("show proc", self.master_socket)
        except OSError:
            return ""
        return reply.partition("# workers")[2].split()[0] if "# workers" in reply else ""

    def reload(self) -> None:
        before = self.worker()
        self.process.send_signal(signal.SIGUSR2)
        eventually(
            lambda: self.worker() not in {"", before} and self._answers(),
            "a new worker",
        )

    def get(self, path: str = "/") -> socket.socket:
        """Begin a request; the reply is read from the socket that is returned."""
        client = socket.create_connection((self.address, PORT), 5)
        self.clients.append(client)
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        return client

    def stop(self) -> None:
        for client in self.clients:
            client.close()
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(5)
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.with_name(f"{self.directory.name}.asked").unlink(missing_ok=True)

    def balancer(self, host: str, *, master: bool = False) -> Balancer:
        return Balancer(
            host=host, sockets=self.sockets, master_socket=self.master_socket if master else None
        )


class LocalHost:
    """This machine as a step's host, over a real local connection; what it did is kept."""

    def __init__(self, name: str, connections: Connections) -> None:
        self.name = name
        self.address = "127.0.0.1"
        self.acts: list[str] = []
        self._connection = connections.get(
            HostSpec(name=name, address=self.address, connection="local"), {}
        )

    def read(self, command: Command, *, timeout: float = 30.0, check: bool = True) -> Result:
        return self._connection.run(command, timeout=timeout)

    def act(
        self,
        command: Command,
        *,
        timeout: float = 60.0,
        check: bool = True,
        on_line: Callable[[str], None] | None = None,
    ) -> Result:
        self.acts.append(str(command))
        return self._connection.run(command, timeout=timeout, on_line=on_line)

    def put(self, source: bytes | Path, path: str, *, mode: int = 0o644) -> None:
        raise NotImplementedError


class LocalContext:
    """A step's context on this machine: a real clock, and a memory that survives JSON."""

    def __init__(
        self,
        *names: str,
        recalled: Mapping[str, Mapping[str, Any]] | None = None,
        connections: Connections | None = None,
    ) -> None:
        self.connections = connections or Connections()
        self.hosts = {name: LocalHost(name, self.connections) for name in names}
        self.host = next(iter(self.hosts.values()))
        self.memory: dict[str, Any] = {}
        self.recalled = dict(recalled or {})
        self.said: list[str] = []
        self._began = time.monotonic()

    def on(self, name: str) -> LocalHost:
        return self.hosts[name]

    def remember(self, **facts: Any) -> None:
        for key, value in json.loads(json.dumps(facts)).items():
            self.memory.setdefault(key, value)

    def recall(self, step: str) -> Mapping[str, Any]:
        return self.recalled.get(step, {})

    def progress(self, text: str) -> None:
        self.said.append(text)

    def elapsed(self) -> float:
        return time.monotonic() - self._began

    @property
    def acts(self) -> list[str]:
        return [act for host in self.hosts.values() for act in host.acts]

    def then(self) -> LocalContext:
        """The lane's next step, which may recall what this drain remembered."""
        return LocalContext(
            *self.hosts, recalled={"haproxy.drain": self.memory}, connections=self.connections
        )


def finish(run: Callable[[Any, Any], Done | Wait], context: LocalContext, params: Any) -> Done:
    """Run a step as the engine would: again after each wait."""
    end = time.monotonic() + 60
    while True:
        outcome = run(context, params)
        if isinstance(outcome, Done):
            return outcome
        assert time.monotonic() < end, outcome
        time.sleep(outcome.seconds)


class Load:
    """Keep-alive clients that never repeat a request: the hardest judges."""

    def __init__(self, address: str, clients: int = 4) -> None:
        self.address = address
        self.served = 0
        self.failed: list[str] = []
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(clients)]

    def _run(self) -> None:
        client = socket.create_connection((self.address, PORT), 5)
        with client:
            while not self._stop.is_set():
                try:
                    client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                    answer = client.recv(4096)
                except OSError as error:
                    answer = repr(error).encode()
                with self._lock:
                    if answer.startswith(b"HTTP/1.1 200") and answer.endswith(b"ok"):
                        self.served += 1
                    else:
                        self.failed.append(answer[:60].decode(errors="replace"))
                        return

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(10)


@contextlib.contextmanager
def stopping(*things: App | Haproxy) -> Iterator[None]:
    """Stop all of them, whatever happens."""
    try:
        yield
    finally:
        for thing in things:
            if isinstance(thing, App):
                thing.release.set()
            thing.stop()
