"""Read what the worker and Redis have used so far."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import psutil
import redis


@dataclass(frozen=True)
class Used:
    """Sums since the start of the processes. `messages`: Celery's; `events`: what Flower hears."""

    cpu_seconds: float = 0.0
    messages: float = 0.0
    events: float = 0.0
    commands: float = 0.0
    bytes: float = 0.0

    def __add__(self, other: Used) -> Used:
        return Used(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def __sub__(self, other: Used) -> Used:
        return Used(*(getattr(self, f.name) - getattr(other, f.name) for f in fields(self)))


class Meter:
    """Reads both."""

    def __init__(self, worker: int, client: redis.Redis) -> None:
        self._worker = psutil.Process(worker)
        self._client = client

    def read(self) -> Used:
        """Take the sums now (two commands of Redis's own are in them)."""
        stats: dict[str, Any] = self._client.info("commandstats")
        info: dict[str, Any] = self._client.info("stats")

        def calls(*names: str) -> float:
            return float(sum(stats.get(f"cmdstat_{name}", {}).get("calls", 0) for name in names))

        return Used(
            cpu_seconds=self._cpu(),
            messages=calls("lpush", "rpush"),
            events=calls("publish"),
            commands=calls(*(name.removeprefix("cmdstat_") for name in stats)),
            bytes=float(info["total_net_input_bytes"] + info["total_net_output_bytes"]),
        )

    def memory(self) -> int:
        """Resident bytes of the worker."""
        return int(self._worker.memory_info().rss)

    def _cpu(self) -> float:
        total = 0.0
        for process in [self._worker, *self._worker.children(recursive=True)]:
            times = process.cpu_times()
            total += times.user + times.system
        ended = self._worker.cpu_times()
        return float(total + ended.children_user + ended.children_system)
