"""HAProxy's steps. Importing this registers all of them."""

from __future__ import annotations

from tasks.haproxy.drain import drain, preview_drain
from tasks.haproxy.enable import enable
from tasks.haproxy.goals import preview_enable
from tasks.haproxy.preflight import check_pool, preview_check_pool
from tasks.haproxy.reload_install import install_config, restore_config
from tasks.haproxy.reload_keep import restore_state, save_state
from tasks.haproxy.reload_preflight import preflight
from tasks.haproxy.reload_step import reload

__all__ = [
    "check_pool",
    "drain",
    "enable",
    "install_config",
    "preflight",
    "preview_check_pool",
    "preview_drain",
    "preview_enable",
    "reload",
    "restore_config",
    "restore_state",
    "save_state",
]
