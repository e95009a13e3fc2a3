"""nginx's steps. Importing this registers all of them."""

from __future__ import annotations

from tasks.nginx.back import quit_new, reload_old, unstage
from tasks.nginx.preflight import preflight
from tasks.nginx.quit import quit_old
from tasks.nginx.soak import soak
from tasks.nginx.stage import stage
from tasks.nginx.upgrade import upgrade_executable
from tasks.nginx.workers import shutdown

__all__ = [
    "preflight",
    "quit_new",
    "quit_old",
    "reload_old",
    "shutdown",
    "soak",
    "stage",
    "unstage",
    "upgrade_executable",
]
