"""HAProxy's steps. Importing this registers all of them."""

from __future__ import annotations

from tasks.haproxy.drain import drain, preview_drain
from tasks.haproxy.enable import enable
from tasks.haproxy.goals import preview_enable
from tasks.haproxy.preflight import check_pool, preview_check_pool

__all__ = ["check_pool", "drain", "enable", "preview_check_pool", "preview_drain", "preview_enable"]
