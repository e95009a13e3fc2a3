"""A HAProxy that is reloaded by the steps, each command under a real guard."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks.haproxy.params import (
    Balancer,
    InstallConfig,
    Reload,
    ReloadPreflight,
    RestoreState,
    SaveState,
)
from tasks.haproxy.reload_install import install_config, restore_config
from tasks.haproxy.reload_keep import restore_state, save_state
from tasks.haproxy.reload_preflight import preflight
from tasks.haproxy.reload_step import reload
from tests.integration.haproxy.rig import Haproxy, LocalContext, LocalHost, finish
from tests.needs import find_program
from worker.guard import Guard
from worker.remote import Command, Result
from worker.ssh import Connections
from worker.step import Done

LEASE = "balancer:lb1"


def programs() -> dict[str, str]:
    """HAProxy binaries by their version: the installed one, and those of
    WINCH_HAPROXY_BINARIES (paths, between colons)."""
    paths = [p for p in os.environ.get("WINCH_HAPROXY_BINARIES", "").split(":") if p]
    installed = find_program("haproxy")
    return {Path(path).name: path for path in [*([installed] if installed else []), *paths]}


class GuardedHost(LocalHost):
    """This machine; what changes it runs under the balancer's lease, as in a run."""

    def __init__(self, name: str, connections: Connections, leases: tuple[str, ...]) -> None:
        super().__init__(name, connections)
        number = time.time_ns() // 1_000_000
        self.guard = Guard(tuple((lease, number) for lease in leases))

    def act(self, command: Command, **more: Any) -> Result:
        more.pop("check", None)
        more.setdefault("timeout", 60.0)
        self.acts.append(str(command))
        return self._connection.run(command, guard=self.guard, **more)

    def put(self, source: bytes | Path, path: str, *, mode: int = 0o644) -> None:
        self.acts.append(f"put {path}")
        self._connection.put(source, path, mode=mode, guard=self.guard)


class GuardedContext(LocalContext):
    """A context whose one host is guarded."""

    def __init__(
        self,
        connections: Connections,
        recalled: Mapping[str, Mapping[str, Any]] | None = None,
        leases: tuple[str, ...] = (LEASE,),
    ) -> None:
        super().__init__("lb1", recalled=recalled, connections=connections)
        self.host = GuardedHost("lb1", connections, leases)
        self.hosts = {"lb1": self.host}


@dataclass
class Lane:
    """The steps of one reload; each may recall what the ones before it remembered."""

    haproxy: Haproxy
    connections: Connections
    content: bytes | None = None
    replaces: str | None = None
    memories: dict[str, dict[str, Any]] = field(default_factory=dict)
    acts: list[str] = field(default_factory=list)

    @property
    def balancer(self) -> Balancer:
        return self.haproxy.balancer("lb1", master=True)

    @property
    def instance(self) -> dict[str, Any]:
        return {
            "balancer": self.balancer,
            "config": [str(self.haproxy.config)],
            "replaces": self.replaces,
        }

    def context(self, name: str) -> GuardedContext:
        made = GuardedContext(self.connections, self.memories)
        made.memory = self.memories.setdefault(name, {})
        return made

    def _run(self, name: str, step: Any, params: Any) -> Done:
        context = self.context(name)
        try:
            return finish(step, context, params)
        finally:
            self.acts += context.acts

    def preflight(self) -> Done:
        size = None if self.content is None else len(self.content)
        params = ReloadPreflight(**self.instance, candidate=size)
        return self._run("haproxy.preflight", preflight, params)

    def save(self) -> Done:
        return self._run("haproxy.save_state", save_state, SaveState(balancer=self.balancer))

    def install(self) -> Done:
        return self._run("haproxy.install_config", install_config, self._install_params())

    def _install_params(self) -> InstallConfig:
        if self.content is None:
            return InstallConfig(**self.instance)
        file = self.haproxy.directory.with_name(f"{self.haproxy.directory.name}.asked")
        file.write_bytes(self.content)
        return InstallConfig(**self.instance, source=str(file))

    def reload(self, *, back: bool = False, timeout: float = 10.0) -> Done:
        params = Reload(**self.instance, timeout=timeout, back=back)
        return self._run("back" if back else "haproxy.reload", reload, params)

    def restore(self) -> Done:
        params = RestoreState(balancer=self.balancer, watch=0.5)
        return self._run("haproxy.restore_state", restore_state, params)

    def restore_config(self) -> Done:
        return self._run("back config", restore_config, self._install_params())

    def all(self) -> list[Done]:
        """The whole lane."""
        return [self.preflight(), self.save(), self.install(), self.reload(), self.restore()]
