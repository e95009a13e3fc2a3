"""A sender that claims a message and never comes to send it: `… FILE` appears when it has."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from chatops.notify.config import NotifyFile
from chatops.notify.receiver import AppriseReceiver, Delivery
from chatops.notify.sender import Notifier
from worker.settings import settings
from worker.store import store


class Stuck(AppriseReceiver):
    """Does nothing, for ever."""

    def send(self, title: str, body: str, kind: str = "info") -> Delivery:
        Path(sys.argv[1]).touch()
        threading.Event().wait()
        raise AssertionError("unreachable")


if __name__ == "__main__":
    path = settings().notify_file
    assert path is not None
    Notifier(store(), NotifyFile(path), connect=Stuck).start()
    threading.Event().wait()
