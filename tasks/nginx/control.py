"""Look at one nginx, wait for it, and the moves that several steps share."""

from __future__ import annotations

from collections.abc import Callable

from tasks.nginx import binary, errorlog, moves, signals
from tasks.nginx.binary import Kept
from tasks.nginx.errorlog import Mark
from tasks.nginx.facts import Facts, Master
from tasks.nginx.observe import Observer
from tasks.nginx.params import Instance
from tasks.nginx.phase import Phase, Situation, situation
from tasks.patience import Patience
from worker.errors import Failed
from worker.remote import Command, Host
from worker.step import Context

SETTLE_SECONDS = 4.0  # a new master tries for 5 times 500 ms to bind, then gives up
LEAVING_SECONDS = 1.0  # between two looks at connections that workers still hold


class NotStarted(Failed):
    """The new binary did not become a second master; the old master serves on."""


class Nginx:
    """One nginx as one step sees it."""

    def __init__(self, context: Context, instance: Instance, host: Host | None = None) -> None:
        """Name it; `host` is the lane's own unless another one is given."""
        self.context = context
        self.host = context.host if host is None else host
        self.instance = instance
        self._observer = Observer(self.host, instance)

    def look(self) -> tuple[Facts, Situation]:
        """Observe it now."""
        facts = self._observer.look()
        return facts, situation(facts)

    def settle(self, seconds: float = SETTLE_SECONDS) -> tuple[Facts, Situation]:
        """Observe it, if need be until it is not between two phases, for some seconds at most."""
        patience = Patience(seconds)
        while True:
            facts, now = self.look()
            if now.settled or patience.over:
                return facts, now
            patience.pause()

    def until(
        self, condition: Callable[[Situation], bool], seconds: float, expected: str
    ) -> tuple[Facts, Situation]:
        """Observe it until a condition holds.

        Raises:
            Failed: it does not within `seconds`; `expected` says what should have been.
        """
        patience = Patience(seconds)
        while True:
            facts, now = self.look()
            if condition(now):
                return facts, now
            if patience.over:
                raise Failed(
                    f"{self.host.name}: expected {expected} within {seconds:g} s, nginx is {now}: "
                    f"{self.look_hint}, then retry or roll back"
                )
            patience.pause()

    @property
    def look_hint(self) -> str:
        return f"look with `winch nginx status {self.instance.group}`"

    # --- a second master

    def start_second(self, target: Kept, old: Master, timeout: float) -> Situation:
        """Put a binary on the disk and let the old master execute it; both serve afterwards.

        Raises:
            NotStarted: it did not come up; why, in nginx's words. What is on the disk is not
                changed back here.
        """
        facts, _ = self.look()
        if not binary.same(facts.disk, target):
            binary.install(self.host, target, self.instance.binary)
        at = errorlog.mark(self.host, old.process.log)
        signals.upgrade_executable(self.host, old.process)
        return self.await_second(target, old.process.identity, timeout, at)

    def await_second(self, target: Kept, old: str, timeout: float, at: Mark | None) -> Situation:
        """Wait for the new master to serve, or for the old one to say that it will not."""
        patience, settling, begun = Patience(timeout), Patience(SETTLE_SECONDS), False
        self.context.progress(f"waiting for the new master of nginx {target.version}")
        while True:
            _, now = self.look()
            if moves.serves(now, target.sha256, old):
                return now
            begun = begun or now.core is Phase.USR2
            if now.core is Phase.STEADY and now.new is not None and now.new.process.identity == old:
                why = errorlog.reason(errorlog.lines_since(self.host, at))
                if why or begun or settling.over:
                    self._not_started(target, why or "it said nothing in its error log")
            if patience.over:
                self._give_up(now, target, timeout, at)
            patience.pause()

    def _give_up(self, now: Situation, target: Kept, timeout: float, at: Mark | None) -> None:
        """End a new binary that hangs before it serves."""
        hanging = now.old.starting if now.old is not None else ()
        if now.core is Phase.USR2 and now.old is not None:
            for process in hanging or [m.process for m in self._others(now.old)]:
                signals.kill_starting(self.host, process)
            self.until(
                lambda then: then.core is Phase.STEADY, SETTLE_SECONDS, "the old master alone"
            )
        elif now.core is Phase.UPGRADING and now.new is not None:
            signals.quit(self.host, now.new.process)  # its workers do not stay; the old ones serve
        said = errorlog.reason(errorlog.lines_since(self.host, at)) or f"nginx is {now}"
        self._not_started(target, f"not within {timeout:g} s: {said}")

    def _others(self, master: Master) -> list[Master]:
        facts, _ = self.look()
        return [other for other in facts.masters if other.pid != master.pid]

    def _not_started(self, target: Kept, why: str) -> None:
        raise NotStarted(f"{self.host.name}: nginx {target.version} did not start: {why}")

    # --- workers and masters that leave

    def dismiss(self, now: Situation) -> bool:
        """QUIT workers that accept and have no master any more; each by its pid."""
        accepting = [orphan for orphan in now.orphans if orphan.kind == "worker"]
        for orphan in accepting:
            signals.quit(self.host, orphan)
        if accepting:
            self.until(
                lambda then: not any(orphan.kind == "worker" for orphan in then.orphans),
                SETTLE_SECONDS,
                "no worker without a master that accepts",
            )
        return bool(accepting)

    def let_workers_go(self, old: Master, timeout: float) -> Situation:
        """WINCH, and wait until none of them accepts."""
        signals.shutdown_workers(self.host, old.process)
        _, now = self.until(
            lambda then: then.old is None or not then.old.workers,
            timeout,
            f"no accepting workers of {old}",
        )
        return now

    def quit_old(self, now: Situation, timeout: float) -> Situation:
        """QUIT to the old master, while the pid file names the new one; see that it closed."""
        if now.old is None or now.new is None:
            return now
        signals.quit_old(self.host, now.old.process, self.instance.pid_file, now.new.process)
        pid = now.old.pid
        _, then = self.until(
            lambda then: then.core is not now.core,
            timeout,
            f"master {pid} to close its listening sockets",
        )
        return then

    # --- systemd

    def follow(self, facts: Facts, now: Situation) -> bool:
        """See that systemd follows the one master; one reload mends it. Return whether it did.

        Raises:
            Failed: it follows another process, or is not active.
        """
        if self.instance.unit is None or now.new is None:
            return False
        if self._follows(facts, now):
            return False
        patience = Patience(SETTLE_SECONDS / 2)
        while not patience.over:
            patience.pause()
            facts, now = self.look()
            if self._follows(facts, now):
                return False
        self.host.act(
            Command.of("systemctl", "reload", self.instance.unit), timeout=60.0, check=False
        )
        patience = Patience(SETTLE_SECONDS)
        while True:
            facts, now = self.look()
            if self._follows(facts, now):
                return True
            if patience.over:
                unit = facts.unit
                seen = f"{unit.active}, MainPID {unit.main_pid}" if unit else "no such unit"
                raise Failed(
                    f"{self.host.name}: expected {self.instance.unit} active with MainPID "
                    f"{now.new.pid if now.new else '?'}, observed {seen}: look with `systemctl "
                    f"status {self.instance.unit}`; nginx itself serves"
                )
            patience.pause()

    def _follows(self, facts: Facts, now: Situation) -> bool:
        unit, master = facts.unit, now.new
        return (
            unit is not None
            and master is not None
            and unit.active == "active"
            and unit.main_pid == master.pid
        )
