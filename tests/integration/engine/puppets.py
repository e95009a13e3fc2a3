"""Two engines whose every remote command a test lets through one by one, on hosts that remember.

The engines are whole (executor, claims, leases, steward, heartbeat) on one database and a real
Redis; a worker's slot is a thread that stops before each of its commands. A host is a directory
with real shells that run the real guard; what its commands did is in one log for all hosts.
"""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis import Redis

from worker.engine import Engine
from worker.errors import Failed, Refused, Unreachable
from worker.execute import Executor
from worker.guard import Guard
from worker.leases import Leases, connect_redis
from worker.local import LocalStream
from worker.node import Node
from worker.plan import BackStep, HostSpec, LaneSpec, Plan, Policy, StepSpec
from worker.remote import Command, Result
from worker.shell import Shell
from worker.step import Context, Done, Outcome, Params, Wait, step
from worker.steward import Steward
from worker.store import Store

HOSTS = ("lb1", "lb2")
# What a command of a lane does on a host: it is there for a moment, and says who it is.
_ACT = 'printf "begin %s\\n" "$2" >> "$1"; sleep "$3"; printf "end %s\\n" "$2" >> "$1"'
_here = threading.local()


class Strings(Params):
    """Parameters of a step that does what its test says."""

    log: str


@step("test.puppet", preview=lambda _context, _params: [])
def puppet(context: Context, params: Strings) -> Outcome:
    """Do what is ordered until the end is."""
    me: Puppet = _here.puppet
    while True:
        match me.park("order"):
            case ("act", host, seconds):
                claim = context.claim  # type: ignore[attr-defined]
                text = json.dumps([host, me.lane, claim.token, claim.numbers])
                context.on(host).act(Command.shell(_ACT, params.log, text, f"{seconds}"))
            case "done":
                return Done("done")
            case "wait":
                return Wait("sessions", "3 sessions left", 1.0)
            case "fail":
                raise Failed("failed by the test")
            case "refuse":
                raise Refused("refused by the test")
            case _:
                raise Unreachable("unreachable by the test")


class Puppet:
    """One step under way in one engine: a thread that is parked whenever the test may act."""

    def __init__(self, engine: int, lane: int, work: Callable[[], object]) -> None:
        self.engine = engine
        self.lane = lane
        self.where: str | None = None  # "order", "command", or None: it has ended
        self.error: BaseException | None = None
        self._work = work
        self._order: Any = None
        self._go = threading.Semaphore(0)
        self._still = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self.settle()

    def _run(self) -> None:
        _here.puppet = self
        try:
            self._work()
        except BaseException as error:
            self.error = error
        self.where = None
        self._still.set()

    def park(self, where: str) -> Any:
        """Called by its own thread: stop until the test says what to do."""
        self.where = where
        self._still.set()
        self._go.acquire()
        return self._order

    def release(self, order: Any) -> None:
        """Let it go on; `settle` waits until it stops again."""
        self._still.clear()
        self._order = order
        self._go.release()

    def settle(self) -> None:
        """Wait until it is parked or has ended."""
        if not self._still.wait(60):
            raise AssertionError("a step neither ends nor asks")

    @property
    def still(self) -> bool:
        """Whether it is parked or has ended."""
        return self._still.is_set()

    def let(self, order: Any) -> None:
        self.release(order)
        self.settle()


@dataclass(frozen=True)
class Acted:
    """One line of the hosts' log."""

    what: str
    host: str
    lane: int
    claim: str
    numbers: dict[str, int]


