"""An HAProxy with backends, health checks, an admin socket and a master socket."""

from __future__ import annotations

import csv
import io
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.lab.host import LabHost
from tests.lab.waiting import wait_for

ADMIN_SOCKET = "/run/haproxy/admin.sock"
MASTER_SOCKET = "/run/haproxy-master.sock"  # by Debian's unit
CONFIG = "/etc/haproxy/haproxy.cfg"


@dataclass(frozen=True)
class Server:
    """One server line. `options` is appended as it is (`disabled`, `slowstart 5s`)."""

    name: str
    address: str
    port: int = 80
    weight: int = 100
    backup: bool = False
    cookie: str | None = None
    options: str = ""

    def line(self, checked: bool) -> str:
        """The line, without its indentation."""
        words = ["server", self.name, f"{self.address}:{self.port}", "weight", str(self.weight)]
        words += ["check"] if checked else []
        words += ["backup"] if self.backup else []
        words += ["cookie", self.cookie] if self.cookie is not None else []
        return " ".join([*words, self.options]).strip()


@dataclass(frozen=True)
class Backend:
    """One backend. `check` is the path of its health check; None: servers are not checked.

    `listen`: a port of a frontend of its own. `lines` are added as they are
    (`cookie SRV insert indirect`, `retry-on conn-failure`).
    """

    name: str
    servers: Sequence[Server]
    balance: str = "roundrobin"
    check: str | None = "/health"
    inter: str = "100ms"
    rise: int = 2
    fall: int = 3
    listen: int | None = 80
    lines: Sequence[str] = field(default=())


def servers_of(hosts: Sequence[LabHost], weight: int = 100) -> list[Server]:
    """A server for each host, with the host's name."""
    return [Server(host.name, host.address, weight=weight) for host in hosts]


def configuration(
    backends: Sequence[Backend],
    *,
    sockets: Sequence[str] = (ADMIN_SOCKET,),
    level: str = "admin",
    global_lines: Sequence[str] = (),
    defaults_lines: Sequence[str] = (),
) -> str:
    """The text of a haproxy.cfg."""
    parts = ["global", "log /dev/log local0", "user haproxy", "group haproxy"]
    parts += [f"stats socket {path} mode 660 level {level}" for path in sockets]
    parts += [*global_lines, "defaults", "mode http", "timeout connect 2s"]
    parts += ["timeout client 60s", "timeout server 60s", "timeout queue 5s", *defaults_lines]
    for backend in backends:
        if backend.listen is not None:
            parts += [f"frontend {backend.name}_in", f"bind :{backend.listen}"]
            parts += [f"default_backend {backend.name}"]
        parts += [f"backend {backend.name}", f"balance {backend.balance}", *backend.lines]
        if backend.check is not None:
            parts += [f"option httpchk GET {backend.check}"]
            timing = f"inter {backend.inter} rise {backend.rise} fall {backend.fall}"
            parts += [f"default-server {timing}"]
        parts += [server.line(backend.check is not None) for server in backend.servers]
    sections = ("global", "defaults", "frontend ", "backend ")
    return "".join(f"{'' if part.startswith(sections) else '    '}{part}\n" for part in parts)


def install_haproxy(
    host: LabHost, backends: Sequence[Backend], *, config: str | None = None
) -> None:
    """Run HAProxy with these backends (or with `config`), and wait until all servers are UP."""
    host.write_file(CONFIG, configuration(backends) if config is None else config)
    host.sh(f"haproxy -c -q -f {CONFIG} && systemctl enable --quiet haproxy")
    host.sh("systemctl restart haproxy")
    wait_for(lambda: _settled(stat(host)), f"all servers UP on {host.name}", timeout=20.0)


def _settled(rows: list[dict[str, str]]) -> bool:
    """Whether every server is UP by a check that was made, or is meant to be out."""
    servers = [row for row in rows if row["svname"] not in _SUMS]
    up = [row for row in servers if row["status"] == "UP" and row["check_status"] != "INI"]
    out = [row for row in servers if row["status"].startswith(("MAINT", "no check"))]
    return bool(rows) and len(up) + len(out) == len(servers)


_SUMS = {"FRONTEND", "BACKEND"}


def runtime(host: LabHost, command: str, socket: str = ADMIN_SOCKET) -> str:
    """Say something to HAProxy past Winch (`show stat`, `set weight web/web1 50`)."""
    return host.sh(f"echo {shlex.quote(command)} | socat -t 5 - UNIX-CONNECT:{socket}")


def stat(host: LabHost) -> list[dict[str, str]]:
    """`show stat`, a dictionary a row; [] while HAProxy does not answer."""
    text = host.sh(f"echo show stat | socat -t 5 - UNIX-CONNECT:{ADMIN_SOCKET}", check=False)
    return list(csv.DictReader(io.StringIO(text.removeprefix("# "))))


@dataclass(frozen=True)
class ServerState:
    """What a balancer holds of one server: compared before and after a job."""

    status: str
    admin: int
    weight: int
    sessions: int

    @property
    def settings(self) -> tuple[int, int]:
        """What a person sets: admin state and weight."""
        return self.admin, self.weight


def servers_state(host: LabHost) -> dict[str, ServerState]:
    """The state of every server, by `backend/server`."""
    rows = {f"{row['pxname']}/{row['svname']}": row for row in stat(host)}
    # The first line is the format's version, the second the header.
    lines = runtime(host, "show servers state").splitlines()[1:]
    header = lines[0].removeprefix("# ").split()
    found = {}
    for line in lines[1:]:
        state = dict(zip(header, line.split(), strict=False))
        if not state:
            continue
        name = f"{state['be_name']}/{state['srv_name']}"
        found[name] = ServerState(
            status=rows[name]["status"],
            admin=int(state["srv_admin_state"]),
            weight=int(state["srv_uweight"]),
            sessions=int(rows[name]["scur"]),
        )
    return found
