"""Read the facts of one nginx: one round trip with `facts.sh`, and a pure parser of it."""

from __future__ import annotations

import ipaddress
import re
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path

from tasks.nginx.facts import DELETED, Binary, Facts, Kind, Master, Process, Unit
from tasks.nginx.params import Instance
from worker.errors import Failed
from worker.remote import Command, Host

_SCRIPT = (Path(__file__).parent / "facts.sh").read_text(encoding="utf-8")
_TRIES = 5  # to read everything within one moment
_TITLES: tuple[tuple[str, Kind], ...] = (
    ("nginx: master process", "master"),
    ("nginx: worker process is shutting down", "leaving"),
    ("nginx: worker process", "worker"),
    ("nginx: cache", "helper"),
)


def facts_command(instance: Instance, known: Iterable[str] = ()) -> Command:
    """The one command that reads everything."""
    return Command.shell(
        _SCRIPT, instance.binary, instance.pid_file, instance.unit or "", " ".join(known)
    )


def read_facts(host: Host, instance: Instance, known: Mapping[str, Binary] | None = None) -> Facts:
    """Observe one nginx. `known` executables (of earlier facts) are not read again."""
    known = known or {}
    command = facts_command(instance, known)
    for _ in range(_TRIES):
        result = host.read(command, timeout=60.0, check=False)
        lines = result.stdout.splitlines()
        if not lines or lines[-1] != "end":
            raise Failed(
                f"{host.name}: cannot read the state of nginx: exit code {result.exit_code}, "
                f"{shlex.quote(result.stderr.strip()[-200:])}"
            )
        before, after = (
            next(line.split("\t")[1:] for line in lines if line.startswith(word))
            for word in ("before\t", "after\t")
        )
        if before == after:
            break
    facts = parse(result.stdout, instance, known)
    if not facts.masters and any(line.startswith("hidden\t") for line in lines):
        raise Failed(
            f"{host.name}: nginx runs, but its processes may not be looked into: set "
            "`ssh: {become: sudo}`, or connect as root"
        )
    return facts


class Observer:
    """Looks at one nginx again and again, and reads each executable once."""

    def __init__(self, host: Host, instance: Instance) -> None:
        self.host = host
        self.instance = instance
        self._known: dict[str, Binary] = {}

    def look(self) -> Facts:
        facts = read_facts(self.host, self.instance, self._known)
        self._known.update(facts.binaries)
        return facts


def parse(text: str, instance: Instance, known: Mapping[str, Binary] | None = None) -> Facts:
    """Make facts of the script's output."""
    rows = [line.split("\t") for line in text.splitlines()]

    def of(name: str, width: int) -> list[list[str]]:
        return [row[1:] for row in rows if row[0] == name and len(row) > width]

    binaries = dict(known or {})
    for id_, sha256, said in of("binary", 3):
        binaries[id_] = Binary(sha256, said.rpartition("/")[2])
    addresses: dict[str, str] = {}
    holds: dict[int, set[str]] = {}
    for pid, inode, family, where in of("listen", 4):
        addresses[inode] = f"{family.rstrip('6')} {address_of(family, where)}"
        holds.setdefault(int(pid), set()).add(inode)
    connections = {int(pid): int(count) for pid, count in of("connections", 2)}
    processes = {}
    for pid, ppid, start, id_, exe, cwd, log, *title in of("process", 8):
        processes[int(pid)] = Process(
            pid=int(pid),
            ppid=int(ppid),
            start=int(start),
            kind=_kind("\t".join(title)),
            title="\t".join(title).strip(),
            exe_id=id_,
            exe=exe,
            cwd=cwd,
            log=log,
            listens=frozenset(holds.get(int(pid), ())),
            connections=connections.get(int(pid), 0),
        )
    (uptime, ticks), (pid_file, oldbin) = of("clock", 2)[0], of("after", 2)[0]
    unit = _unit([row[0].partition("=")[::2] for row in of("unit", 1)])
    named = [_pid(pid_file), _pid(oldbin)]
    main = unit.main_pid if unit is not None else 0
    ours = _ours(processes, [pid for pid in named if pid is not None], main, instance.binary)
    disk = of("disk", 1)
    return Facts(
        instance=instance,
        uptime=float(uptime),
        ticks=int(ticks),
        pid_file=named[0],
        oldbin=named[1],
        masters=tuple(
            Master(
                processes[pid],
                tuple(p for p in processes.values() if p.ppid == pid and p.kind != "master"),
                binaries.get(processes[pid].exe_id),
            )
            for pid in ours
        ),
        orphans=_orphans(processes, ours),
        disk=binaries.get(disk[0][0]) if disk else None,
        unit=unit,
        addresses=addresses,
        binaries=binaries,
    )


def _kind(title: str) -> Kind:
    return next((kind for start, kind in _TITLES if title.startswith(start)), "starting")


def _pid(text: str) -> int | None:
    return int(text) if re.fullmatch(r"\s*[1-9][0-9]{0,9}\s*", text) else None


def _unit(pairs: list[tuple[str, str]]) -> Unit | None:
    if not pairs:
        return None
    values = dict(pairs)
    return Unit(
        main_pid=int(values.get("MainPID") or 0),
        active=values.get("ActiveState", ""),
        sub=values.get("SubState", ""),
        result=values.get("Result", ""),
        pid_file=values.get("PIDFile", ""),
        can_reload=values.get("CanReload") == "yes",
        loaded=values.get("LoadState") == "loaded",
        exec_reload=tuple(value for name, value in pairs if name == "ExecReload"),
    )


def _ours(processes: Mapping[int, Process], named: list[int], main: int, binary: str) -> list[int]:
    """The masters of this instance, oldest first: those the pid files name, and their kin."""
    masters = {pid: p for pid, p in processes.items() if p.kind == "master"}
    roots = [pid for pid in named if pid in masters] or [pid for pid in (main,) if pid in masters]
    if not roots:
        roots = [
            pid for pid, process in masters.items() if process.exe.removesuffix(DELETED) == binary
        ]
    ours = set(roots)
    for pid, process in masters.items():
        if process.ppid in roots:
            ours.add(pid)
        if pid in roots and process.ppid in masters:
            ours.add(process.ppid)
    return sorted(ours, key=lambda pid: (masters[pid].start, pid))


def _orphans(processes: Mapping[int, Process], ours: list[int]) -> tuple[Process, ...]:
    """Workers whose master is gone. They share a listening socket with a master of ours."""
    sockets = {inode for pid in ours for inode in processes[pid].listens}
    lost = [
        process
        for process in processes.values()
        if process.kind in {"worker", "leaving"} and process.ppid not in processes
    ]
    if ours:
        # A leaving worker has closed its sockets; it counts when it runs what we know.
        known = {processes[pid].exe_id for pid in ours}
        return tuple(
            process
            for process in lost
            if process.listens & sockets or (process.kind == "leaving" and process.exe_id in known)
        )
    return tuple(lost)


def address_of(family: str, where: str) -> str:
    """Turn /proc/net's little-endian hexadecimal into ADDRESS:PORT; unix stays a path."""
    if family == "unix":
        return where
    host, _, port = where.rpartition(":")
    raw = bytes.fromhex(host)
    words = [raw[at : at + 4][::-1] for at in range(0, len(raw), 4)]
    data = b"".join(words)
    if family.endswith("6"):
        return f"[{ipaddress.IPv6Address(data)}]:{int(port, 16)}"
    return f"{'.'.join(str(byte) for byte in data)}:{int(port, 16)}"
