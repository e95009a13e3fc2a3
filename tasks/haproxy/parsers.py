"""Replies of the Runtime API into facts. Columns are found by their header, never by position:
each release adds some."""

from __future__ import annotations

import csv

from tasks.haproxy.facts import Backend, Info, Server, ServerState, SrvAdminState, Stat, Worker
from worker.errors import Failed

SUPPORTED_STATE_VERSION = "1"


def parse_servers_state(reply: str) -> list[ServerState]:
    """Parse `show servers state`.

    Raises:
        Failed: it is not version 1 of that format, or cut short.
    """
    lines = reply.split("\n")
    if lines[0].strip() != SUPPORTED_STATE_VERSION:
        raise Failed(
            f"`show servers state`: expected version {SUPPORTED_STATE_VERSION}, got {lines[0]!r}"
        )
    header: list[str] = []
    states: list[ServerState] = []
    for line in lines[1:]:
        if line.startswith("#"):
            header = line.lstrip("# ").split()
        elif line:
            row = _row("show servers state", header, line.split(" "))
            states.append(_server_state(row))
    return states


def _server_state(row: dict[str, str]) -> ServerState:
    return ServerState(
        backend=row["be_name"],
        backend_id=int(row["be_id"]),
        server=row["srv_name"],
        server_id=int(row["srv_id"]),
        address=row["srv_addr"],
        port=int(row.get("srv_port", "0")),
        op_state=int(row["srv_op_state"]),
        admin=SrvAdminState(int(row["srv_admin_state"])),
        uweight=int(row["srv_uweight"]),
        iweight=int(row["srv_iweight"]),
    )


def parse_stat(reply: str) -> list[Stat]:
    """Parse the CSV of `show stat` (all proxies that it lists, which may be more than asked)."""
    lines = [line for line in reply.split("\n") if line]
    if not lines or not lines[0].startswith("# "):
        raise Failed(f"`show stat`: expected a header, got {lines[0] if lines else ''!r}")
    header = next(csv.reader([lines[0].removeprefix("# ")]))
    return [Stat(_row("show stat", header, row)) for row in csv.reader(lines[1:])]


def parse_servers_conn(reply: str) -> dict[tuple[str, str], int]:
    """Parse `show servers conn` into used connections by backend and server."""
    header: list[str] = []
    used: dict[tuple[str, str], int] = {}
    for line in reply.split("\n"):
        if line.startswith("#"):
            header = line.lstrip("# ").split()
        elif line:
            values = line.split(" ")
            # The last column's name says how many values it has (`idle_per_thr[2]`).
            row = dict(zip(header, values, strict=False))
            if "used_cur" not in row or "/" not in values[0]:
                raise Failed(f"`show servers conn`: cannot read {line!r}")
            backend, _, server = values[0].partition("/")
            used[backend, server] = int(row["used_cur"])
    return used


def parse_info(reply: str) -> Info:
    """Parse `show info`."""
    row = dict(line.split(": ", 1) for line in reply.split("\n") if ": " in line)
    try:
        return Info(row["Version"], int(row["Pid"]), int(row["Uptime_sec"]))
    except (KeyError, ValueError):
        raise Failed(f"`show info`: no Version, Pid, Uptime_sec in {reply[:80]!r}") from None


def parse_proc(reply: str) -> list[Worker]:
    """Parse `show proc` of the master's socket into its workers."""
    workers: list[Worker] = []
    section = ""
    for line in reply.split("\n"):
        if line.startswith("# "):
            section = line.removeprefix("# ").strip()
            continue
        words = line.split()
        if len(words) >= 5 and words[1] == "worker":  # noqa: PLR2004 (pid type reloads uptime version)
            workers.append(Worker(int(words[0]), words[4], section == "old workers"))
    return workers


def join(states: list[ServerState], stats: list[Stat]) -> dict[str, Backend]:
    """Put both views of the servers together; a server that has only one of them is left out."""
    rows = {(stat.text("pxname"), stat.text("svname")): stat for stat in stats}
    servers: dict[str, dict[str, Server]] = {}
    for state in states:
        stat = rows.get((state.backend, state.server))
        if stat is not None:
            servers.setdefault(state.backend, {})[state.server] = Server(state, stat)
    return {
        name: Backend(name, members, _algorithm(rows.get((name, "BACKEND"))))
        for name, members in servers.items()
    }


def _algorithm(stat: Stat | None) -> str:
    return "" if stat is None else stat.text("algo")


def _row(command: str, header: list[str], values: list[str]) -> dict[str, str]:
    if len(values) < len(header) - 1:  # each header line of the CSV ends with a comma
        raise Failed(
            f"`{command}`: expected {len(header)} columns, got {len(values)}: the reply was cut"
        )
    return dict(zip(header, values, strict=False))
