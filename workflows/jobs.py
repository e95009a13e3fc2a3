"""Every job by its name: the one door for the command line, HTTP and chat."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from worker.errors import UsageError
from worker.plan import Plan
from workflows.model import Fleet
from workflows.nginx import plan_nginx_rollback, plan_nginx_upgrade
from workflows.options import Options
from workflows.pair import (
    plan_pair_failback,
    plan_pair_failover,
    plan_pair_prepare,
    plan_pair_unprepare,
    plan_pair_upgrade,
)
from workflows.pool import plan_drain, plan_enable
from workflows.problems import nearest
from workflows.reload import plan_reload
from workflows.roll import plan_roll
from workflows.values import shown


@dataclass(frozen=True)
class Job:
    """A job: how it is planned, what it is asked for, and whether it must be told hosts."""

    name: str
    plan: Callable[[Fleet, str, Options], Plan]
    target: str  # the section of the fleet file that its target is in
    summary: str
    needs_hosts: bool = False


JOBS: dict[str, Job] = {
    job.name: job
    for job in (
        Job("roll", plan_roll, "pools", "drain → redeploy → verify → enable, server by server"),
        Job("drain", plan_drain, "pools", "take servers out, and leave them out", True),
        Job("enable", plan_enable, "pools", "bring servers back", True),
        Job("pair.upgrade", plan_pair_upgrade, "pairs", "BACKUP first, then the former MASTER"),
        Job("pair.failover", plan_pair_failover, "pairs", "a member gives up what it holds"),
        Job("pair.failback", plan_pair_failback, "pairs", "members take their places again"),
        Job("pair.prepare", plan_pair_prepare, "pairs", "let keepalived watch a track_file"),
        Job("pair.unprepare", plan_pair_unprepare, "pairs", "undo pair.prepare"),
        Job("haproxy.reload", plan_reload, "balancers", "a new worker; no server's state is lost"),
        Job("nginx.upgrade", plan_nginx_upgrade, "nginx", "replace nginx's binary under load"),
        Job("nginx.rollback", plan_nginx_rollback, "nginx", "bring the old nginx back"),
    )
}


def plan_job(fleet: Fleet, job: str, target: str, hosts: Sequence[str], options: Options) -> Plan:
    """Plan a job by its name. `hosts` and `options.limit` mean the same.

    Raises:
        UsageError: no such job, target or host, or an option that cannot be.
        Refused: the pool has too few servers.
    """
    known = JOBS.get(job)
    if known is None:
        raise UsageError(f"there is no job {shown(job)}{nearest(job, JOBS)}")
    limit = tuple(dict.fromkeys([*hosts, *options.limit]))
    if known.needs_hosts and not limit:
        raise UsageError(f"{job} {target}: name the hosts, such as '{job} {target} web1'")
    return known.plan(fleet, target, replace(options, limit=limit))
