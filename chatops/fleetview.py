"""The fleet as somebody may see it: what is in the file, and what was done to each host last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func
from sqlmodel import col, select

from chatops.authorise import covers
from worker.models import Lane, Run
from worker.report import iso
from worker.store import Store
from workflows.model import Fleet

Document = dict[str, Any]


def fleet_document(fleet: Fleet, store: Store, scopes: Sequence[str]) -> Document:
    """Describe the part of a fleet that is within scopes, with the machines that belong to it."""
    pools = {name: pool for name, pool in fleet.pools.items() if covers(scopes, f"pool:{name}")}
    pairs = {name: pair for name, pair in fleet.pairs.items() if covers(scopes, f"pair:{name}")}
    nginx = {name: group for name, group in fleet.nginx.items() if covers(scopes, f"nginx:{name}")}
    balancers = {name for name in fleet.balancers if covers(scopes, f"balancer:{name}")}
    balancers |= {name for pool in pools.values() for name in pool.balancers}
    hosts = set(fleet.hosts) if not scopes else set(balancers)
    hosts |= {host for pool in pools.values() for host in pool.servers}
    hosts |= {host for pair in pairs.values() for host in pair.members}
    hosts |= {host for group in nginx.values() for host in group.hosts}
    last = _last(store, hosts, scopes)
    return {
        "hosts": [
            {
                "name": name,
                "address": host.address,
                "site": host.site,
                "pools": [pool for pool, found in pools.items() if name in found.servers],
                "pairs": [pair for pair, found in pairs.items() if name in found.members],
                "nginx": [group for group, found in nginx.items() if name in found.hosts],
                "balancer": name in balancers,
                "last": last.get(name),
            }
            for name, host in fleet.hosts.items()
            if name in hosts
        ],
        "balancers": [name for name in fleet.balancers if name in balancers],
        "pools": [
            {
                "name": name,
                "balancers": pool.balancers,
                "backends": pool.backends,
                "servers": list(pool.servers),
                "redeploy": None if pool.redeploy is None else _kind(pool.redeploy),
            }
            for name, pool in pools.items()
        ],
        "pairs": [
            {
                "name": name,
                "members": pair.members,
                "addresses": [str(address.ip) for address in pair.addresses],
            }
            for name, pair in pairs.items()
        ],
        "nginx": [{"name": name, "hosts": group.hosts} for name, group in nginx.items()],
    }


def _kind(redeploy: Any) -> str | None:
    """Which of docker, package, systemd, release and command it is."""
    return next((key for key, value in redeploy.model_dump().items() if value is not None), None)


def _last(store: Store, hosts: set[str], scopes: Sequence[str]) -> dict[str, Document]:
    """The newest run that did something to each host."""
    with store.read() as session:
        query = (
            select(Lane.host, Run.scope, func.max(Lane.id))
            .join(Run, col(Run.id) == col(Lane.run_id))
            .where(col(Lane.gate).is_(False), col(Lane.changed).is_(True))
            .group_by(col(Lane.host), col(Run.scope))
        )
        newest: dict[str, int] = {}
        for host, scope, lane_id in session.exec(query):
            if lane_id is not None and host in hosts and covers(scopes, scope):
                newest[host] = max(newest.get(host, 0), lane_id)
        rows: list[tuple[Lane, Run]] = []
        ids = sorted(newest.values())
        for start in range(0, len(ids), 500):
            rows += session.exec(
                select(Lane, Run)
                .join(Run, col(Run.id) == col(Lane.run_id))
                .where(col(Lane.id).in_(ids[start : start + 500]))
            ).all()
    return {
        lane.host: {
            "run": run.id,
            "job": run.job,
            "target": run.target,
            "status": lane.status,
            "vars": run.vars,
            "ended_at": iso(lane.ended_at),
        }
        for lane, run in rows
    }
