from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tasks.haproxy.params import CheckPool, Drain
from tasks.nginx.params import Preflight, Soak
from tasks.nginx_binary.params import Build, CheckGroup, PreflightGroup, Unpack, Upload
from tests.unit.workflows.fleets import SMALL, load, refused
from worker.errors import Refused, UsageError
from worker.plan import LaneSpec, Plan
from worker.step import REGISTRY
from workflows.fleet import Fleet
from workflows.jobs import plan_job
from workflows.nginx_options import NginxOptions
from workflows.options import Options

GROUP = """\
nginx:
  edge:
    hosts: [web1, web2]
    verify: [{http: {url: "http://{address}/", contains: "{version}"}}]
    soak: 5s
"""
CONTRACT = [
    "nginx.preflight",
    "nginx.stage",
    "nginx.upgrade_executable",
    "probe.verify",
    "nginx.shutdown_workers",
    "nginx.soak",
    "nginx.quit",
    "probe.verify",
]
NGINX = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x03\x00" + bytes(40)
NGINX += b"nginx version: nginx/1.26.3\0configure arguments: --with-threads\0"


def upgrade(fleet: Fleet, package: str = "1.26", **options: Any) -> Plan:
    return upgrade_with(fleet, NginxOptions.parse(package=package), **options)


def upgrade_with(fleet: Fleet, nginx: NginxOptions, **options: Any) -> Plan:
    return plan_job(fleet, "nginx.upgrade", "edge", [], Options(nginx=nginx, **options))


def names(lane: LaneSpec) -> list[str]:
    return [step.name for step in lane.steps]


def test_a_lane_has_the_steps_of_the_contract_and_their_ways_back(tmp_path: Path) -> None:
    plan = upgrade(load(tmp_path, SMALL + GROUP))
    gate, *lanes = plan.lanes
    assert gate.gate
    assert names(gate) == ["nginx.check_group", "nginx.unpack_package", "nginx.preflight_group"]
    assert [lane.host for lane in lanes] == ["web1", "web2"]
    for lane in lanes:
        assert names(lane) == CONTRACT
        assert [(back.step.name, back.undoes) for back in lane.back] == [
            ("nginx.reload_old", ["nginx.stage"]),
            ("nginx.quit_new", ["nginx.stage"]),
            ("nginx.unstage", ["nginx.stage"]),
            ("probe.verify", ["nginx.stage"]),
        ]
        assert lane.leases == [f"host:{lane.host}"]
        assert lane.touches == [lane.host]
    assert (plan.policy.max_unavailable, plan.policy.on_failure) == (1, "rollback")


def test_the_new_version_is_the_variable_and_the_old_one_is_not_asked_for_it(
    tmp_path: Path,
) -> None:
    plan = upgrade(load(tmp_path, SMALL + GROUP))
    assert plan.vars["version"] == "1.26"
    lane = plan.lanes[1]
    (check,) = lane.steps[3].params["checks"]
    assert (check["http"]["contains"], check["http"]["url"]) == ("1.26", "http://10.0.0.11/")
    (before,) = lane.back[-1].step.params["checks"]
    assert before["http"]["contains"] is None
    soak = Soak.model_validate(lane.steps[5].params)
    assert (soak.seconds, soak.confirm, len(soak.checks)) == (5.0, "auto", 1)


def test_without_verify_nothing_is_verified(tmp_path: Path) -> None:
    group = "".join(line for line in GROUP.splitlines(True) if "verify" not in line)
    lane = upgrade(load(tmp_path, SMALL + group)).lanes[1]
    assert names(lane) == [name for name in CONTRACT if name != "probe.verify"]


def test_a_file_is_looked_at_and_uploaded_under_its_checksum(tmp_path: Path) -> None:
    file = tmp_path / "nginx"
    file.write_bytes(NGINX)
    plan = upgrade_with(load(tmp_path, SMALL + GROUP), NginxOptions.parse(binary=str(file)))
    params = Upload.model_validate(plan.lanes[0].steps[-2].params)
    assert params.hosts == ["web1", "web2"]
    assert params.target == f"/var/lib/winch/nginx/binary-1.26.3-{params.sha256[:12]}/nginx"
    new = Preflight.model_validate(plan.lanes[1].steps[0].params).new
    assert (new.path, new.sha256, new.version) == (params.target, params.sha256, "1.26.3")
    assert plan.vars["version"] == "1.26.3"
    group = PreflightGroup.model_validate(plan.lanes[0].steps[-1].params)
    assert [instance.host for instance in group.instances] == ["web1", "web2"]
    assert group.new == new


