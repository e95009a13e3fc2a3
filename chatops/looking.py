"""Look at hosts and change nothing: what previews and checks are given for a step's context."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from worker.errors import Failed, ServiceError
from worker.plan import HostSpec
from worker.remote import Command, Result, require_ok
from worker.ssh import Connections


class WouldChange(RuntimeError):
    """Something that must only look tried to change a host: a defect of ours."""


def _never(what: str) -> NoReturn:
    raise WouldChange(f"{what}: a preview must change nothing")


class LookingHost:
    """See `worker.remote.Host`; whatever would change something raises."""

    def __init__(
        self, connections: Connections, spec: HostSpec, specs: Mapping[str, HostSpec]
    ) -> None:
        self._connection = connections.get(spec, specs)
        self.name = spec.name
        self.address = spec.address

    def read(self, command: Command, *, timeout: float = 30.0, check: bool = True) -> Result:
        """Run a command that changes nothing."""
        result = self._connection.run(command, timeout=timeout)
        if check:
            require_ok(self.name, command, result)
        return result

    def act(
        self,
        command: Command,
        *,
        timeout: float = 60.0,
        check: bool = True,
        on_line: Callable[[str], None] | None = None,
    ) -> Result:
        """Never run."""
        del timeout, check, on_line
        _never(str(command))

    def put(self, source: bytes | Path, path: str, *, mode: int = 0o644) -> None:
        """Never written."""
        del source, mode
        _never(path)


class LookingContext:
    """See `worker.step.Context`; as if nothing had been done yet."""

    def __init__(self, connections: Connections, specs: Mapping[str, HostSpec], host: str) -> None:
        self._connections = connections
        self._specs = specs
        self.memory: Mapping[str, Any] = {}
        self.host = self.on(host)

    def on(self, name: str) -> LookingHost:
        """A host of the plan."""
        spec = self._specs.get(name)
        if spec is None:
            raise Failed(f"{name}: the plan does not know such a host")
        return LookingHost(self._connections, spec, self._specs)

    def remember(self, **facts: Any) -> None:
        """Never."""
        _never(f"remember {', '.join(facts)}")

    def recall(self, step: str) -> Mapping[str, Any]:
        """Nothing: no step has run."""
        del step
        return {}

    def reached(self, job: str, target: str, step: str) -> frozenset[str] | None:
        """By the database, if it can be asked."""
        from worker.past import reached  # noqa: PLC0415 (`winch --help` must be quick)
        from worker.store import store  # noqa: PLC0415

        try:
            return reached(store(), job, target, step)
        except ServiceError:
            return None

    def progress(self, text: str) -> None:
        """Nobody listens."""

    def elapsed(self) -> float:
        """No time has passed."""
        return 0.0
