"""`haproxy.drain`: take servers out on all balancers without breaking a session."""

from __future__ import annotations

from dataclasses import dataclass

from tasks.haproxy.client import shutdown_sessions_server
from tasks.haproxy.decide import Stood, lacking, out_already
from tasks.haproxy.errors import RuntimeApiRefused
from tasks.haproxy.params import Drain
from tasks.haproxy.pool import Observation, Place, Pool
from tasks.haproxy.preflight import Out, say_out
from tasks.haproxy.restore import restore, set_states, state_commands
from tasks.journal import Journal
from tasks.patience import Patience
from worker.errors import Failed, Refused
from worker.step import Context, Done, Outcome, Wait, step

LOOK_AGAIN_SECONDS = 1.0
SHUTDOWN_SECONDS = 5.0


def preview_drain(context: Context, params: Drain) -> list[str]:
    """List the commands that the drain would give now."""
    pool = Pool(context, params.balancers, params.targets)
    seen = pool.observe()
    ready = [place for place in pool.places if seen.server(place).admin.forced == "ready"]
    commands = state_commands(seen, dict.fromkeys(ready, "drain"))
    commands += state_commands(seen, dict.fromkeys(pool.places, "maint"))
    return [f"{place.at}: {command}" for place, command in commands]


@step("haproxy.drain", preview=preview_drain)
def drain(context: Context, params: Drain) -> Outcome:
    """Take the targets out: drain, wait for their sessions to end, maint.

    Raises:
        Refused: the balancers would have too few servers left, or somebody else has taken a
            target out already. Nothing is changed then, or it was put back.
        Failed: sessions are left at the deadline; the servers are back as they stood.
    """
    # The first thing written: `haproxy.enable`, as the way back of a drain that was refused,
    # must know that there was one, or it would enable what an operator had taken out.
    journal = Journal(context)
    journal.elapsed()
    pool = Pool(context, params.balancers, params.targets)
    seen = pool.observe()
    states = {seen.server(place).admin.forced for place in pool.places}
    if journal.get("done"):
        if states == {"maint"}:
            return Done(f"{pool.names} is out already on {pool.hosts}", changed=False)
        if states == {"ready"}:  # it was enabled since: this is another drain
            journal.close()
            journal.elapsed()
    return _Drain(context, params, journal, pool).run(seen)


