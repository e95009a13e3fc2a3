"""Every job by its name: the one door for the command line, HTTP and chat."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from worker.errors import UsageError
from worker.plan import Plan
from workflows.model import Fleet
from workflows.options import Options
from workflows.pool import plan_drain, plan_enable
from workflows.problems import nearest
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
