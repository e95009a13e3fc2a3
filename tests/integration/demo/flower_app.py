"""A Celery app with one task that says how far it is, for Flower to show."""

import os
import threading
from typing import Any

from celery import Celery

app = Celery(broker=os.environ["TEST_BROKER_URL"])
app.conf.update(worker_send_task_events=True, task_send_sent_event=True, task_ignore_result=True)


@app.task(bind=True, name="haproxy.drain")
def drain(self: Any, server: str) -> str:
    self.send_event("task-draining", result="3 of 8 sessions left", retry=False)
    threading.Event().wait(float(os.environ["TEST_HOLD_SECONDS"]))
    return f"{server}: 0 sessions"
