"""Plans over the test's steps, on local hosts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.kit.steps import Effect, Remove
from worker.plan import BackStep, HostSpec, LaneSpec, Plan, Policy, StepSpec


class Work:
    """A directory in which the effects of a plan's steps show."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.effects = directory / "effects"

    def lease(self, host: str) -> str:
        """The lease of a host: of this test alone, because all tests share this machine's."""
        return f"host:{self.directory.parent.name}-{self.directory.name}-{host}"

    def flag(self, name: str) -> Path:
        return self.directory / name

    def lines(self) -> list[str]:
        return self.effects.read_text().split() if self.effects.exists() else []

    def plan(
        self,
        hosts: list[str],
        *,
        policy: Policy | None = None,
        options: dict[str, dict[str, Any]] | None = None,
        gate: dict[str, Any] | None = None,
        leases: dict[str, list[str]] | None = None,
        way_back: bool = True,
        sites: dict[str, str] | None = None,
    ) -> Plan:
        """Three steps a host; `options` by "HOST.STEP" (web1.two) go to the step's parameters."""
        lanes = [] if gate is None else [self._gate(hosts[0], gate)]
        for host in hosts:
            forward = [
                self._step(f"test.{name}", host, name, (options or {}).get(f"{host}.{name}", {}))
                for name in ("one", "two", "three")
            ]
            back = [
                BackStep(step=self._remove(host, name), undoes=[f"test.{name}"])
                for name in ("two", "one")
            ]
            lanes.append(
                LaneSpec(
                    host=host,
                    site=(sites or {}).get(host),
                    leases=[self.lease(host), *(leases or {}).get(host, [])],
                    touches=[host],
                    steps=forward,
                    back=back if way_back else [],
                )
            )
        specs = {h: HostSpec(name=h, address="127.0.0.1", connection="local") for h in hosts}
        return Plan(job="test", target="work", hosts=specs, lanes=lanes, policy=policy or Policy())

    def _step(self, kind: str, host: str, name: str, options: dict[str, Any]) -> StepSpec:
        params = Effect(file=str(self.effects), line=f"{host}.{name}", **options)
        return StepSpec.of(kind, params, f"{name} on {host}")

    def _remove(self, host: str, name: str) -> StepSpec:
        params = Remove(file=str(self.effects), line=f"{host}.{name}")
        return StepSpec.of("test.remove", params, f"undo {name} on {host}")

    def _gate(self, host: str, options: dict[str, Any]) -> LaneSpec:
        params = Effect(file=str(self.directory / "gate"), line="gate", **options)
        step = StepSpec.of("test.gate", params, "look at everything")
        return LaneSpec(host=host, leases=[], touches=[], steps=[step], gate=True)
