"""A plan's lanes and steps, written to the database."""

from __future__ import annotations

from sqlmodel import Session

from worker.models import BACK, FORWARD, Lane, Step
from worker.plan import LaneSpec, Plan, StepSpec
from worker.rows import row_id


def write_lane(session: Session, run_id: int, position: int, spec: LaneSpec, plan: Plan) -> None:
    """Write a lane of a run, and its steps."""
    needed = _hosts_of(spec, plan)
    lane = Lane(
        run_id=run_id,
        position=position,
        host=spec.host,
        site=spec.site,
        gate=spec.gate,
        leases=sorted(spec.leases),
        touches=list(spec.touches),
        hosts={name: plan.hosts[name].model_dump(mode="json") for name in sorted(needed)},
    )
    session.add(lane)
    session.flush()
    forward: list[tuple[StepSpec, str, list[str]]] = [(step, FORWARD, []) for step in spec.steps]
    back = [(back.step, BACK, list(back.undoes)) for back in spec.back]
    for number, (step, direction, undoes) in enumerate(forward + back):
        session.add(
            Step(
                run_id=run_id,
                lane_id=row_id(lane.id),
                position=number,
                direction=direction,
                name=step.name,
                summary=step.summary,
                params=step.params,
                undoes=undoes,
                status="pending" if direction == FORWARD else "idle",
            )
        )


def _hosts_of(spec: LaneSpec, plan: Plan) -> set[str]:
    """The hosts a lane can talk to: its own, those it touches, and the way to them.

    A gate looks at the whole fleet of the run.
    """
    wanted = set(plan.hosts) if spec.gate else {spec.host, *spec.touches, *spec.reads}
    todo = list(wanted)
    while todo:
        host = plan.hosts.get(todo.pop())
        if host is not None and host.ssh.jump is not None and host.ssh.jump not in wanted:
            wanted.add(host.ssh.jump)
            todo.append(host.ssh.jump)
    return wanted & set(plan.hosts)
