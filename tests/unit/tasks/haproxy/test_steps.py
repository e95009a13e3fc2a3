"""The steps over a HAProxy in memory, with a clock that the test moves."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tasks import patience
from tasks.haproxy.params import CheckPool, Drain, Enable, Target
from tasks.haproxy.steps import check_pool, drain, enable
from tests.fakes import RecordingContext
from tests.unit.tasks.haproxy.fake_haproxy import Clock, FakeHaproxy, FakeServer, balancer, host
from worker.errors import Failed, Refused, Unreachable
from worker.step import Done, Wait

WEB1 = [Target(backend="web_servers", server="web1")]


@dataclass
class World:
    """Two balancers with the same two servers behind them."""

    lb1: FakeHaproxy
    lb2: FakeHaproxy
    context: RecordingContext
    clock: Clock

    def drain(self, **more: object) -> Drain:
        both = [balancer("lb1"), balancer("lb2")]
        return Drain.model_validate({"balancers": both, "targets": WEB1} | more)

    def enable(self, **more: object) -> Enable:
        both = [balancer("lb1"), balancer("lb2")]
        return Enable.model_validate({"balancers": both, "targets": WEB1} | more)

    def next(self) -> None:
        """Begin the lane's next step."""
        context = self.context
        context.recalled = {"haproxy.drain": context.memory}
        context.memory = {}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    def pair() -> FakeHaproxy:
        return FakeHaproxy([FakeServer("web1"), FakeServer("web2")])

    lb1, lb2 = pair(), pair()
    context = RecordingContext(host("web1", lb1), host("lb1", lb1), host("lb2", lb2))
    clock = Clock(context)
    monkeypatch.setattr(patience, "time", clock)
    return World(lb1, lb2, context, clock)


def test_sessions_are_waited_for_on_every_balancer(world: World) -> None:
    world.lb1["web1"].scur, world.lb2["web1"].scur = 5, 3
    waiting = drain(world.context, world.drain())
    assert waiting == Wait("sessions", "8 of 8 sessions left on lb1, lb2", 1.0)
    world.lb1["web1"].scur = 0
    assert drain(world.context, world.drain()) == Wait(
        "sessions", "3 of 8 sessions left on lb2", 1.0
    )
    assert world.context.said[-1] == "3 of 8 sessions left on lb2"
    world.lb2["web1"].scur = 0
    world.context.seconds = 9.0
    done = drain(world.context, world.drain())
    assert done == Done("0 sessions after 9 s on lb1, lb2")
    assert [world.lb1["web1"].status, world.lb2["web1"].status] == ["MAINT", "MAINT"]


def test_what_stood_before_is_remembered_before_the_first_change(world: World) -> None:
    world.lb1["web1"].weight = 70
    seen: list[bool] = []

    def changed(command: str) -> None:
        if command.startswith("set "):
            seen.append("before.0" in world.context.memory)

    world.lb1.after = changed
    drain(world.context, world.drain())
    assert seen[0]
    before = world.context.memory["before.0"]
    assert before["lb1 /run/haproxy/admin.sock web_servers/web1"]["weight"] == 70


def test_a_drain_that_was_killed_half_way_goes_on(world: World) -> None:
    class Killed(BaseException):
        pass

    def kill(command: str) -> None:
        if command.startswith("set "):
            raise Killed

    world.lb2.after = kill
    with pytest.raises(Killed):
        drain(world.context, world.drain())
    world.lb2.after = lambda _command: None
    assert world.lb1["web1"].admin == 8
    assert drain(world.context, world.drain()) == Done("0 sessions after 0 s on lb1, lb2")
    world.next()
    world.clock.at(0.5, lambda: _all_checks_pass(world))
    assert _finish_enable(world, stable=1.0).changed
    assert (world.lb1["web1"].admin, world.lb2["web1"].admin) == (0, 0)


def test_a_second_drain_after_an_enable_is_guarded_again(world: World) -> None:
    drain(world.context, world.drain())
    for haproxy in (world.lb1, world.lb2):
        haproxy["web1"].admin, haproxy["web1"].health = 0, "UP"
    world.lb2["web2"].health = "DOWN"
    with pytest.raises(Refused, match="lb2: backend web_servers: expected at least 1"):
        drain(world.context, world.drain())
    assert world.lb1["web1"].admin == 0


def test_a_race_of_two_drains_is_undone(world: World) -> None:
    def other_drain(command: str) -> None:
        if command == "set server web_servers/web1 state drain":
            world.lb2["web2"].admin = 8

    world.lb2.after = other_drain
    with pytest.raises(Refused, match="another server left at the same moment: lb2: backend"):
        drain(world.context, world.drain())
    assert [world.lb1["web1"].admin, world.lb2["web1"].admin] == [0, 0]
    world.next()
    assert enable(world.context, world.enable()).detail.endswith("the drain had changed nothing")


