"""Where an nginx stands between two binaries: exactly one phase. Pure.

What decides (nginx, "Upgrading Executable on the Fly"; P is the pid file, O is P.oldbin):

    not running             no master
    steady                  one master, P names it, and it has workers
    USR2 under way          P is absent, O names the old master
    upgrading               P new, O old; the old one has workers that accept
    old workers leaving     P new, O old; the old one's workers only finish, or
    old master idle         … it has none; it still holds the listening sockets
    quit pending            P new, O old; the old one has closed them: no return
    rolled back …           P new, O old; the new one has closed them
    broken                  anything else, or workers without a master
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tasks.nginx.facts import Facts, Master, Process

TWO = 2


class Phase(StrEnum):
    """The phases, as `winch nginx status` prints them."""

    NOT_RUNNING = "not running"
    STEADY = "steady"
    USR2 = "USR2 under way"
    UPGRADING = "upgrading"
    LEAVING = "old workers leaving"
    IDLE = "old master idle"
    QUIT_PENDING = "quit pending"
    ROLLED_BACK = "rolled back, the new one leaving"
    BROKEN = "broken"


# The old master can take over again by HUP.
RETURN = frozenset({Phase.UPGRADING, Phase.LEAVING, Phase.IDLE})


@dataclass(frozen=True)
class Situation:
    """The phase, and who is who. With one master it is `new`, and there is no `old`.

    `core` is the phase apart from orphans, which can be dealt with beside everything else;
    `how` says what is broken.
    """

    phase: Phase
    core: Phase
    old: Master | None = None
    new: Master | None = None
    how: str = ""
    orphans: tuple[Process, ...] = ()

    @property
    def settled(self) -> bool:
        """Whether it is not between two phases: what is to be seen now stays so by itself."""
        return self.core not in {Phase.USR2, Phase.BROKEN}

    def __str__(self) -> str:
        return f"{self.phase} ({self.how})" if self.how else str(self.phase)


def situation(facts: Facts) -> Situation:
    """Tell the phase."""
    core = _core(facts)
    if not facts.orphans or core.phase in {Phase.BROKEN, Phase.USR2}:
        return core
    pids = ", ".join(str(orphan.pid) for orphan in facts.orphans)
    verb = (
        "still accept connections"
        if any(orphan.kind == "worker" for orphan in facts.orphans)
        else "still hold connections"
    )
    how = f"workers {pids} have no master and {verb}"
    return Situation(Phase.BROKEN, core.core, core.old, core.new, how, facts.orphans)


def _plain(phase: Phase, old: Master | None, new: Master | None) -> Situation:
    return Situation(phase, phase, old, new)


def _broken(how: str, old: Master | None = None, new: Master | None = None) -> Situation:
    return Situation(Phase.BROKEN, Phase.BROKEN, old, new, how)


def _core(facts: Facts) -> Situation:
    masters = facts.masters
    if not masters:
        return _plain(Phase.NOT_RUNNING, None, None)
    if len(masters) > TWO:
        pids = ", ".join(str(master.pid) for master in masters)
        return _broken(f"{len(masters)} masters: {pids}")
    return _one(facts, masters[0]) if len(masters) == 1 else _two(facts, *masters)


def _one(facts: Facts, master: Master) -> Situation:
    path = facts.instance.pid_file
    if facts.pid_file == master.pid:
        if not master.listening:
            return _broken(f"{master} listens nowhere: it was told to quit", new=master)
        if not master.workers:
            return _broken(f"{master} has no workers that accept", new=master)
        return _plain(Phase.STEADY, None, master)
    if facts.oldbin == master.pid:
        return _plain(Phase.USR2, master, None)
    named = "is absent" if facts.pid_file is None else f"names {facts.pid_file}"
    return _broken(f"{master} runs, but {path} {named}", new=master)


def _two(facts: Facts, old: Master, new: Master) -> Situation:
    path = facts.instance.pid_file
    if old.process.ppid == new.pid or facts.pid_file == old.pid == facts.oldbin:
        old, new = new, old
    if facts.oldbin == old.pid and facts.pid_file == new.pid:
        return _plain(_between(old, new), old, new)
    if facts.oldbin == old.pid and new.process.ppid == old.pid and facts.pid_file is None:
        return _plain(Phase.USR2, old, None)
    p, o = facts.pid_file or "nothing", facts.oldbin or "nothing"
    return _broken(f"masters {old.pid} and {new.pid}, but {path} names {p}, .oldbin {o}", old, new)


def _between(old: Master, new: Master) -> Phase:
    if not new.listening:
        return Phase.ROLLED_BACK
    if not old.listening:
        return Phase.QUIT_PENDING
    if old.workers:
        return Phase.UPGRADING
    return Phase.LEAVING if old.leaving else Phase.IDLE
