"""`haproxy.enable`: bring servers back on all balancers, and believe it only when it lasts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tasks.haproxy.client import set_server_health_down
from tasks.haproxy.decide import Marks, Standing, Stood, standing, weight_steps
from tasks.haproxy.facts import State
from tasks.haproxy.goals import decide_goals, preview_enable
from tasks.haproxy.params import Enable
from tasks.haproxy.pool import Observation, Place, Pool
from tasks.haproxy.restore import restore, set_states, weigh
from tasks.journal import Journal, last_page
from tasks.patience import Patience
from worker.errors import Failed
from worker.step import Context, Done, Outcome, Wait, step

# One failed check is enough: leaving maint then reads UP, though no check was made.
FALL_AT_ONCE = 1
LOOK_AGAIN_SECONDS = 2.0
NOT_WORTH_A_WAIT_SECONDS = 1.0
MOST_WINDOWS = 10  # single failed checks begin the stable window anew, but not for ever


@step("haproxy.enable", preview=preview_enable)
def enable(context: Context, params: Enable) -> Outcome:
    """Bring the targets back as they stood before the lane's drain.

    Raises:
        Failed: HAProxy does not report one UP within `timeout`, or not for as long as `stable`;
            it was taken out again.
    """
    journal = Journal(context)
    pool = Pool(context, params.balancers, params.targets)
    seen = pool.look()
    drained = context.recall("haproxy.drain")
    goals = decide_goals(pool, seen, drained)
    if not goals:
        return Done(f"{pool.names}: the drain had changed nothing", changed=False)
    in_place = all(_in_place(seen, place, goal) for place, goal in goals.items())
    if in_place and (journal.get("done") or (not drained and journal.get("goals") is None)):
        return Done(f"{pool.names} is {_states(goals)} already on {pool.hosts}", changed=False)
    if journal.get("done"):
        journal.close()
    if journal.get("goals") is None:
        journal.put(
            goals={place.key: goal.dump() for place, goal in goals.items()},
            found={place.key: seen.server(place).admin.forced for place in pool.places},
        )
    journal.elapsed()
    stored = journal.get("goals")
    goals = {place: Stood.load(stored[place.key]) for place in pool.places}
    return _Enable(context, params, journal, pool, goals).run(seen)


def _in_place(seen: Observation, place: Place, goal: Stood) -> bool:
    server = seen.server(place)
    same = server.admin.forced == goal.state and server.weight == goal.weight
    return same and (goal.state != "ready" or server.up)


def _states(goals: Mapping[Place, Stood]) -> str:
    return " and ".join(sorted({goal.state for goal in goals.values()}))


@dataclass
class _Enable:
    context: Context
    params: Enable
    journal: Journal
    pool: Pool
    goals: dict[Place, Stood]

    def __post_init__(self) -> None:
        self.patience = Patience()
        self.said = ""

    @property
    def risen(self) -> list[Place]:
        """The places that shall serve; the others go back to drain or maint."""
        return [place for place, goal in self.goals.items() if goal.state == "ready"]

    def run(self, seen: Observation) -> Outcome:
        for stage in (self._prove, self._serve):
            then = stage(seen)
            if isinstance(then, Wait):
                return then
            seen = then
        weights = {place: goal.weight for place, goal in self.goals.items()}
        if any(seen.server(place).weight != weight for place, weight in weights.items()):
            weigh(self.pool, seen, weights)
            seen = self.pool.look()
        states: dict[Place, State] = {
            place: goal.state for place, goal in self.goals.items() if goal.state != "ready"
        }
        self._verify(set_states(self.pool, seen, states))
        self.journal.put(done=True)
        return Done(self._detail())

    # --- first: out of maint into drain, where checks run and no client comes

    def _prove(self, seen: Observation) -> Wait | Observation:
        """Wait until checks say that the servers work. Leaving maint makes HAProxy assume it."""
        if self.journal.get("ready"):
            return seen
        self._set_weights(seen, self.params.weights[0])
        maint = [p for p in self.risen if seen.server(p).admin.forced == "maint"]
        seen = set_states(self.pool, seen, dict.fromkeys(maint, "drain"))
        self._forget_health(seen)
        while True:
            seen = self.pool.look()
            not_yet = [place for place in self.risen if not seen.server(place).proven]
            if not not_yet:
                self.journal.put(ready=True)
                return seen
            text = "; ".join(f"{place} is {seen.server(place).status}" for place in not_yet)
            waiting = self._later(seen, not_yet, text)
            if waiting is not None:
                return waiting

    def _forget_health(self, seen: Observation) -> None:
        """Where a single check decides, HAProxy would assume a full UP: make it start from DOWN."""
        for place in self.risen:
            server = seen.server(place)
            was_maint = self.journal.get("found")[place.key] == "maint"
            at_once = server.stat.number("check_fall") == FALL_AT_ONCE
            if was_maint and at_once and not self.journal.get(f"health {place.key}"):
                self.pool.tell([(place, set_server_health_down(place.backend, place.server))])
                self.journal.put(**{f"health {place.key}": True})

    def _later(
        self, seen: Observation, places: list[Place], text: str, since: float = 0.0
    ) -> Wait | None:
        """Pause before the next look, for `timeout` seconds from `since` of this try."""
        self._say(text)
        if self.journal.elapsed() - since >= self.params.timeout:
            self._fail(seen, places, f"after {self.params.timeout:g} s (expected UP)")
        if self.patience.over:
            return Wait("soak", text, LOOK_AGAIN_SECONDS / 2)
        self.patience.pause()
        return None

    # --- then: traffic, a share of the weight at a time

    def _index(self) -> int:
        index = 0
        while self.journal.get(f"held {index}"):
            index += 1
        return index

    def _serve(self, seen: Observation) -> Wait | Observation:
        for index in range(self._index(), len(self.params.weights) if self.risen else 0):
            percent = self.params.weights[index]
            last = index == len(self.params.weights) - 1
            changed = self._set_weights(seen, percent)
            seen = set_states(self.pool, seen, dict.fromkeys(self.risen, "ready"))
            if changed or last or index == 0:
                held = self._hold(self.pool.look() if changed else seen, index, percent)
                if isinstance(held, Wait):
                    return held
                seen = held
            self.journal.put(**{f"held {index}": True})
        return seen

    def _set_weights(self, seen: Observation, percent: int) -> bool:
        """Give the servers that share; return whether that made a difference."""
        wanted = {
            place: weight_steps(self.goals[place].weight, [percent])[0] for place in self.risen
        }
        if all(seen.server(place).weight == weight for place, weight in wanted.items()):
            return False
        return weigh(self.pool, seen, wanted)

    def _hold(self, seen: Observation, index: int, percent: int) -> Wait | Observation:
        """Hold that share until the servers were UP for `stable` seconds without a gap."""
        while True:
            self._set_weights(seen, percent)  # a reload of HAProxy forgets it
            windows = self._windows(index)
            window = windows[-1] if windows else None
            if window is not None and window["since"] > self.journal.elapsed():
                window = None  # from before a retry, which starts the clock anew
            stands = self._stands(seen, window)
            fell = [place for place, how in stands.items() if how == "fell"]
            if fell:
                self._fail(seen, fell, f"within {self.params.stable:g} s of being UP")
            if window is not None and set(stands.values()) <= {"up"}:
                waiting, held = self._held(window, percent)
                if held:
                    return seen
            else:
                waiting = self._open(seen, index, len(windows))
                if self.params.stable == 0 and len(self._windows(index)) > len(windows):
                    return seen
            if waiting is not None:
                return waiting
            seen = self.pool.look()

    def _stands(self, seen: Observation, window: dict[str, Any] | None) -> dict[Place, Standing]:
        return {
            place: standing(
                seen.server(place), Marks(*window["marks"][place.key]) if window else None
            )
            for place in self.risen
        }

    def _held(self, window: dict[str, Any], percent: int) -> tuple[Wait | None, bool]:
        held = self.journal.elapsed() - window["since"]
        rest = self.params.stable - held
        if rest <= 0:
            return None, True
        text = f"UP for {held:.0f} of {self.params.stable:g} s on {self.pool.hosts}"
        self._say(f"{text}, at {percent} % of the weight")
        if self.patience.over and rest > NOT_WORTH_A_WAIT_SECONDS:
            return Wait("soak", text, min(LOOK_AGAIN_SECONDS, rest)), False
        self.patience.pause()
        return None, False

    def _windows(self, index: int) -> list[dict[str, Any]]:
        """All windows that were begun with that share; the last one counts."""
        windows: list[dict[str, Any]] = []
        while (window := self.journal.get(f"window {index} {len(windows)}")) is not None:
            windows.append(window)
        return windows

    def _open(self, seen: Observation, index: int, number: int) -> Wait | None:
        """Begin a window, now or when all of them are UP."""
        rising = [place for place in self.risen if not seen.server(place).up]
        if not rising and number >= MOST_WINDOWS:
            self._fail(seen, self.risen, f"and failed checks in {number} windows of `stable`")
        key = f"rising {index} {number}"
        if rising:
            if self.journal.get(key) is None:
                self.journal.put(**{key: self.journal.elapsed() if index or number else 0.0})
            text = "; ".join(f"{place} is {seen.server(place).status}" for place in rising)
            since = min(self.journal.get(key), self.journal.elapsed())
            return self._later(seen, rising, text, since)
        marks = {place.key: Marks.of(seen.server(place)) for place in self.risen}
        window = {
            "since": self.journal.elapsed(),
            "marks": {key: [mark.chkdown, mark.chkfail] for key, mark in marks.items()},
        }
        self.journal.put(**{f"window {index} {number}": window})
        return None

    # --- the ends

    def _say(self, text: str) -> None:
        if text != self.said:
            self.context.progress(text)
            self.said = text

    def _fail(self, seen: Observation, places: list[Place], when: str) -> None:
        found = self.journal.get("found")
        lane = bool(self.context.recall("haproxy.drain"))
        back: dict[Place, Stood] = {}
        for place, goal in self.goals.items():
            state: State = "maint" if lane else found[place.key]
            back[place] = Stood(state, goal.weight, False)
        restore(self.pool, back)
        self.journal.close()
        what = "; ".join(
            f"{place} is {seen.server(place).status} ({seen.server(place).check})"
            for place in places
        )
        again = "taken out again" if set(found.values()) != {"ready"} or lane else "left in place"
        raise Failed(f"{what} {when}; {again}: mend the server and its check, then retry")

    def _verify(self, seen: Observation) -> None:
        for place, goal in self.goals.items():
            server = seen.server(place)
            if server.admin.forced != goal.state:
                raise Failed(
                    f"{place}: expected state {goal.state}, observed {server.admin.forced}: "
                    "somebody else changed it meanwhile"
                )

    def _lost(self) -> str:
        """Say where the server was ready before this step, though the lane had taken it out."""
        if not last_page(self.context.recall("haproxy.drain"), "done"):
            return ""
        found = self.journal.get("found")
        hosts = dict.fromkeys(p.at.host for p in self.risen if found[p.key] == "ready")
        if not hosts:
            return ""
        return f"; it had been ready again on {', '.join(hosts)} before (was HAProxy reloaded?)"

    def _detail(self) -> str:
        seconds = f"after {self.journal.elapsed():.1f} s"
        kept = [place for place, goal in self.goals.items() if goal.state != "ready"]
        if not kept:
            return f"UP {seconds} on {self.pool.hosts}{self._lost()}"
        left = ", ".join(f"{place} left in {self.goals[place].state}" for place in kept)
        return f"{left}, as it stood before{self._lost()}"
