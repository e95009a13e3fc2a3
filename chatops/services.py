"""Redis, the database and the workers, as somebody sees them who is about to ask for something."""

from __future__ import annotations

from redis.exceptions import RedisError
from sqlmodel import col, select

from worker.errors import UsageError
from worker.leases import connect_redis, redis_away
from worker.mask import mask
from worker.models import Lane, WorkerRow
from worker.node import is_dead
from worker.settings import settings
from worker.store import Store

DEFAULT_QUEUE = "winch"


def check_redis() -> None:
    """See that Redis answers.

    Raises:
        ServiceError: it does not.
        UsageError: its address cannot be one.
    """
    url = settings().broker_url
    try:
        connect_redis(url).ping()
    except ValueError as error:
        raise UsageError(
            f"WINCH_REDIS_URL: {mask(url)}: {error}; expected redis://HOST:PORT/0"
        ) from None
    except (RedisError, OSError) as error:
        raise redis_away(error) from None


def unserved(store: Store, run_id: int) -> list[str]:
    """List the queues that a run still needs and that no live worker serves, sorted."""
    with store.read() as session:
        sites = session.exec(
            select(Lane.site)
            .where(Lane.run_id == run_id, col(Lane.status).in_(("pending", "running", "waiting")))
            .distinct()
        ).all()
        workers = session.exec(select(WorkerRow)).all()
    now = store.now()
    served: set[str] = set()
    for worker in workers:
        if not is_dead(worker, now):
            if not worker.sites:
                return []  # it serves every queue that a run needs
            served.update(worker.sites)
    return sorted({site or DEFAULT_QUEUE for site in sites} - served)


def unserved_warning(queues: list[str]) -> str | None:
    """Say what is to be done about queues that nobody serves; None if there are none."""
    if not queues:
        return None
    if queues == [DEFAULT_QUEUE]:
        return "no worker is running; the run waits: start `winch up` or `winch worker`"
    sites = " ".join(f"--site {queue}" for queue in queues)
    return (
        f"no worker serves {', '.join(queues)}; the run waits: start `winch worker` or, where "
        f"those hosts can be reached, `winch worker {sites}`"
    )
