"""Plans of reloads."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tasks.haproxy.params import InstallConfig, Reload, ReloadPreflight
from tests.unit.workflows.fleets import SMALL, load
from worker.errors import UsageError
from worker.plan import LaneSpec, Plan
from workflows.jobs import plan_job
from workflows.options import Options
from workflows.reload import balancer_leases, haproxy_state_steps
from workflows.reload_options import HaproxyOptions

STEPS = [
    "haproxy.preflight",
    "haproxy.save_state",
    "haproxy.install_config",
    "haproxy.reload",
    "haproxy.restore_state",
]
HOST = "  lb1: {address: 10.0.0.5}\n"
FLEET = SMALL.replace(HOST, f"{HOST}  lb2: {{address: 10.0.0.6}}\n").replace(
    "  lb1: {}\n", "  lb1: {master_socket: /run/m.sock}\n  lb2: {master_socket: /run/m.sock}\n"
)


def plan(directory: Path, text: str, target: str, **more: object) -> Plan:
    options = Options(**more)  # type: ignore[arg-type]
    return plan_job(load(directory, text), "haproxy.reload", target, [], options)


def lanes(planned: Plan) -> list[LaneSpec]:
    return [lane for lane in planned.lanes if not lane.gate]


def test_a_plain_reload_has_its_steps_its_leases_and_no_way_back(tmp_path: Path) -> None:
    planned = plan(tmp_path, FLEET, "lb1")
    (lane,) = planned.lanes
    assert [step.name for step in lane.steps] == STEPS
    assert lane.leases == ["balancer:lb1", "host:lb1"]
    assert lane.touches == ["lb1"]
    assert lane.back == []
    assert InstallConfig.model_validate(lane.steps[2].params).source is None
    assert Plan.model_validate_json(planned.model_dump_json()) == planned


def test_several_go_one_after_the_other_behind_a_gate_that_changes_nothing(tmp_path: Path) -> None:
    planned = plan(tmp_path, FLEET, "lb1,lb2")
    gate = planned.lanes[0]
    assert gate.gate
    assert [step.name for step in gate.steps] == ["haproxy.preflight"] * 2
    assert not any(ReloadPreflight.model_validate(step.params).mends for step in gate.steps)
    assert [lane.host for lane in lanes(planned)] == ["lb1", "lb2"]
    assert planned.policy.max_unavailable == 1
    assert planned.policy.max_failures == 0


def test_a_new_configuration_is_named_with_its_checksum_and_has_a_way_back(tmp_path: Path) -> None:
    file = tmp_path / "new.cfg"
    file.write_text("global\n")
    chosen = HaproxyOptions.parse(config=str(file), replaces="/etc/haproxy/conf.d/x.cfg")
    planned = plan(tmp_path, FLEET, "lb1", haproxy=chosen)
    (lane,) = planned.lanes
    install = InstallConfig.model_validate(lane.steps[2].params)
    assert install.source == str(file)
    assert install.sha256 == hashlib.sha256(b"global\n").hexdigest()
    assert "global" not in planned.model_dump_json().replace("global_", "")
    assert install.target == "/etc/haproxy/conf.d/x.cfg"
    assert [(back.step.name, back.undoes) for back in lane.back] == [
        ("haproxy.restore_config", ["haproxy.install_config"]),
        ("haproxy.reload", ["haproxy.reload"]),
    ]
    assert Reload.model_validate(lane.back[1].step.params).back
    assert InstallConfig.model_validate(lane.back[0].step.params).source is None


PAIR = (
    "pairs:\n  edge:\n    members: [lb1, lb2]\n"
    "    addresses: [{ip: 10.0.0.9, interface: eth0, router_id: 5, home: lb1}]\n"
    '    verify: [{tcp: {port: 80}}, {http: {url: "http://{address}/{version}"}}]\n'
)


def test_a_member_of_a_pair_is_guarded_and_verified(tmp_path: Path) -> None:
    lane = lanes(plan(tmp_path, FLEET + PAIR, "lb1"))[0]
    assert [step.name for step in lane.steps] == ["vrrp.preflight", *STEPS, "probe.verify"]
    assert lane.leases == ["balancer:lb1", "host:lb1", "pair:edge"]
    assert lane.touches == ["lb1", "lb2"]
    assert lane.steps[-1].summary == "verify tcp :80"


def test_a_balancers_own_probes_come_before_those_of_its_pair(tmp_path: Path) -> None:
    text = FLEET.replace("  lb1: {master", "  lb1: {verify: [{tcp: {port: 8080}}], master") + PAIR
    assert lanes(plan(tmp_path, text, "lb1"))[0].steps[-1].summary == "verify tcp :8080"


def test_others_can_keep_states_over_a_restart(tmp_path: Path) -> None:
    fleet = load(tmp_path, FLEET)
    before, after = haproxy_state_steps(fleet, "lb1")
    assert [step.name for step in (*before, *after)] == [
        "haproxy.save_state",
        "haproxy.restore_state",
    ]
    assert haproxy_state_steps(fleet, "web1") == ([], [])
    assert balancer_leases(fleet, "lb1") == ["balancer:lb1"]
    assert balancer_leases(fleet, "web1") == []


BAD = [
    ("lb9", {}, "there is no balancer 'lb9'; did you mean 'lb1' or 'lb2'?"),
    (",", {}, "name a balancer of the fleet file"),
    ("lb1", {"limit": ("lb2",)}, "--limit: 'lb2' is none of lb1"),
    ("lb1", {"exclude": ("lb1",)}, "--limit and --exclude leave no balancer; nothing to do"),
    ("lb1", {"vars": {"x": "1"}}, "--set x: nothing in this job uses {x}"),
]


@pytest.mark.parametrize(("target", "options", "message"), BAD)
def test_a_reload_that_cannot_be_is_refused_in_one_line(
    target: str, options: dict[str, object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as error:
        plan(tmp_path, FLEET, target, **options)
    assert str(error.value).startswith(message[:40])
    assert "\n" not in str(error.value)


def test_without_a_master_socket_it_says_what_to_write(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"balancers\.lb1 has no master_socket"):
        plan(tmp_path, SMALL, "lb1")


def test_a_file_that_is_no_configuration_is_refused(tmp_path: Path) -> None:
    for content, what in ((b"", "is no configuration"), (b"a\0b", "is no configuration")):
        (tmp_path / "x").write_bytes(content)
        with pytest.raises(UsageError, match=what):
            HaproxyOptions.parse(config=str(tmp_path / "x")).content()
    with pytest.raises(UsageError, match="No such file"):
        HaproxyOptions.parse(config=str(tmp_path / "none")).content()
    with pytest.raises(UsageError, match="goes with --config"):
        HaproxyOptions.parse(replaces="/etc/x")
    with pytest.raises(UsageError, match="no absolute path"):
        HaproxyOptions.parse(config="x", replaces="etc/x")
