"""Import every step, so that it is registered."""

from __future__ import annotations

import tasks.deploy.steps
import tasks.haproxy.steps
import tasks.keepalived.steps
import tasks.nginx.steps
import tasks.nginx_binary.steps
import tasks.probe.steps  # noqa: F401
