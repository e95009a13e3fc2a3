"""Import every step, so that it is registered."""

from __future__ import annotations

import tasks.deploy.steps
import tasks.haproxy.steps
import tasks.probe.steps  # noqa: F401
