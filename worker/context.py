"""What a running step is given: hosts whose every command is guarded, bounded and recorded."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from worker import claims, past
from worker.claims import Claim
from worker.errors import Failed, Fenced, StepError, Superseded
from worker.guard import Guard
from worker.mask import mask
from worker.models import RemoteCommand
from worker.plan import HostSpec
from worker.remote import Command, Result, require_ok
from worker.ssh import Connections
from worker.store import Store

# Characters that are kept of each of stdout and stderr: of what changed something, of what looked.
MAX_RECORDED = 16_384
MAX_RECORDED_READ = 2_048
_EVENT_INTERVAL = 0.25  # seconds between two events of one step

GUARD_REFUSED = 113


class Aborted(StepError):
    """The run was aborted; found out between two commands."""

    outcome = "aborted"


class Records:
    """The commands of one step, kept until they are written. Thread-safe."""

    def __init__(self, claim: Claim) -> None:
        self._claim = claim
        self._lock = threading.Lock()
        self._rows: list[RemoteCommand] = []

    def add(
        self, host: str, mutating: bool, command: Command, started: float, result: Result
    ) -> None:
        """Keep one command; the same one with the same answer is counted, not repeated."""
        limit = MAX_RECORDED if mutating or not result.ok else MAX_RECORDED_READ
        row = RemoteCommand(
            run_id=self._claim.run_id,
            step_id=self._claim.step_id,
            attempt=self._claim.attempt,
            host=host,
            mutating=mutating,
            command=_bounded(str(command), MAX_RECORDED),
            exit_code=result.exit_code,
            stdout=_bounded(result.stdout, limit),
            stderr=_bounded(result.stderr, limit),
            at=started,
            seconds=round(result.seconds, 4),
        )
        with self._lock:
            last = next((r for r in reversed(self._rows) if r.host == host), None)
            if last is not None and _same(last, row):
                last.times += 1
                last.seconds = row.seconds
            else:
                self._rows.append(row)

    def take(self) -> list[RemoteCommand]:
        """Hand over what is kept, for writing."""
        with self._lock:
            rows, self._rows = self._rows, []
            return rows


class StepHost:
    """One host as one step sees it; see `worker.remote.Host`."""

    def __init__(self, context: StepContext, spec: HostSpec) -> None:
        self._context = context
        self._spec = spec

    @property
    def name(self) -> str:
        return self._spec.name

    @property
    def address(self) -> str:
        return self._spec.address

    def read(self, command: Command, *, timeout: float = 30.0, check: bool = True) -> Result:
        return self._run(command, timeout, check, None, None)

    def act(
        self,
        command: Command,
        *,
        timeout: float = 60.0,
        check: bool = True,
        on_line: Callable[[str], None] | None = None,
    ) -> Result:
        return self._run(command, timeout, check, self._context.guard, on_line)

    def put(self, source: bytes | Path, path: str, *, mode: int = 0o644) -> None:
        context = self._context
        context.check()
        context.save()
        context.acted = True
        started = context.now()
        begin = time.monotonic()
        command = Command.of("winch-put", path, f"{mode:o}")
        try:
            context.connection(self._spec).put(source, path, mode=mode, guard=context.guard)
        except StepError as error:
            self._record_failure(command, started, begin, error)
            raise
        context.records.add(
            self.name, True, command, started, Result(0, "", "", time.monotonic() - begin)
        )

    def fence(self) -> None:
        """Tell the host the lane's numbers, so that it refuses whoever had them before."""
        command = Command.of(":")
        started, begin = self._context.now(), time.monotonic()
        try:
            self._context.connection(self._spec).fence(self._context.guard)
        except StepError as error:
            self._record_failure(command, started, begin, error)
            raise

    def _run(
        self,
        command: Command,
        timeout: float,
        check: bool,
        guard: Guard | None,
        on_line: Callable[[str], None] | None,
    ) -> Result:
        context = self._context
        context.check()
        if guard is not None:
            context.save()
            context.acted = True
        started, begin = context.now(), time.monotonic()
        try:
            result: Result = context.connection(self._spec).run(
                command, timeout=timeout, guard=guard, on_line=on_line
            )
        except StepError as error:
            self._record_failure(command, started, begin, error, mutating=guard is not None)
            raise
        context.records.add(self.name, guard is not None, command, started, result)
        if check:
            require_ok(self.name, command, result)
        return result

    def _record_failure(
        self,
        command: Command,
        started: float,
        begin: float,
        error: StepError,
        *,
        mutating: bool = True,
    ) -> None:
        code = GUARD_REFUSED if isinstance(error, Fenced) else -1
        seconds = time.monotonic() - begin
        self._context.records.add(
            self.name, mutating, command, started, Result(code, "", str(error), seconds)
        )


