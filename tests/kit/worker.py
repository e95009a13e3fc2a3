"""A real worker process that knows the test's steps: `python -m tests.kit.worker [SITE…]`."""

from __future__ import annotations

import sys

import tests.kit.steps  # noqa: F401
from worker.main import run_worker

if __name__ == "__main__":
    sys.exit(run_worker(sys.argv[1:]))
