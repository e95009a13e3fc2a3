"""Before any nginx is touched: every machine answers, and every host has the new binary."""

from __future__ import annotations

from collections.abc import Sequence

from tasks.haproxy.params import CheckPool
from tasks.nginx.params import Instance, NewBinary
from tasks.nginx_binary.params import (
    Build,
    CheckGroup,
    CheckRollback,
    PreflightGroup,
    Unpack,
    Upload,
)
from worker.errors import UsageError
from worker.plan import StepSpec
from workflows.model import Fleet
from workflows.nginx_drain import draining
from workflows.nginx_options import NginxOptions, Source
from workflows.options import Options
from workflows.problems import nearest
from workflows.sections import Nginx
from workflows.values import shown


def gate_steps(
    fleet: Fleet,
    group: Nginx,
    group_name: str,
    members: Sequence[str],
    needed: Sequence[str],
    options: Options,
) -> list[StepSpec]:
    """Make the checks for the hosts of one site; `needed` are all machines that they need."""
    names = list(dict.fromkeys(needed))
    count = "1 machine" if len(names) == 1 else f"{len(names)} machines"
    steps = [StepSpec.of("nginx.check_group", CheckGroup(hosts=names), f"reach {count}")]
    if group.drain:
        steps += _pool_checks(fleet, group_name, members, options)
    return steps


def _pool_checks(
    fleet: Fleet, group_name: str, members: Sequence[str], options: Options
) -> list[StepSpec]:
    """Check the servers once for each set of balancers and way of counting."""
    checks: dict[str, CheckPool] = {}
    for host in members:
        check = draining(fleet, group_name, host, options).check
        key = check.model_copy(update={"targets": []}).model_dump_json()
        before = checks.get(key)
        targets = check.targets if before is None else [*before.targets, *check.targets]
        checks[key] = check.model_copy(update={"targets": targets})
    return [
        StepSpec.of(
            "haproxy.check_pool",
            check,
            f"check {len(check.targets)} servers on {', '.join(b.host for b in check.balancers)}",
        )
        for check in checks.values()
    ]


def preflight_step(
    instances: Sequence[Instance], source: Source, options: NginxOptions
) -> StepSpec:
    """Make the step that looks whether any host of one site would refuse."""
    check = PreflightGroup(instances=list(instances), new=new_binary(source), force=options.force)
    to = source.version or options.package or "the new version"
    return StepSpec.of("nginx.preflight_group", check, f"see that all can be upgraded to {to}")


def rollback_step(instances: Sequence[Instance], options: NginxOptions, *, all_: bool) -> StepSpec:
    """Make the step that says from which version to which the hosts of one site go back."""
    check = CheckRollback(instances=list(instances), older=options.older, all_=all_)
    return StepSpec.of("nginx.check_rollback", check, "see where each host goes back to")


def new_binary(source: Source) -> NewBinary:
    """Describe the new binary as the hosts are going to have it."""
    sha256 = source.sha256 if source.kind == "binary" else None  # of the others: made on the host
    return NewBinary(path=source.path, sha256=sha256, version=source.version)


def fetch_step(
    fleet: Fleet,
    site: str | None,
    instances: Sequence[Instance],
    source: Source,
    options: NginxOptions,
) -> StepSpec:
    """Make the step that brings the new binary to the hosts of one site.

    Raises:
        UsageError: a build host that is none, or that workers of this site cannot reach.
    """
    hosts = [instance.host for instance in instances]
    to = f"{len(hosts)} hosts" if len(hosts) > 1 else hosts[0]
    if source.file is None or source.sha256 is None:
        unpack = Unpack(
            instances=list(instances), version=options.package or "", target=source.path
        )
        summary = f"unpack nginx of package {options.package} on {to}"
        return StepSpec.of("nginx.unpack_package", unpack, summary)
    if source.kind == "binary":
        upload = Upload(
            hosts=hosts, file=str(source.file), sha256=source.sha256, target=source.path
        )
        summary = f"upload nginx {source.version} to {to}"
        return StepSpec.of("nginx.upload_binary", upload, summary)
    build = Build(
        build_host=_build_host(fleet, site, hosts, options.build_host),
        like=instances[0],
        hosts=hosts,
        source=str(source.file),
        sha256=source.sha256,
        version=source.version or "",
        target=source.path,
        drop=list(options.drop_arguments),
        drop_unknown=options.drop_unknown,
        add=list(options.add_arguments),
    )
    summary = f"build nginx {source.version} on {build.build_host} for {to}"
    return StepSpec.of("nginx.build_binary", build, summary)


def _build_host(fleet: Fleet, site: str | None, hosts: Sequence[str], wanted: str | None) -> str:
    """Choose the build host: the asked one, else the first host of the group at this site."""
    if wanted is None:
        return hosts[0]
    if wanted not in fleet.hosts:
        raise UsageError(
            f"--build-host: {shown(wanted)} is not under hosts{nearest(wanted, fleet.hosts)}"
        )
    other = fleet.hosts[wanted].site
    if other != site:
        raise UsageError(
            f"--build-host {wanted} is at site {other or 'default'}, and {hosts[0]} at site "
            f"{site or 'default'}: workers of one cannot reach the other; upgrade site by site "
            "(--limit), or leave --build-host out: each site then builds on its own first host"
        )
    return wanted
