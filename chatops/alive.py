"""Say whether a part of Winch is well, for a container's health check.

    python -m chatops.alive worker|flower

Exit code 0: a worker of this machine has shown a sign of life, or Flower answers.
"""

from __future__ import annotations

import sys
import urllib.request

from sqlmodel import col, select

from worker.errors import WinchError
from worker.models import WorkerRow
from worker.node import is_dead, node_name
from worker.settings import settings
from worker.store import Store

SECONDS = 5.0


def worker_is_alive() -> bool:
    """Look for a live worker of this very machine (container) in the database."""
    store = Store(settings().sql_url)
    try:
        store.sync_clock()
        with store.read() as session:
            query = select(WorkerRow).where(col(WorkerRow.node) == node_name())
            rows = session.exec(query).all()
        return any(not is_dead(row, store.now()) for row in rows)
    finally:
        store.close()


def flower_is_alive() -> bool:
    """Ask Flower; its health check needs no login."""
    url = f"http://127.0.0.1:{settings().flower_port}/healthcheck"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=SECONDS) as answer:
        return bool(answer.status == 200)  # noqa: PLR2004 - OK


def main(words: list[str]) -> int:
    """Return an exit code."""
    try:
        match words:
            case ["worker"]:
                return 0 if worker_is_alive() else 1
            case ["flower"]:
                return 0 if flower_is_alive() else 1
    except (WinchError, OSError) as error:
        print(error, file=sys.stderr)  # noqa: T201 - docker inspect shows it
        return 1
    print("usage: python -m chatops.alive worker|flower", file=sys.stderr)  # noqa: T201
    return 5


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
