"""The Celery app: settings, publishing lanes as chains, and the tasks of a worker.

Producers (command line, HTTP, chat) need only names; the tasks themselves are registered in a
worker from `worker.step.REGISTRY`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any

from celery import Celery, Task, chain
from kombu.exceptions import OperationalError
from kombu.transport import redis as kombu_redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from worker.engine import Engine
from worker.errors import ServiceError
from worker.execute import Executor
from worker.leases import Leases, connect_redis, redis_away
from worker.mask import mask
from worker.messages import ChainMessage
from worker.settings import settings
from worker.step import REGISTRY
from worker.store import store

DEFAULT_QUEUE = "winch"

_PUBLISH_RETRIES = {
    "max_retries": 10,
    "interval_start": 0.1,
    "interval_step": 0.3,
    "interval_max": 1,
}


class StepEnded(Exception):
    """A step failed, was refused or superseded: shown by Flower as the task's failure."""


def _survive_redis_restarts() -> None:
    """Mend kombu 5.7.0: the worker died when Redis restarted while a message was unacknowledged.

    A channel whose connection is closed already has no client; asking it for its parameters raised
    AttributeError, which nobody above takes for a lost connection.
    """
    channel: Any = kombu_redis.Channel
    original = channel._connparams

    def connparams(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.connection.client is None:
            raise RedisConnectionError("the connection to Redis was closed")
        return original(self, *args, **kwargs)

    channel._connparams = connparams


_survive_redis_restarts()


def make_app(broker_url: str) -> Celery:
    """Make the Celery app for a Redis."""
    made = Celery("winch", broker=broker_url)
    made.conf.update(
        task_default_queue=DEFAULT_QUEUE,
        task_ignore_result=True,  # SQL is the record
        task_serializer="json",
        accept_content=["json"],
        result_accept_content=["json"],
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_send_sent_event=True,
        worker_send_task_events=True,
        worker_prefetch_multiplier=1,
        worker_cancel_long_running_tasks_on_connection_loss=False,  # claims end duplicates
        worker_hijack_root_logger=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        task_publish_retry_policy=_PUBLISH_RETRIES,
        broker_transport_options={
            "visibility_timeout": 900,
            "unacked_restore_interval": 5,
            "unacked_restore_throttle": 1,
            "health_check_interval": 10,
            "socket_keepalive": True,
            "socket_connect_timeout": 5,
            "socket_timeout": 10,
        },
    )
    return made


app = make_app(settings().broker_url)


def queue_of(site: str | None) -> str:
    """The queue whose workers can reach a site."""
    return site or DEFAULT_QUEUE


def publish(message: ChainMessage, to: Celery = app) -> None:
    """Publish the steps of a lane as one chain.

    Raises:
        ServiceError: Redis does not answer. The steward publishes the lane again.
    """
    signatures = [
        to.signature(
            step.name,
            args=(step.label,),
            kwargs={"step": step.step_id},
            immutable=True,
            queue=queue_of(message.site),
            argsrepr=mask(step.label),
            kwargsrepr=f"run {message.run_id}, step {step.step_id}",
        )
        for step in message.steps
    ]
    try:
        chain(*signatures).apply_async()
    except (OperationalError, RedisError, OSError) as error:
        raise redis_away(error) from None


@cache
def engine() -> Engine:
    """The process's engine, on the database and the Redis of the settings."""
    return Engine(store(), Leases(connect_redis(settings().broker_url)), publish)


def queued(site: str | None) -> int:
    """The number of messages in a site's queue."""
    try:
        return int(connect_redis(settings().broker_url).llen(queue_of(site)))
    except RedisError as error:
        raise ServiceError(f"Redis at {mask(settings().broker_url)}: {error}") from None


def register_steps(executor: Executor) -> None:
    """Make a Celery task of every registered step, under the step's own name."""
    for name in REGISTRY:
        app.task(name=name, bind=True, throws=(StepEnded,), shared=False)(
            _task_body(executor, name)
        )


def _task_body(executor: Executor, name: str) -> Callable[..., str]:
    # Flower shows "task-drain" as the state DRAIN, with the text as its result.
    event_type = "task-" + name.rpartition(".")[2].replace("_", "-")

    def run_step(self: Task[Any, Any], _label: str, *, step: int) -> str:
        def event(text: str) -> None:
            with suppress(OperationalError, RedisError, OSError):
                self.send_event(event_type, retry=False, result=text)

        ran = executor.run(step, self.request.id, event)
        if not ran.chain_goes_on:
            self.request.chain = None
        if ran.failed:
            raise StepEnded(ran.text)
        return ran.text

    return run_step