def test_a_refusal_on_the_second_balancer_undoes_the_first(world: World) -> None:
    world.lb2.level = "operator"
    with pytest.raises(Refused, match=r"lb2 .*add `level admin`"):
        drain(world.context, world.drain())
    assert world.lb1["web1"].admin == 0


def test_a_worker_on_its_way_out_is_not_the_one_to_be_told(world: World) -> None:
    world.lb2.leaving = 2
    assert drain(world.context, world.drain()).detail == "0 sessions after 0 s on lb1, lb2"
    assert world.lb2["web1"].admin == 1


def test_capacity_is_waited_for_three_seconds(world: World) -> None:
    world.lb2["web2"].health = "UP 1/3"
    world.clock.at(2.0, lambda: setattr(world.lb2["web2"], "health", "UP"))
    assert isinstance(drain(world.context, world.drain()), Done)


def test_a_dead_balancer_is_unreachable_and_nothing_is_touched(world: World) -> None:
    world.lb2.alive = False
    with pytest.raises(Unreachable, match=r"lb2 .* is HAProxy running"):
        drain(world.context, world.drain())
    assert world.lb1["web1"].admin == 0


def test_a_long_stable_window_is_left_to_the_engine(world: World) -> None:
    drain(world.context, world.drain())
    world.next()
    world.clock.at(0.1, lambda: _all_checks_pass(world))
    first = enable(world.context, world.enable(stable=600.0))
    assert isinstance(first, Wait)
    assert (first.reason, first.seconds) == ("soak", 2.0)
    world.context.seconds += 600
    assert enable(world.context, world.enable(stable=600.0)).changed  # type: ignore[union-attr]


def test_a_failed_check_begins_the_window_anew(world: World) -> None:
    drain(world.context, world.drain())
    world.next()
    world.clock.at(0.1, lambda: _all_checks_pass(world))
    assert isinstance(enable(world.context, world.enable(stable=10.0)), Wait)
    world.context.seconds += 9.0
    world.lb1["web1"].chkfail += 1
    assert isinstance(enable(world.context, world.enable(stable=10.0)), Wait)
    world.context.seconds += 2.0
    assert isinstance(enable(world.context, world.enable(stable=10.0)), Wait)
    world.context.seconds += 5.0
    assert isinstance(enable(world.context, world.enable(stable=10.0)), Done)


def test_a_server_that_falls_on_one_balancer_is_taken_out_on_all(world: World) -> None:
    drain(world.context, world.drain())
    world.next()
    world.clock.at(0.1, lambda: _all_checks_pass(world))
    assert isinstance(enable(world.context, world.enable(stable=10.0)), Wait)
    world.lb2["web1"].health, world.lb2["web1"].chkdown = "DOWN", 9
    with pytest.raises(Failed, match=r"web_servers/web1 on lb2 is DOWN .* taken out again"):
        enable(world.context, world.enable(stable=10.0))
    assert [world.lb1["web1"].admin, world.lb2["web1"].admin] == [1, 1]


def test_no_traffic_comes_before_all_balancers_have_checked(world: World) -> None:
    drain(world.context, world.drain())
    world.next()
    world.clock.at(0.5, lambda: setattr(world.lb1["web1"], "health", "UP"))
    waiting = enable(world.context, world.enable())
    assert waiting == Wait("soak", "web_servers/web1 on lb2 is DRAIN 1/3", 1.0)
    assert [world.lb1["web1"].admin, world.lb2["web1"].admin] == [8, 8]


def test_all_unreachable_hosts_are_named_at_once(world: World) -> None:
    for name in ("lb1", "lb2"):
        world.context.hosts[name].answers = {"true": Unreachable(f"{name}: no route")}
    params = CheckPool(
        balancers=[balancer("lb1")], targets=WEB1, hosts=["web1", "lb1", "lb2"], min_available="1"
    )
    with pytest.raises(Unreachable, match="2 hosts are unreachable: lb1: no route; lb2: no route"):
        check_pool(world.context, params)


def _all_checks_pass(world: World) -> None:
    for haproxy in (world.lb1, world.lb2):
        haproxy["web1"].health = "UP"


def _finish_enable(world: World, **more: object) -> Done:
    for _ in range(20):
        outcome = enable(world.context, world.enable(**more))
        if isinstance(outcome, Done):
            return outcome
        world.clock.sleep(outcome.seconds)
    raise AssertionError(outcome)
