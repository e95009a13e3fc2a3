"""Leases under everything that can happen to two engines: never two holders that act.

Hypothesis writes the story: who is asked for what, which command gets through when, who is paused,
how the clock moves, what Redis loses, what people break, retry, skip and abort. The engines, the
guard and its files are the real ones (`puppets.py`); only time is made.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlmodel import col, select

from tests.integration.engine.puppets import HOSTS, Acted, HostRoom, Puppet, Side, Theatre
from tests.kit.stack import Redis, until
from worker import control
from worker.errors import ServiceError, WinchError
from worker.models import ACTIVE, IN_FLIGHT, Lane, Lease, Run
from worker.store import Store

EITHER = st.integers(0, 1)
ANY = st.integers(0, 15)
MEMBERS = st.sampled_from((["lb1", "lb2"], ["lb2", "lb1"], ["lb1"], ["lb2"]))
POLICIES = st.sampled_from(("stop", "rollback"))
WORK = st.lists(ANY, min_size=1, max_size=12)  # what a worker does, one thing after the other
_RUNS = 4  # in one story
_COMMAND = 0.03  # seconds that a command lasts when two are let through at once


class Place:
    """What the stories share: Redis, an empty database to copy, and the hosts."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.redis = Redis(directory)
        self.redis.start()
        self.template = directory / "empty.db"
        store = Store(f"sqlite:///{self.template}")
        store.migrate()
        store.close()
        self.room = HostRoom(directory)

    def theatre(self) -> Theatre:
        return Theatre(self.template, self.directory, self.redis.url, self.room)

    def close(self) -> None:
        self.room.close()
        self.redis.stop()


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    # In memory: nothing here is about a disk, and SQLite waits for it at each commit.
    memory = Path("/dev/shm")
    directory = Path(tempfile.mkdtemp(prefix="winch-", dir=memory if memory.is_dir() else None))
    made = Place(directory)
    try:
        yield made
    finally:
        made.close()
        shutil.rmtree(directory)


