"""The VRRP steps. Importing this registers all of them."""

from __future__ import annotations

from tasks.keepalived.giving import give_up
from tasks.keepalived.preflight import preflight
from tasks.keepalived.prepare import prepare
from tasks.keepalived.rejoin import rejoin

__all__ = ["give_up", "preflight", "prepare", "rejoin"]
