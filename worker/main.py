"""A worker process: Celery with a thread pool, the heartbeat and the steward."""

from __future__ import annotations

import importlib
import logging
import os
import socket
import time
import warnings
from collections.abc import Sequence
from typing import Any, Protocol

from celery.exceptions import SecurityWarning
from celery.signals import setup_logging
from redis.exceptions import RedisError

from worker.app import DEFAULT_QUEUE, app, engine, queued, register_steps
from worker.execute import Executor
from worker.leases import connect_redis, redis_away
from worker.logs import configure_logging
from worker.node import Node
from worker.settings import settings
from worker.ssh import Connections
from worker.steward import Steward
from worker.store import store

log = logging.getLogger(__name__)

_IDLE_AFTER = 300.0  # seconds until a connection that nobody uses is closed
_WAIT_FOR_REDIS = 30.0  # seconds, at the start


class Companion(Protocol):
    """Something that lives as long as a worker does, and of which `worker` knows no more."""

    def start(self) -> None:
        """Begin."""

    def stop(self) -> None:
        """End, within seconds."""


def run_worker(
    sites: Sequence[str] = (),
    *,
    concurrency: int | None = None,
    beside: Sequence[Companion] = (),
) -> int:
    """Run a worker until it is told to stop (SIGTERM: finish the steps under way; twice: now).

    `sites`: the queues to serve; none: the default one and those of every site that runs need.
    `beside`: what else runs in this process, as long as the worker does.

    Raises:
        ServiceError: Redis or the database is not there.
    """
    configure_logging(settings().log_format)
    # Celery fears root because of pickle; messages here are JSON only.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    setup_logging.connect(_keep_logging, weak=False)
    wait_for_redis(_WAIT_FOR_REDIS)
    importlib.import_module("tasks.registry")  # by name: `worker` knows no daemon
    connections = Connections()
    node = Node(
        store(),
        sites,
        on_site=None if sites else _listen_to,
        tidy=lambda: connections.close_idle(_IDLE_AFTER),
    )
    register_steps(Executor(engine(), connections, node))
    steward = Steward(engine(), node, queued)
    node.start()
    steward.start()
    for companion in beside:
        companion.start()
    name = f"winch-{os.getpid()}@{socket.gethostname()}"
    try:
        worker = app.Worker(
            hostname=name,
            pool="threads",
            concurrency=concurrency or settings().concurrency,
            queues=[*sites] if sites else [DEFAULT_QUEUE],
            optimization="fair",
            without_gossip=True,
            without_mingle=True,
            loglevel="INFO",
            quiet=True,
        )
        _listening["destination"] = name
        worker.start()
        return int(worker.exitcode or 0)
    finally:
        steward.stop()
        node.stop()
        for companion in beside:
            companion.stop()
        connections.close()


_listening: dict[str, str] = {}


def _listen_to(site: str) -> None:
    """Consume from one more queue (a run needs a site that nobody has served so far)."""
    if "destination" in _listening:
        app.control.add_consumer(site, destination=[_listening["destination"]])


def _keep_logging(**_kwargs: Any) -> None:
    """Connected to `setup_logging`, so that Celery leaves our logging alone."""


def wait_for_redis(seconds: float) -> None:
    """Wait until Redis answers.

    Raises:
        ServiceError: it did not within `seconds`.
    """
    deadline = time.monotonic() + seconds
    client = connect_redis(settings().broker_url)
    while True:
        try:
            client.ping()
        except (RedisError, OSError) as error:
            if time.monotonic() > deadline:
                raise redis_away(error) from None
            time.sleep(0.2)
        else:
            return
