"""What HAProxy answers and does: the same for the real one and for the fake.

The backend `web_servers` has the servers `a` (weight 100) and `b` (weight 50), without checks.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """`says`: how each reply begins ("": success). `after`: `a`'s status, admin state, weight."""

    name: str
    tell: tuple[str, ...]
    says: tuple[str, ...]
    after: tuple[str, int, int] = ("no check", 0, 100)
    algorithm: str = "roundrobin"


CASES = [
    Case("drain", ("set server web_servers/a state drain",), ("",), ("DRAIN", 8, 100)),
    Case("maint", ("set server web_servers/a state maint",), ("",), ("MAINT", 1, 100)),
    Case(
        "maint replaces drain",
        ("set server web_servers/a state drain", "set server web_servers/a state maint"),
        ("", ""),
        ("MAINT", 1, 100),
    ),
    Case(
        "drain replaces maint",
        ("set server web_servers/a state maint", "set server web_servers/a state drain"),
        ("", ""),
        ("DRAIN", 8, 100),
    ),
    Case(
        "ready ends both",
        ("set server web_servers/a state drain", "set server web_servers/a state ready"),
        ("", ""),
    ),
    Case(
        "a weight of 0 reads as if it served, and survives drain",
        (
            "set weight web_servers/a 0",
            "set server web_servers/a state drain",
            "set server web_servers/a state ready",
        ),
        ("", "", ""),
        ("no check", 0, 0),
    ),
    Case("a weight", ("set weight web_servers/a 10",), ("",), ("no check", 0, 10)),
    Case("too heavy", ("set weight web_servers/a 257",), ("Absolute weight can only be",)),
    Case(
        "static algorithms take no weights in between",
        ("set weight web_servers/a 10", "set weight web_servers/a 100"),
        ("Backend is using a static LB algorithm", ""),
        algorithm="static-rr",
    ),
    Case(
        "a static algorithm can drain",
        ("set server web_servers/a state drain",),
        ("",),
        ("DRAIN", 8, 100),
        algorithm="source",
    ),
    Case(
        "what follows an error is done",
        ("set server web_servers/x state drain", "set server web_servers/a state drain"),
        ("No such server.", ""),
        ("DRAIN", 8, 100),
    ),
    Case("no such backend", ("set server nope/a state drain",), ("No such backend.",)),
    Case("no slash", ("set server web_servers state drain",), ("Require 'backend/server'.",)),
    Case("no such backend's state", ("show servers state nope",), ("Can't find backend.",)),
    Case("its level", ("show cli level",), ("admin",)),
    Case("unknown", ("frobnicate",), ("Unknown command",)),
    Case("nothing to shut down", ("shutdown sessions server web_servers/a",), ("",)),
]