def test_a_package_is_unpacked_on_every_host_where_it_says_what_it_is(tmp_path: Path) -> None:
    plan = upgrade(load(tmp_path, SMALL + GROUP), package="1.26.3-3+deb13u1")
    params = Unpack.model_validate(plan.lanes[0].steps[-2].params)
    assert [instance.host for instance in params.instances] == ["web1", "web2"]
    assert params.target == "/var/lib/winch/nginx/package-1.26.3-3+deb13u1/nginx"
    new = Preflight.model_validate(plan.lanes[1].steps[0].params).new
    assert (new.path, new.sha256, new.version) == (params.target, None, None)


def test_a_source_is_built_on_the_first_host_of_each_site(tmp_path: Path) -> None:
    from tests.unit.tasks.nginx_binary.test_local import GOOD, tarball  # noqa: PLC0415

    source = str(tarball(tmp_path / "nginx.tar.gz", GOOD))
    text = SMALL.replace("10.0.0.12}", "10.0.0.12, site: dc2}") + GROUP
    fleet = load(tmp_path, text)
    plan = upgrade_with(fleet, NginxOptions.parse(build=source, drop_arguments=["--with-foo"]))
    gates = [lane for lane in plan.lanes if lane.gate]
    assert [(gate.host, gate.site) for gate in gates] == [
        ("preflight.default", None),
        ("preflight.dc2", "dc2"),
    ]
    builds = [Build.model_validate(gate.steps[-2].params) for gate in gates]
    assert [(build.build_host, build.hosts, build.like.host) for build in builds] == [
        ("web1", ["web1"], "web1"),
        ("web2", ["web2"], "web2"),
    ]
    assert builds[0].drop == ["--with-foo"]
    assert builds[0].target == builds[1].target
    kept = upgrade_with(fleet, NginxOptions.parse(build=source)).lanes[0].steps[-2]
    assert Build.model_validate(kept.params).target != builds[0].target
    with pytest.raises(UsageError, match=r"--build-host web3 is at site default, and web2 at"):
        upgrade_with(fleet, NginxOptions.parse(build=source, build_host="web3"))
    with pytest.raises(UsageError, match="did you mean 'web3'"):
        upgrade_with(fleet, NginxOptions.parse(build=source, build_host="wep3"))


def test_with_drain_a_host_is_out_only_while_its_processes_change(tmp_path: Path) -> None:
    plan = upgrade(load(tmp_path, SMALL + GROUP + "    drain: true\n"))
    gate, lane, _ = plan.lanes
    assert names(gate) == [
        "nginx.check_group",
        "haproxy.check_pool",
        "nginx.unpack_package",
        "nginx.preflight_group",
    ]
    assert CheckGroup.model_validate(gate.steps[0].params).hosts == ["lb1", "web1", "web2"]
    targets = CheckPool.model_validate(gate.steps[1].params).targets
    assert [str(target) for target in targets] == ["app/web1", "app/web2"]
    assert names(lane) == [
        "nginx.preflight",
        "haproxy.drain",
        *CONTRACT[1:5],
        "haproxy.enable",
        *CONTRACT[5:],
    ]
    assert lane.touches == ["lb1", "web1"]
    backs = [(back.step.name, back.undoes) for back in lane.back]
    assert backs[0] == ("haproxy.drain", ["haproxy.enable"])
    assert backs[-1] == ("haproxy.enable", ["haproxy.drain", "haproxy.enable"])
    assert lane.back[0].step.params["include_maintenance"] is True
    assert lane.steps[1].params["include_maintenance"] is False


def test_a_host_in_two_pools_is_drained_in_both_if_they_agree(tmp_path: Path) -> None:
    other = "  api: {balancers: [lb1], backends: [api], servers: {web1: {server: a1}, web3: {}}@}\n"
    text = SMALL + other.replace("@", "") + GROUP + "    drain: true\n"
    lane = upgrade(load(tmp_path, text)).lanes[1]
    drain = Drain.model_validate(lane.steps[1].params)
    assert [str(target) for target in drain.targets] == ["app/web1", "api/a1"]
    assert lane.steps[1].summary == "drain app/web1, api/a1 on lb1"
    text = SMALL + other.replace("@", ", drain: {timeout: 1s}") + GROUP + "    drain: true\n"
    with pytest.raises(UsageError, match=r"web1 is in the pools web and api, .* the same drain$"):
        upgrade(load(tmp_path, text))


def test_what_cannot_be_drained_is_refused(tmp_path: Path) -> None:
    text = SMALL.replace("web2: {}, ", "") + GROUP + "    drain: true\n"
    with pytest.raises(UsageError, match="web2 is in no pool"):
        upgrade(load(tmp_path, text))
    text = SMALL + "    policy: {min_available: 4}\n" + GROUP + "    drain: true\n"
    with pytest.raises(Refused, match="pool web: 4 servers, and 4 must stay available"):
        upgrade(load(tmp_path, text))