@dataclass
class _Drain:
    context: Context
    params: Drain
    journal: Journal
    pool: Pool

    def run(self, seen: Observation) -> Outcome:
        if self.journal.get("before") is None:
            seen = self._refuse(seen)
            self.journal.put(
                before={
                    place.key: Stood.of(seen.server(place)).dump() for place in self.pool.places
                }
            )
        if self.journal.get("drained") and not self._ready(seen):
            return self._finish(seen)
        try:
            seen = self._take_out(seen)
        except RuntimeApiRefused:
            self._undo()
            raise
        end = self._wait(seen)
        return end if isinstance(end, Wait) else self._finish(end)

    def _finish(self, seen: Observation) -> Done:
        self._maint(seen)
        self.journal.put(done=True)
        return Done(self._detail())

    def _ready(self, seen: Observation) -> list[Place]:
        return [p for p in self.pool.places if seen.server(p).admin.forced == "ready"]

    @property
    def stood(self) -> dict[Place, Stood]:
        before = self.journal.get("before")
        return {place: Stood.load(before[place.key]) for place in self.pool.places}

    def _refuse(self, seen: Observation) -> Observation:
        """See that the targets may go; return what was observed last."""
        self.pool.old_sessions()  # a master socket that does not work: now, not half-way
        patience = Patience()
        while True:
            self._refuse_if_out(seen)
            up = {place: seen.server(place).up for place in self.pool.places}
            lack = self._lack(seen, up, exactly_up=True)
            if not lack:
                return seen
            if patience.over:
                raise Refused(
                    f"cannot take out {self.pool.names}: {'; '.join(lack)}: bring others up "
                    "first, or lower policy.min_available"
                )
            patience.pause()  # a neighbour may be `UP 1/2` for a moment
            seen = self.pool.observe()

    def _refuse_if_out(self, seen: Observation) -> None:
        out = [
            Out(f"{place.backend}/{place.server}", str(place.at), state)
            for place in self.pool.places
            if (state := out_already(seen.server(place))) is not None
        ]
        if out and not self.params.include_maintenance:
            raise Refused("; ".join(say_out(out)))

    def _lack(self, seen: Observation, up: dict[Place, bool], *, exactly_up: bool) -> list[str]:
        """What the balancers would lack. A server that carries nothing takes nothing away."""
        lack: dict[tuple[str, str], str] = {}
        for place in self.pool.places:
            why = lacking(
                seen.backends[place.at, place.backend],
                [t.server for t in self.params.targets if t.backend == place.backend],
                self.params.min_available,
                count_backup=self.params.count_backup,
                exactly_up=exactly_up,
            )
            if up[place] and why is not None:
                lack[str(place.at), place.backend] = f"{place.at}: {why}"
        return list(lack.values())

    def _take_out(self, seen: Observation) -> Observation:
        """Set drain where it is not set; then see that no other drain was as quick as this."""
        ready = self._ready(seen)
        if self.journal.get("guarded"):
            self._say_lost(ready)
        guarded = bool(self.journal.get("guarded"))
        seen = set_states(self.pool, seen, dict.fromkeys(ready, "drain"), whole=not guarded)
        if not self.journal.get("guarded"):
            up = {place: stood.up for place, stood in self.stood.items()}
            lack = self._lack(seen, up, exactly_up=False)
            if lack:
                self._undo()
                raise Refused(
                    f"put {self.pool.names} back: another server left at the same moment: "
                    f"{'; '.join(lack)}: try again when it is back"
                )
            self.journal.put(guarded=True)
        # Not what was seen together with `drain`: a session may have been on its way just then.
        return self.pool.look() if ready else seen

    def _say_lost(self, places: list[Place]) -> None:
        for place in places:
            self.journal.put(**{f"lost {place.at.host}": True})
            self.context.progress(
                f"{place} was ready again (was HAProxy reloaded?): set to drain once more"
            )

    def _left(self, seen: Observation) -> dict[str, int]:
        """Count the sessions that are left, by balancer."""
        left = dict.fromkeys((at.host for at in self.pool.endpoints), 0)
        for place in self.pool.places:
            left[place.at.host] += seen.server(place).sessions
        for host, count in self.pool.old_sessions().items():
            left[host] += count
        return {host: count for host, count in left.items() if count > 0}

    def _wait(self, seen: Observation) -> Wait | Observation:
        """Wait for the sessions to end; return what was observed when they had."""
        patience = Patience()
        said = ""
        while True:
            left = self._left(seen)
            count = sum(left.values())
            if self.journal.get("sessions") is None:
                self.journal.put(sessions=count)
            if count == 0:
                self.journal.put(drained=True, seconds=round(self.journal.elapsed(), 1))
                return seen
            most = max(count, self.journal.get("sessions"))
            text = f"{count} of {most} sessions left on {', '.join(left)}"
            if text != said:
                self.context.progress(text)
                said = text
            if self.journal.elapsed() >= self.params.timeout:
                return self._deadline(seen, left)
            if patience.over:
                rest = self.params.timeout - self.journal.elapsed()
                return Wait("sessions", text, min(LOOK_AGAIN_SECONDS, max(0.1, rest)))
            patience.pause()
            seen = self._take_out(self.pool.look())

    def _deadline(self, seen: Observation, left: dict[str, int]) -> Observation:
        where = ", ".join(f"{count} on {host}" for host, count in left.items())
        if self.params.on_timeout == "fail":
            self._undo()
            raise Failed(
                f"{self.pool.names}: expected 0 sessions after {self.params.timeout:g} s, found "
                f"{where}; put back as it stood: raise drain.timeout, or set drain.on_timeout: "
                "shutdown_sessions"
            )
        seen = self._shutdown(seen)
        self.journal.put(
            drained=True, shut=sum(left.values()), seconds=round(self.journal.elapsed(), 1)
        )
        return seen

    def _shutdown(self, seen: Observation) -> Observation:
        """Cut what is left. First maint: drain still lets clients in that stick to the server."""
        seen = self._maint(seen)
        patience = Patience(SHUTDOWN_SECONDS)
        while True:
            busy = [p for p in self.pool.places if seen.server(p).sessions > 0]
            if not busy:
                return (
                    seen  # what old workers still have cannot be cut; `hard-stop-after` bounds it
                )
            if patience.over:
                self._undo()
                raise Failed(
                    f"{busy[0]}: expected 0 sessions after shutting them down, found "
                    f"{seen.server(busy[0]).sessions}; put back as it stood"
                )
            self.pool.tell(
                (place, shutdown_sessions_server(place.backend, place.server)) for place in busy
            )
            patience.pause()
            seen = self.pool.look()

    def _maint(self, seen: Observation) -> Observation:
        return set_states(self.pool, seen, dict.fromkeys(self.pool.places, "maint"))

    def _undo(self) -> None:
        restore(self.pool, self.stood)
        self.journal.close()

    def _detail(self) -> str:
        shut = self.journal.get("shut")
        what = f"{shut} sessions shut down" if shut else "0 sessions"
        lost = [h for h in self.pool.hosts.split(", ") if self.journal.get(f"lost {h}")]
        again = f"; drain set again on {', '.join(lost)}, it had been lost" if lost else ""
        return f"{what} after {self.journal.get('seconds'):g} s on {self.pool.hosts}{again}"
