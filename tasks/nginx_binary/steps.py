"""Import every step, so that it is registered."""

from __future__ import annotations

import tasks.nginx_binary.build
import tasks.nginx_binary.check
import tasks.nginx_binary.package
import tasks.nginx_binary.upload  # noqa: F401
