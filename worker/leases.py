"""Leases: the right to touch a host, a VRRP pair or a balancer.

SQL is the record, with a fencing number that only grows; Redis answers "is this taken?" without a
transaction, and may forget everything. A lease is owned by a run and used by one lane at a time:
two lanes of one run do not share a pair either.

Numbers start from the time in milliseconds, so that hosts, which remember the last number they saw,
are never ahead of a new database.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache

import redis
from redis.exceptions import RedisError
from sqlalchemy import text
from sqlmodel import Session, col, select

from worker.errors import ServiceError
from worker.mask import mask
from worker.models import Lane, Lease
from worker.settings import settings

_PREFIX = "winch:lease:"
_ONE_AT_A_TIME = 0x77696E6368  # of PostgreSQL's advisory locks: ours, whatever else is in there
_TTL_MS = 60_000  # the steward renews those of unfinished runs every few seconds

# KEYS: leases. ARGV: owner, lifetime in ms. Takes all or none; the same owner may take again.
# Returns the index and the owner of the first that is taken, or nothing.
_TAKE = """
for i, key in ipairs(KEYS) do
  local owner = redis.call('GET', key)
  if owner and owner ~= ARGV[1] then return {i, owner} end
end
for _, key in ipairs(KEYS) do redis.call('SET', key, ARGV[1], 'PX', ARGV[2]) end
return {}
"""
_RELEASE = """
for _, key in ipairs(KEYS) do
  if redis.call('GET', key) == ARGV[1] then redis.call('DEL', key) end
end
"""


def redis_url(broker_url: str) -> str:
    """Say a Celery broker URL as redis-py does (unix sockets have another scheme there)."""
    return broker_url.replace("redis+socket://", "unix://", 1)


@cache
def connect_redis(broker_url: str) -> redis.Redis:
    """Make the process's Redis client (a pool, thread-safe)."""
    client: redis.Redis = redis.Redis.from_url(
        redis_url(broker_url), socket_timeout=5, socket_connect_timeout=5, decode_responses=True
    )
    return client


def redis_away(error: Exception) -> ServiceError:
    """Say that Redis does not answer, and what to do."""
    return ServiceError(
        f"Redis at {mask(settings().broker_url)} does not answer ({error}); "
        "start `winch up`, or set WINCH_REDIS_URL"
    )


@dataclass(frozen=True)
class Conflict:
    """A lease that another lane has. `run_id` None: Redis knows only the owner's name."""

    name: str
    run_id: int
    lane_id: int | None


class Leases:
    """Takes and gives back leases, in SQL within the caller's transaction and in Redis."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client
        self._take = client.register_script(_TAKE)
        self._release = client.register_script(_RELEASE)

    def acquire(self, session: Session, lane: Lane, now: float) -> Conflict | None:
        """Take all leases of a lane, with new numbers, or none of them.

        Raises:
            ServiceError: Redis does not answer.
        """
        rows = _locked(session, lane.leases)
        for row in rows:
            if row.run_id is not None and (row.run_id, row.lane_id) != (lane.run_id, lane.id):
                return Conflict(row.name, row.run_id, row.lane_id)
        if lane.leases:
            self._take_in_redis(lane.leases, _owner(lane.run_id))
        lane.numbers = {row.name: _next_number(row, now) for row in rows}
        lane.fenced = False
        for row in rows:
            row.run_id, row.lane_id, row.taken_at = lane.run_id, lane.id, now
            session.add(row)
        return None

    def raise_numbers(self, session: Session, lane: Lane, now: float) -> None:
        """Give a lane newer numbers: whoever acts with the old ones is refused by the hosts.

        A lease that was broken keeps its old number: left out, the hosts could not refuse this one.
        """
        mine = [
            row
            for row in _locked(session, lane.leases)
            if (row.run_id, row.lane_id) == (lane.run_id, lane.id)
        ]
        lane.numbers = {**lane.numbers, **{row.name: _next_number(row, now) for row in mine}}
        lane.fenced = False
        session.add_all(mine)

    def release(self, session: Session, lane: Lane) -> list[str]:
        """Give back what a lane holds, in SQL. Returns the names for `forget`, after the commit."""
        rows = [
            row
            for row in _locked(session, lane.leases)
            if row.run_id == lane.run_id and row.lane_id == lane.id
        ]
        for row in rows:
            row.run_id = row.lane_id = row.taken_at = None
            session.add(row)
        lane.numbers = {}
        return [row.name for row in rows]

    def forget(self, names: Iterable[str], run_id: int) -> None:
        """Give leases back in Redis. What fails here expires there by itself."""
        keys = [_PREFIX + name for name in names]
        if keys:
            with suppress(RedisError):
                self._release(keys=keys, args=[_owner(run_id)])

    def renew(self, held: Mapping[str, int]) -> None:
        """Write what SQL says (lease name -> run) to Redis: renewal, and repair after a loss."""
        with _redis_translated(), self._redis.pipeline(transaction=False) as pipeline:
            for name, run_id in held.items():
                pipeline.set(_PREFIX + name, _owner(run_id), px=_TTL_MS)
            pipeline.execute()

    def _take_in_redis(self, names: list[str], owner: str) -> None:
        keys = [_PREFIX + name for name in names]
        with _redis_translated():
            taken = self._take(keys=keys, args=[owner, _TTL_MS])
            if taken:
                # The rows are locked and free, so this is the left-over of a release that Redis
                # did not hear of.
                for key in keys:
                    self._redis.set(key, owner, px=_TTL_MS)


def broken(session: Session, lane: Lane) -> list[str]:
    """The leases of a lane under way that are its own no more: somebody has broken them."""
    if not lane.leases:
        return []
    query = select(Lease).where(col(Lease.name).in_(lane.leases)).order_by(Lease.name)
    return [
        row.name
        for row in session.exec(query)
        if (row.run_id, row.lane_id) != (lane.run_id, lane.id)
    ]


def _owner(run_id: int) -> str:
    return f"run:{run_id}"


def _next_number(row: Lease, now: float) -> int:
    row.number = max(row.number + 1, int(now * 1000))
    return row.number


def _locked(session: Session, names: list[str]) -> list[Lease]:
    """Lock the rows of leases, in one order for everybody; make those that are not there yet.

    A transaction may do so for several lanes, one after the other, and then no order of rows is
    everybody's: so on PostgreSQL one changes leases at a time. Whoever locks a run or lanes does
    that before.
    """
    if not names:
        return []
    ordered = sorted(names)
    if session.get_bind().dialect.name == "postgresql":
        session.connection().execute(text(f"SELECT pg_advisory_xact_lock({_ONE_AT_A_TIME})"))
    query = select(Lease).where(col(Lease.name).in_(ordered)).order_by(Lease.name).with_for_update()
    rows = list(session.exec(query))
    if len(rows) < len(ordered):
        known = {row.name for row in rows}
        for name in ordered:
            if name not in known:
                session.connection().execute(
                    text(
                        "INSERT INTO leases (name, number) VALUES (:name, 0) ON CONFLICT DO NOTHING"
                    ),
                    {"name": name},
                )
        rows = list(session.exec(query))
    return rows


@contextmanager
def _redis_translated() -> Iterator[None]:
    try:
        yield
    except (RedisError, OSError) as error:
        raise redis_away(error) from None
