"""A real worker process that knows the test's steps: `python -m tests.kit.worker [SITE…]`."""

from __future__ import annotations

import os
import sys

import tests.kit.steps  # noqa: F401
from chatops.notify.sender import configured_notifier
from tests.kit import dying
from worker.main import run_worker

if __name__ == "__main__":
    if dying.VARIABLE in os.environ:
        dying.arm(os.environ[dying.VARIABLE])
    notifier = configured_notifier()
    sys.exit(run_worker(sys.argv[1:], beside=[] if notifier is None else [notifier]))