def test_the_policy_of_the_group_counts_and_a_pool_bounds_it(tmp_path: Path) -> None:
    policy = "    policy: {max_unavailable: 100%, stages: [1], max_failures: 1, on_failure: stop}\n"
    plan = upgrade(load(tmp_path, SMALL + GROUP + policy))
    assert plan.policy.max_unavailable == 2
    assert (plan.policy.stages, plan.policy.max_failures) == ([1, 2], 1)
    assert plan.policy.on_failure == "stop"
    text = SMALL + "    policy: {min_available: 3}\n" + GROUP + policy + "    drain: true\n"
    assert upgrade(load(tmp_path, text)).policy.max_unavailable == 1
    narrowed = upgrade(load(tmp_path, SMALL + GROUP + policy), max_unavailable="1")
    assert narrowed.policy.max_unavailable == 1


def test_a_host_in_a_pair_needs_its_lease_and_tells_both_members(tmp_path: Path) -> None:
    address = "{ip: 10.0.0.9, interface: eth0, router_id: 5, home: web1}"
    text = SMALL + f"pairs:\n  zone: {{members: [web1, web3], addresses: [{address}]}}\n" + GROUP
    lane = upgrade(load(tmp_path, text)).lanes[1]
    assert lane.leases == ["host:web1", "pair:zone"]
    assert lane.touches == ["web1", "web3"]


def test_a_rollback_needs_no_source_and_has_no_way_back(tmp_path: Path) -> None:
    fleet = load(tmp_path, SMALL + GROUP + "    drain: true\n")
    plan = plan_job(fleet, "nginx.rollback", "edge", ["web2"], Options())
    gate, lane = plan.lanes
    assert names(gate) == ["nginx.check_group", "haproxy.check_pool", "nginx.check_rollback"]
    assert [step.params["older"] for step in lane.steps[1:4]] == [False] * 3
    assert names(lane) == [
        "haproxy.drain",
        "nginx.reload_old",
        "nginx.quit_new",
        "nginx.unstage",
        "probe.verify",
        "haproxy.enable",
    ]
    assert (lane.host, lane.back, plan.policy.on_failure) == ("web2", [], "stop")


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({}, "got none"),
        ({"package": "1.26", "binary": "/bin/true"}, "got 2 of them"),
        ({"package": "latest"}, "must be a version, such as 1.26.3"),
        ({"package": "-t=x"}, "must be a version"),
        ({"package": "1.26", "build_host": "web1"}, "--build-host goes with --build"),
        ({"package": "1.26", "drop_arguments": ["--x"]}, "--drop-argument goes with --build"),
        ({"build": "/x.tar.gz", "drop_arguments": ["x"]}, "must be an argument of configure"),
        ({"build": "/nowhere/x.tar.gz"}, "there is no such file"),
        ({"binary": "/etc/passwd"}, "no ELF executable"),
        ({"package": "1.26", "soak": "10"}, "did you mean '10s'"),
        ({"package": "1.26", "confirm": "yes"}, "must be auto or manual"),
    ],
)
def test_wrong_input_is_told_before_anything_is_asked(
    tmp_path: Path, given: dict[str, Any], reason: str
) -> None:
    fleet = load(tmp_path, SMALL + GROUP)
    with pytest.raises(UsageError, match=reason):
        upgrade_with(fleet, NginxOptions.parse(**given))


def test_unknown_groups_hosts_and_variables_are_refused(tmp_path: Path) -> None:
    fleet = load(tmp_path, SMALL + GROUP)
    source = NginxOptions.parse(package="1.26")
    for target, hosts, options, reason in (
        ("edgy", [], Options(nginx=source), "did you mean 'edge'"),
        ("edge", ["web3"], Options(nginx=source), "'web3' is not in nginx group edge"),
        ("edge", [], Options(nginx=source, vars={"versoin": "1"}), "did you mean 'version'"),
        ("edge", [], Options(nginx=source, exclude=("web1", "web2")), "leave no host"),
    ):
        with pytest.raises(UsageError, match=reason):
            plan_job(fleet, "nginx.upgrade", target, hosts, options)


def test_paths_that_a_step_would_refuse_are_told_with_their_line(tmp_path: Path) -> None:
    fleet = load(tmp_path, SMALL + GROUP + "    binary: /usr/../sbin/nginx\n")
    with pytest.raises(UsageError, match=r"fleet.yaml:\d+: nginx.edge.binary: "):
        upgrade(fleet)
    assert "nginx.edge.policy.max_unavailble" in "".join(
        refused(tmp_path, SMALL + GROUP + "    policy: {max_unavailble: 1}\n")
    )


def test_every_step_that_is_planned_is_registered(tmp_path: Path) -> None:
    import tasks.registry  # noqa: F401, PLC0415

    fleet = load(tmp_path, SMALL + GROUP + "    drain: true\n")
    plans = [upgrade(fleet), plan_job(fleet, "nginx.rollback", "edge", [], Options())]
    for lane in (lane for plan in plans for lane in plan.lanes):
        for step in [*lane.steps, *(back.step for back in lane.back)]:
            REGISTRY[step.name].params.model_validate(step.params)
