"""One host's way through an upgrade of nginx, and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pydantic import ValidationError

from tasks.nginx.params import (
    Instance,
    Preflight,
    Quit,
    QuitNew,
    ReloadOld,
    ShutdownWorkers,
    Soak,
    Stage,
    Unstage,
    UpgradeExecutable,
)
from tasks.probe.params import Verify
from worker.plan import BackStep, LaneSpec, StepSpec
from workflows.deploying import lasting, verify_params, verify_step
from workflows.model import Fleet
from workflows.nginx_drain import Draining, draining
from workflows.nginx_gates import new_binary
from workflows.nginx_options import Source
from workflows.options import Options
from workflows.pair_steps import guard_steps
from workflows.problems import problems_of


def instance_of(fleet: Fleet, group_name: str, host: str) -> Instance:
    """Describe a host's nginx.

    Raises:
        UsageError: a path of the group cannot be one.
    """
    group = fleet.nginx[group_name]
    try:
        return Instance(
            host=host,
            group=group_name,
            binary=group.binary,
            pid_file=group.pid_file,
            unit=group.unit,
        )
    except ValidationError as error:
        raise fleet.error(*problems_of(error, Instance, ("nginx", group_name))) from None


def upgrade_lane(
    fleet: Fleet,
    group_name: str,
    host: str,
    source: Source,
    variables: dict[str, str],
    options: Options,
) -> LaneSpec:
    group, wishes = fleet.nginx[group_name], options.nginx
    instance = instance_of(fleet, group_name, host)
    new = new_binary(source)
    verify = _verify(fleet, group_name, host, variables)
    checks = [] if verify is None else Verify.model_validate(verify.params).checks
    soak = group.soak if wishes.soak is None else wishes.soak
    confirm = wishes.confirm or group.confirm
    out = draining(fleet, group_name, host, options) if group.drain else None

    to = source.version or options.nginx.package or "the new version"
    then = ", then wait for approval" if confirm == "manual" else ""
    steps = [
        *guard_steps(fleet, host),
        StepSpec.of(
            "nginx.preflight",
            Preflight(instance=instance, new=new, force=wishes.force),
            f"see that nginx can be upgraded to {to}",
        ),
        *([] if out is None else [out.out]),
        StepSpec.of(
            "nginx.stage", Stage(instance=instance, new=new), f"put nginx {to} at {group.binary}"
        ),
        StepSpec.of(
            "nginx.upgrade_executable",
            UpgradeExecutable(instance=instance, new=new),
            f"start nginx {to} beside the old one (USR2)",
        ),
        *([] if verify is None else [verify]),
        StepSpec.of(
            "nginx.shutdown_workers",
            ShutdownWorkers(instance=instance, new=new),
            "let the old workers finish (WINCH)",
        ),
        *([] if out is None else [out.back]),
        StepSpec.of(
            "nginx.soak",
            Soak(instance=instance, new=new, seconds=soak, checks=checks, confirm=confirm),
            f"watch the new workers for {soak:g} s{then}",
        ),
        StepSpec.of(
            "nginx.quit",
            Quit(instance=instance, new=new, reload=group.reload),
            "end the old master (QUIT)",
        ),
        *([] if verify is None else [verify]),
    ]
    return _lane(fleet, host, out, steps, _way_back(fleet, group_name, host, out, options))


def rollback_lane(fleet: Fleet, group_name: str, host: str, options: Options) -> LaneSpec:
    """Make the lane that brings the old nginx back; it has no way back of its own."""
    out = draining(fleet, group_name, host, options) if fleet.nginx[group_name].drain else None
    steps = back_steps(fleet, group_name, host, options, older=options.nginx.older)
    if out is not None:
        steps = [out.out, *steps, out.back]
    return _lane(fleet, host, out, steps, [])


def _way_back(
    fleet: Fleet, group_name: str, host: str, out: Draining | None, options: Options
) -> list[BackStep]:
    # Each finds out what is left to undo; the first finds out where to go back to.
    back = [
        BackStep(step=step, undoes=["nginx.stage"])
        for step in back_steps(fleet, group_name, host, options, older=True)
    ]
    if out is None:
        return back
    # A host that serves again is drained before its processes change once more.
    return [
        BackStep(step=out.out_again, undoes=["haproxy.enable"]),
        *back,
        BackStep(step=out.back, undoes=["haproxy.drain", "haproxy.enable"]),
    ]


def back_steps(
    fleet: Fleet, group_name: str, host: str, options: Options, *, older: bool
) -> list[StepSpec]:
    """Make the steps that bring the old version back, and see that it serves.

    `older`: whatever upgrade it is that this host has on record.
    """
    instance = instance_of(fleet, group_name, host)
    steps = [
        StepSpec.of(
            "nginx.reload_old",
            ReloadOld(instance=instance, older=older),
            "let the old nginx serve again (HUP)",
        ),
        StepSpec.of(
            "nginx.quit_new", QuitNew(instance=instance, older=older), "end the new master (QUIT)"
        ),
        StepSpec.of(
            "nginx.unstage",
            Unstage(instance=instance, older=older),
            f"put the old nginx back at {instance.binary}",
        ),
    ]
    variables = {**fleet.vars, **options.vars}
    verify = _verify(fleet, group_name, host, variables, old=True)
    return steps if verify is None else [*steps, verify]


def _verify(
    fleet: Fleet, group_name: str, host: str, variables: dict[str, str], *, old: bool = False
) -> StepSpec | None:
    checks = fleet.nginx[group_name].verify
    if old:
        checks = lasting(checks)
    if not checks:
        return None
    values = {**variables, "address": fleet.hosts[host].address, "name": host}
    return verify_step(verify_params(fleet, ("nginx", group_name, "verify"), checks, values))


def _lane(
    fleet: Fleet, host: str, out: Draining | None, steps: list[StepSpec], back: list[BackStep]
) -> LaneSpec:
    """Make a host's lane. A pair's lease holds on both members, so both learn its number."""
    balancers = [] if out is None else out.balancers
    return LaneSpec(
        host=host,
        site=fleet.hosts[host].site,
        leases=[f"host:{host}", *(f"pair:{pair}" for pair in fleet.pairs_of(host))],
        touches=[*_needed(fleet, [host], balancers)],
        steps=steps,
        back=back,
    )


def _needed(fleet: Fleet, hosts: Sequence[str], balancers: Iterable[str]) -> list[str]:
    """Return every machine that lanes of these hosts need, each once."""
    partners = [
        member
        for host in hosts
        for pair in fleet.pairs_of(host)
        for member in fleet.pairs[pair].members
    ]
    return [*dict.fromkeys([*balancers, *hosts, *partners])]