class Story(RuleBasedStateMachine):
    """One theatre; each rule is something that happens."""

    place: Place

    @initialize(first=MEMBERS, second=MEMBERS, on_failure=POLICIES)
    def open(self, first: list[str], second: list[str], on_failure: str) -> None:
        self.theatre = self.place.theatre()
        self.highest: dict[str, int] = {}
        self.broken: set[tuple[int | None, str]] = set()  # lane, lease
        self.ask(0, first, on_failure)
        self.ask(1, second, on_failure)

    def teardown(self) -> None:
        if hasattr(self, "theatre"):
            try:
                self.come_to_an_end()
            finally:
                self.theatre.close()

    # --- what is asked for ------------------------------------------------------------------------
    @precondition(lambda self: len(self.runs()) < _RUNS)
    @rule(by=EITHER, hosts=MEMBERS, on_failure=POLICIES)
    def ask(self, by: int, hosts: list[str], on_failure: str) -> None:
        engine = self.side(by).engine
        plan = self.theatre.plan(hosts, on_failure=on_failure)
        run = engine.create_run(plan, requested_by="test")
        self.may_fail(lambda: engine.advance(run))

    @rule(by=EITHER, which=ANY, what=st.sampled_from((control.retry, control.rollback)))
    def steer(self, by: int, which: int, what: Callable[..., Any]) -> None:
        run, engine = self.runs()[which % len(self.runs())], self.side(by).engine
        self.may_fail(
            lambda: what(engine, run, *([[]] if what is control.retry else []), actor="test")
        )

    @rule(by=EITHER, which=ANY)
    def abort(self, by: int, which: int) -> None:
        run = self.runs()[which % len(self.runs())]
        self.may_fail(lambda: control.abort(self.side(by).engine, run, "test"))

    @precondition(lambda self: self.held())
    @rule(by=EITHER, which=ANY)
    def break_lease(self, by: int, which: int) -> None:
        row = self.held()[which % len(self.held())]
        control.break_lease(self.side(by).engine, row.name, "the test says so", "test")
        self.broken.add((row.lane_id, row.name))
        raised = {after.name: after.number for after in self.leases()}[row.name]
        assert raised > row.number, "who had it is not refused by the hosts"

    # --- what engines do --------------------------------------------------------------------------
    @rule(by=EITHER, what=WORK)
    def a_worker_goes_on(self, by: int, what: list[int]) -> None:
        for choice in what:
            self.go_on(by, choice)

    @rule(what=WORK, other=WORK)
    def both_workers_go_on(self, what: list[int], other: list[int]) -> None:
        for one, two in zip_longest(what, other):
            if one is not None:
                self.go_on(0, one)
            if two is not None:
                self.go_on(1, two)

    @precondition(lambda self: len(self.awake()) > 1)
    @rule(host=st.sampled_from(HOSTS))
    def all_get_their_next_command_through_at_once(self, host: str) -> None:
        for one in self.awake():
            if one.where == "order":
                one.let(("act", host, _COMMAND))
        going = [one for one in self.awake() if one.where == "command"]
        for one in going:
            one.release("go")
        for one in going:
            one.settle()

    @precondition(lambda self: self.awake())
    @rule(which=ANY, end=st.sampled_from(("done", "wait", "fail", "refuse", "unreachable")))
    def a_step_ends(self, which: int, end: str) -> None:
        one = self.awake()[which % len(self.awake())]
        if one.where == "order":
            one.let(end)

    # --- what goes wrong --------------------------------------------------------------------------
    @precondition(lambda self: not any(side.paused for side in self.theatre.sides))
    @rule(by=EITHER, other=WORK, told=st.booleans())
    def a_worker_is_paused_and_the_other_takes_over(
        self, by: int, other: list[int], told: bool
    ) -> None:
        self.side(by).paused = True
        self.theatre.advance_clock(11.0)
        for choice in other:
            self.go_on(1 - by, choice)
        if told:  # before it goes on where it was, its heart beats
            self.side(by).node.beat()

    @precondition(lambda self: self.awake())
    @rule(which=ANY, host=st.sampled_from(HOSTS))
    def a_worker_is_taken_over_while_its_command_runs(self, which: int, host: str) -> None:
        one = self.awake()[which % len(self.awake())]
        if one.where == "order":
            one.let(("act", host, 5 * _COMMAND))
        if one.where == "command" and not self.side(1 - one.engine).paused:
            seen = len(self.theatre.room.acted())
            one.release("go")
            until(lambda: one.where is None or one.still or len(self.theatre.room.acted()) > seen)
            self.theatre.advance_clock(11.0)
            there = 2 + HOSTS.index(host)  # is what `go_on` acts on
            for choice in (0, *[there] * 6):
                self.go_on(1 - one.engine, choice)
            one.settle()

    @precondition(lambda self: any(side.paused for side in self.theatre.sides))
    @rule(what=WORK)
    def a_paused_worker_wakes_and_goes_on_where_it_was(self, what: list[int]) -> None:
        for by, side in enumerate(self.theatre.sides):
            if side.paused:
                side.paused = False
                for one in self.awake():
                    if one.engine == by and one.where == "order":
                        one.let(("act", HOSTS[what[0] % 2], 0))
                    if one.engine == by and one.where == "command":
                        one.let("go")
                for choice in what:
                    self.go_on(by, choice)

    @rule(by=EITHER, which=ANY)
    def a_message_comes_twice(self, by: int, which: int) -> None:
        lanes = [lane for lane in self.lanes() if lane.current_step_id is not None]
        if lanes and not self.side(by).paused:
            self.take(by, lanes[which % len(lanes)])

    @rule(seconds=st.sampled_from((0.5, 3.0, 11.0, 70.0)))
    def time_passes(self, seconds: float) -> None:
        self.theatre.advance_clock(seconds)

    @rule()
    def redis_forgets_everything(self) -> None:
        self.theatre.redis.flushall()

    @rule(which=ANY)
    def a_lease_expires_in_redis(self, which: int) -> None:
        names = self.theatre.redis.keys("winch:lease:*")
        if isinstance(names, list) and names:
            self.theatre.redis.delete(sorted(names)[which % len(names)])

    @rule(by=EITHER)
    def a_worker_loses_or_finds_redis(self, by: int) -> None:
        self.side(by).cut_off = not self.side(by).cut_off

    # --- what must be so --------------------------------------------------------------------------
    @invariant()
    def no_step_broke(self) -> None:
        for one in self.theatre.puppets:
            assert one.error is None, one.error

    @invariant()
    def numbers_only_grow(self) -> None:
        seen = {row.name: row.number for row in self.leases()}
        for path in self.place.room.directory.glob(f"lb?/*{self.theatre.tag}*.lease"):
            text = path.read_text().strip()
            if text:
                seen[f"{path.parent.name} {path.name}"] = int(text)
        for name, number in seen.items():
            assert number >= self.highest.get(name, 0), name
        self.highest.update(seen)

    @invariant()
    def nothing_is_in_other_hands_while_its_owner_is_unfinished(self) -> None:
        rows = {row.name: row for row in self.leases()}
        for lane, run in self.lanes_of_runs():
            broke = lane.status == "failed" and lane.changed
            kept = broke and not run.aborted and not run.rolling_back
            if lane.status in IN_FLIGHT or kept:
                for name in lane.leases:
                    owner = rows[name].run_id, rows[name].lane_id
                    if owner == (lane.run_id, lane.id):
                        self.broken.discard((lane.id, name))
                    assert owner == (lane.run_id, lane.id) or (lane.id, name) in self.broken, (
                        f"{name} of lane {lane.id} ({lane.status}) is in the hands of {owner}"
                    )

    @invariant()
    def never_two_holders_act(self) -> None:
        leases = {lane.id: lane.leases for lane in self.lanes()}
        last: dict[str, Acted] = {}
        past: set[str] = set()  # claims that another one of their lane has followed
        busy: dict[tuple[str, str], int] = {}
        for each in self.theatre.room.acted():
            for name in leases[each.lane]:
                at = each.host, name
                if each.what == "end":
                    assert busy.pop(at, None) == each.lane, f"{at}: two at once"
                    continue
                assert at not in busy, f"{at}: two at once"
                busy[at] = each.lane
                before = last.get(name)
                if before is not None and before.lane != each.lane:
                    assert each.numbers.get(name, 0) > before.numbers[name], (
                        f"{each} after {before}"
                    )
                if before is not None and before.lane == each.lane:
                    assert each.numbers.get(name, 0) >= before.numbers[name], (
                        f"{each} after {before}"
                    )
                if before is not None and before.claim != each.claim:
                    past.add(before.claim)
                assert each.claim not in past, f"{each} after {before}"
                last[name] = each

    # --- the end of a story -----------------------------------------------------------------------
    def come_to_an_end(self) -> None:
        """Whatever has happened: nothing is lost, all can be ended, and no lease is left."""
        for side in self.theatre.sides:
            side.paused = side.cut_off = False
            side.node.beat()
        engine = self.theatre.sides[0].engine
        for _ in range(40):
            for one in self.theatre.puppets:
                while one.where is not None:
                    one.let("go" if one.where == "command" else "done")
            for side in self.theatre.sides:
                side.node.beat()
            self.theatre.sides[0].steward.tick()
            self.theatre.advance_clock(3.0)
            for lane in self.lanes():
                if lane.status == "running" and lane.claim is None:
                    self.take(0, lane)
            for run in {run.id: run for _, run in self.lanes_of_runs()}.values():
                kept = any(row.run_id == run.id for row in self.held())
                if run.status not in ACTIVE and kept:  # it broke half-way, and others wait
                    control.abort(engine, run.id, "test")
            if not any(run.status in ACTIVE for _, run in self.lanes_of_runs()):
                break
        self.never_two_holders_act()
        ended = {(run.id, run.status) for _, run in self.lanes_of_runs()}
        assert all(status not in ACTIVE for _, status in ended), ended
        assert [row.name for row in self.held()] == []

    # --- looking ----------------------------------------------------------------------------------
    def side(self, number: int) -> Side:
        return self.theatre.sides[number]

    def take(self, by: int, lane: Lane) -> None:
        assert lane.id is not None
        assert lane.current_step_id is not None
        self.theatre.puppets = [one for one in self.theatre.puppets if one.where is not None]
        self.theatre.puppets.append(self.side(by).take(by, lane.id, lane.current_step_id))

    def go_on(self, by: int, choice: int) -> None:
        """Let a worker do one thing: its heart beats, a message comes, a command gets through."""
        side = self.side(by)
        if side.paused:
            return
        mine = [one for one in self.awake() if one.engine == by]
        ready = [lane for lane in self.lanes() if lane.status == "running" and lane.claim is None]
        if mine and choice:
            one = mine[choice % len(mine)]
            if one.where == "command":
                one.let("go")
            else:
                one.let("done" if choice > 12 else ("act", HOSTS[choice % 2], 0))
        elif ready and choice:
            self.take(by, ready[choice % len(ready)])
        else:
            side.node.beat()
            self.may_fail(side.steward.tick)

    def awake(self) -> list[Puppet]:
        return [p for p in self.theatre.puppets if p.where and not self.side(p.engine).paused]

    def held(self) -> list[Lease]:
        return [row for row in self.leases() if row.run_id is not None]

    def runs(self) -> list[int]:
        return list(dict.fromkeys(lane.run_id for lane in self.lanes()))

    def lanes(self) -> list[Lane]:
        with self.theatre.sides[0].store.read() as session:
            return list(session.exec(select(Lane).order_by(col(Lane.id))))

    def lanes_of_runs(self) -> list[tuple[Lane, Run]]:
        with self.theatre.sides[0].store.read() as session:
            return list(session.exec(select(Lane, Run).join(Run, col(Run.id) == Lane.run_id)))

    def leases(self) -> list[Lease]:
        with self.theatre.sides[0].store.read() as session:
            return list(session.exec(select(Lease)))

    @staticmethod
    def may_fail(what: Callable[[], Any]) -> None:
        """What a person or a steward does may be refused, or find Redis away: it is tried again."""
        try:
            what()
        except (ServiceError, WinchError):
            return


def test_never_two_holders_act_whatever_happens(place: Place) -> None:
    Story.place = place
    run_state_machine_as_test(
        Story,
        settings=settings(
            max_examples=50,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.explicit, Phase.reuse, Phase.generate],  # a story is short enough to read
        ),
    )