class StepContext:
    """See `worker.step.Context`. `event` sends a text to whoever watches (Flower)."""

    def __init__(
        self, store: Store, connections: Connections, claim: Claim, event: Callable[[str], None]
    ) -> None:
        self.claim = claim
        self.records = Records(claim)
        self.guard = Guard(tuple(sorted(claim.numbers.items())))
        self.acted = False
        self.lost = False  # set by the heartbeat: another claim has the lane
        self.aborted = False
        self.text: str | None = None
        self._store = store
        self._connections = connections
        self._specs = {n: HostSpec.model_validate(spec) for n, spec in claim.hosts.items()}
        self._memory = dict(claim.memory)
        self._unsaved = False
        self._event = event
        self._event_at = 0.0
        self.host = self.on(claim.host if claim.host in self._specs else next(iter(self._specs)))

    def on(self, name: str) -> StepHost:
        spec = self._specs.get(name)
        if spec is None:
            raise Failed(f"{name}: the plan of this step does not know such a host")
        return StepHost(self, spec)

    @property
    def memory(self) -> Mapping[str, Any]:
        return self._memory

    def remember(self, **facts: Any) -> None:
        new = {key: value for key, value in facts.items() if key not in self._memory}
        if not new:
            return
        self._memory.update(new)
        self._unsaved = True

    def save(self) -> None:
        """Write what the step remembers: before it acts, so that it survives whatever happens."""
        if not self._unsaved:
            return
        if not claims.remember(self._store, self.claim, self._memory):
            self.lost = True
            self.check()
        self._unsaved = False

    @property
    def unsaved(self) -> dict[str, Any] | None:
        """What the step remembers, if it is not written yet."""
        return dict(self._memory) if self._unsaved else None

    def recall(self, step: str) -> Mapping[str, Any]:
        return claims.recall(self._store, self.claim, step)

    def reached(self, job: str, target: str, step: str) -> frozenset[str] | None:
        return past.reached(self._store, job, target, step)

    def progress(self, text: str) -> None:
        self.text = mask(text)
        moment = time.monotonic()
        if moment - self._event_at >= _EVENT_INTERVAL:
            self._event_at = moment
            self._event(self.text)

    def elapsed(self) -> float:
        return self.now() - self.claim.started_at

    def now(self) -> float:
        """The database's time."""
        return self._store.now()

    def connection(self, spec: HostSpec) -> Any:
        """The process's one connection to a host."""
        return self._connections.get(spec, self._specs)

    def check(self) -> None:
        """Stop when the run was aborted, or when this claim is no longer the lane's.

        The host has the last word on the second: it is asked with the old numbers, so that the
        record shows its refusal.
        """
        if self.lost:
            self.lost = False  # `fence` must not ask again
            try:
                self.host.fence()
            finally:
                self.lost = True
            raise Superseded(f"{self.claim.name}: another worker has taken this step over")
        if self.aborted:
            raise Aborted("the run was aborted")

    def fence_all(self) -> None:
        """Tell every host which the lane touches its numbers, before the first change."""
        for name in self.claim.touches:
            self.on(name).fence()


def _same(one: RemoteCommand, other: RemoteCommand) -> bool:
    def parts(row: RemoteCommand) -> tuple[object, ...]:
        return row.command, row.exit_code, row.stdout, row.stderr, row.mutating

    return parts(one) == parts(other)


def _bounded(text: str, limit: int) -> str:
    """Keep the beginning and the end, secrets masked.

    What is far too long is cut at ends of lines first: masking costs time, and a secret that is
    cut in two is not known any more.
    """
    left_out = 0
    if len(text) > 4 * limit:
        head, tail = text[: 2 * limit].rpartition("\n")[0], text[-2 * limit :].partition("\n")[2]
        left_out = len(text) - len(head) - len(tail)
        text = f"{head}\n{tail}"
    text = mask(text).replace("\0", "�")
    if len(text) <= limit and not left_out:
        return text
    half = min(limit, len(text)) // 2
    left_out += len(text) - 2 * half
    return f"{text[:half]}\n… {left_out} characters left out …\n{text[-half:]}"
