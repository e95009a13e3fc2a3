"""What `winch nginx status` shows of one host. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from tasks.nginx.facts import Facts, Master
from tasks.nginx.observe import read_facts
from tasks.nginx.params import Instance
from tasks.nginx.phase import Phase, Situation, situation
from worker.remote import Host


@dataclass(frozen=True)
class MasterStatus:
    """One master. `connections` are those that its leaving workers hold; `age` in seconds."""

    role: Literal["master", "old", "new"]
    pid: int
    version: str
    listening: bool
    workers: int
    leaving: int
    connections: int
    age: float


@dataclass(frozen=True)
class Status:
    """One host's nginx. `held_for`: seconds since the other master began, when workers leave."""

    host: str
    phase: str
    how: str
    versions: list[str]  # running ones, the older master's first
    on_disk: str | None
    masters: list[MasterStatus]
    orphans: list[int]
    held_connections: int
    held_for: float | None
    main_pid: int | None
    notes: list[str]

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def read_status(host: Host, instance: Instance) -> Status:
    """Look at a host's nginx."""
    return status(host.name, read_facts(host, instance))


def status(host: str, facts: Facts) -> Status:
    """Word what was observed."""
    now = situation(facts)
    masters = [_master(facts, now, master) for master in facts.masters]
    leaving = [master for master in facts.masters if master.leaving]
    lost = [orphan for orphan in facts.orphans if orphan.kind == "leaving"]
    others = [master for master in facts.masters if not master.leaving]
    began = [facts.age(master.process) for master in others or facts.masters]
    held = sum(m.connections for m in leaving) + sum(orphan.connections for orphan in lost)
    versions = list(dict.fromkeys(master.version for master in facts.masters))
    return Status(
        host=host,
        phase=str(now.phase),
        how=now.how,
        versions=versions,
        on_disk=facts.disk.version if facts.disk is not None else None,
        masters=masters,
        orphans=[orphan.pid for orphan in facts.orphans],
        held_connections=held,
        held_for=round(min(began), 1) if (leaving or lost) and began else None,
        main_pid=facts.unit.main_pid if facts.unit is not None else None,
        notes=_notes(facts, now),
    )


def _master(facts: Facts, now: Situation, master: Master) -> MasterStatus:
    role: Literal["master", "old", "new"] = "master"
    if len(facts.masters) > 1:
        role = "old" if now.old is not None and now.old.pid == master.pid else "new"
    return MasterStatus(
        role=role,
        pid=master.pid,
        version=master.version,
        listening=master.listening,
        workers=len(master.workers),
        leaving=len(master.leaving),
        connections=master.connections,
        age=round(facts.age(master.process), 1),
    )


def _notes(facts: Facts, now: Situation) -> list[str]:
    notes = []
    unit, master = facts.unit, now.new
    if now.core is Phase.STEADY and master is not None:
        if facts.disk is not None and master.binary is not None and facts.disk != master.binary:
            notes.append(f"{facts.instance.binary} on the disk is {facts.disk.version}")
        if unit is not None and unit.main_pid != master.pid:
            notes.append(f"systemd follows {unit.main_pid or 'nothing'}: reload the unit once")
    stale = facts.oldbin is not None and facts.oldbin not in {m.pid for m in facts.masters}
    if stale:
        notes.append(f"stale {facts.instance.pid_file}.oldbin (harmless)")
    return notes
