"""What an asker can say about a reload of HAProxy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from worker.errors import UsageError
from workflows.values import has_control, shown

MOST_BYTES = 1 << 20


@dataclass(frozen=True)
class HaproxyOptions:
    """A new configuration: a file of this machine, and the file on the balancer that it replaces
    (None: the first of the balancer's `config`)."""

    config: Path | None = None
    replaces: str | None = None

    @classmethod
    def parse(cls, *, config: str | None = None, replaces: str | None = None) -> Self:
        """Read options as people write them.

        Raises:
            UsageError: one of them cannot be.
        """
        if replaces is not None and config is None:
            raise UsageError("--replaces goes with --config FILE: it says what FILE replaces")
        if replaces is not None and (not replaces.startswith("/") or has_control(replaces)):
            raise UsageError(f"--replaces: {shown(replaces)} is no absolute path on the balancer")
        return cls(None if config is None else Path(config).expanduser().absolute(), replaces)

    def content(self) -> bytes | None:
        """Read the new configuration.

        Raises:
            UsageError: it cannot be read, is empty, or too large to be one.
        """
        if self.config is None:
            return None
        try:
            size = self.config.stat().st_size
            if size > MOST_BYTES:
                raise UsageError(
                    f"--config {self.config}: has {size} bytes, at most {MOST_BYTES} can be sent"
                )
            content = self.config.read_bytes()
        except OSError as error:
            raise UsageError(f"--config {self.config}: {error.strerror or error}") from None
        if not content.strip() or b"\0" in content:
            raise UsageError(f"--config {self.config}: is no configuration of HAProxy")
        return content
