"""The judges of a job: `ab`, slow downloads, and a keep-alive client that never repeats."""

from tests.lab.ab import Ab, AbResult, parse_ab, run_ab
from tests.lab.clients import Download, KeepAlive, KeepAliveCounts, fetch

__all__ = [
    "Ab",
    "AbResult",
    "Download",
    "KeepAlive",
    "KeepAliveCounts",
    "fetch",
    "parse_ab",
    "run_ab",
]