class HostRoom:
    """The hosts: a directory of leases each, shells that know it, and what was done on all."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.log = directory / "log"
        self._free: dict[str, list[Shell]] = {host: [] for host in HOSTS}

    def run(self, host: str, command: Command | None, guard: Guard | None) -> Result:
        shell = self._free[host].pop() if self._free[host] else self._open(host)
        try:
            return shell.run(command, timeout=20, guard=guard)
        finally:
            if shell.usable:
                self._free[host].append(shell)

    def _open(self, host: str) -> Shell:
        place = self.directory / host
        shell = Shell(host, LocalStream(["env", f"WINCH_RUN_DIR={place}", "sh"]))
        shell.start(20)
        return shell

    def acted(self) -> list[Acted]:
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        found = []
        for line in lines:
            what, _, rest = line.partition(" ")
            found.append(Acted(what, *json.loads(rest)))
        return found

    def close(self) -> None:
        for shells in self._free.values():
            for shell in shells:
                shell.close()


class _Link:
    """A connection of one engine to one host; its commands go through when the test says so."""

    def __init__(self, room: HostRoom, host: str) -> None:
        self._room = room
        self._host = host

    def run(self, command: Command, *, guard: Guard | None = None, **_: object) -> Result:
        return self._let(command, guard)

    def fence(self, guard: Guard) -> None:
        self._let(None, guard)

    def _let(self, command: Command | None, guard: Guard | None) -> Result:
        me: Puppet = _here.puppet
        if me.park("command") == "close":
            raise Unreachable(f"{self._host}: closed")
        return self._room.run(self._host, command, guard)


class _Links:
    def __init__(self, room: HostRoom) -> None:
        self._room = room

    def get(self, spec: HostSpec, _specs: object) -> _Link:
        return _Link(self._room, spec.name)


class Side:
    """One worker: its own view of the database and of Redis, its node, steward and executor."""

    def __init__(self, url: str, redis_url: str, room: HostRoom) -> None:
        self.store = Store(url)
        self._with_redis = Leases(connect_redis(redis_url))
        gone: Redis = Redis.from_url(f"unix://{room.directory}/nobody.sock")
        self._without = Leases(gone)
        self.engine = Engine(self.store, self._with_redis, lambda _message: None)
        self.node = Node(self.store, [])
        self.steward = Steward(self.engine, self.node, lambda _site: 0)
        self.executor = Executor(self.engine, _Links(room), self.node)  # type: ignore[arg-type]
        self.paused = False
        self.node.beat()

    @property
    def cut_off(self) -> bool:
        """Whether it cannot reach Redis."""
        return self.engine.leases is self._without

    @cut_off.setter
    def cut_off(self, value: bool) -> None:
        self.engine.leases = self._without if value else self._with_redis

    def take(self, number: int, lane: int, step_id: int) -> Puppet:
        """Let it begin a step, as if a message had come; `number` is its own."""
        return Puppet(number, lane, lambda: self.executor.run(step_id, None, lambda _text: None))


class Theatre:
    """A database, two engines and the hosts, for one example; names of leases are its own."""

    count = 0

    def __init__(self, template: Path, directory: Path, redis_url: str, room: HostRoom) -> None:
        Theatre.count += 1
        self.tag = f"t{Theatre.count}"
        self.room = room
        self.database = directory / f"{self.tag}.db"
        shutil.copy(template, self.database)
        room.log.unlink(missing_ok=True)
        connect_redis(redis_url).flushall()
        self.redis = connect_redis(redis_url)
        self.sides = [Side(f"sqlite:///{self.database}", redis_url, room) for _ in range(2)]
        self.puppets: list[Puppet] = []

    @property
    def pair(self) -> str:
        return f"pair:{self.tag}"

    def plan(self, hosts: list[str], *, on_failure: str = "stop", at_once: int = 2) -> Plan:
        """Two steps a member, and two back; each lane has its host and the pair."""
        one = StepSpec.of("test.puppet", Strings(log=str(self.room.log)), "act")
        lanes = [
            LaneSpec(
                host=host,
                leases=[f"host:{self.tag}-{host}", self.pair],
                touches=list(HOSTS),
                steps=[one, one],
                back=[BackStep(step=one, undoes=["test.puppet"])] * 2,
            )
            for host in hosts
        ]
        specs = {h: HostSpec(name=h, address="127.0.0.1", connection="local") for h in HOSTS}
        policy = Policy.model_validate({"max_unavailable": at_once, "on_failure": on_failure})
        return Plan(job="test", target="pair", hosts=specs, lanes=lanes, policy=policy)

    def advance_clock(self, seconds: float) -> None:
        for side in self.sides:
            side.store._offset += seconds

    def close(self) -> None:
        for one in self.puppets:
            while one.where is not None:
                one.let("close")
        for side in self.sides:
            side.store.close()
        for name in (self.database, *self.database.parent.glob(f"{self.database.name}-*")):
            name.unlink(missing_ok=True)
