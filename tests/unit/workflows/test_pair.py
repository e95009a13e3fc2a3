"""Plans of jobs on VRRP pairs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.workflows.fleets import load
from worker.errors import UsageError
from worker.plan import Plan
from workflows.fleet import Fleet
from workflows.jobs import plan_job
from workflows.options import Options
from workflows.pair import guard_steps

TEXT = """\
vars: {version: "1.26"}
hosts:
  lb1: {address: 10.0.0.5}
  lb2: {address: 10.0.0.6}
  lb3: {address: 10.0.0.7, site: dc2}
  lb4: {address: 10.0.0.8, site: dc2}
  web1: {address: 10.0.0.11}
balancers: {lb1: {}, lb2: {unit: haproxy-edge.service}}
pairs:
  edge:
    members: [lb1, lb2]
    addresses: [{ip: 10.0.0.100, interface: eth0, router_id: 50, home: lb1}]
    track_file: /etc/keepalived/maint
    redeploy: {package: {name: haproxy, version: "{version}"}}
    verify:
      - tcp: {port: 80}
      - http: {url: "http://{address}/", contains: "v{version}"}
      - command: {run: "haproxy -v | grep {version}"}
      - command: {run: "test -e /srv/{name}"}
  core:
    members: [lb3, lb4]
    addresses:
      - {ip: 10.0.1.100, interface: eth0, router_id: 50, home: lb3}
      - {ip: 10.0.1.101, interface: eth0, router_id: 55, home: lb4}
    redeploy: {systemd: {unit: haproxy.service}}
  plain:
    members: [lb1, web1]
    addresses: [{ip: 10.0.2.100, interface: eth1, router_id: 60, home: lb1}]
pools:
  web:
    balancers: [lb1]
    backends: [app]
    servers: {web1: {}, lb3: {}}
    redeploy: {systemd: {unit: app.service}}
    policy: {min_available: 0}
"""


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return load(tmp_path, TEXT)


def lanes(plan: Plan) -> list[tuple[str, list[str]]]:
    return [(lane.host, [s.name for s in lane.steps]) for lane in plan.lanes if not lane.gate]


UPGRADE = [
    "vrrp.preflight",
    "vrrp.yield",
    "deploy.redeploy",
    "vrrp.yield",  # again: what was redeployed may have restarted keepalived
    "probe.verify",
    "vrrp.rejoin",
]


def test_an_upgrade_takes_the_member_that_is_home_to_less_first(fleet: Fleet) -> None:
    plan = plan_job(fleet, "pair.upgrade", "edge", [], Options())

    assert lanes(plan) == [("lb2", UPGRADE), ("lb1", UPGRADE)]
    assert plan.policy.stages == [1, 2]
    assert (plan.policy.max_unavailable, plan.policy.max_failures) == (1, 0)
    gate, lb2, lb1 = plan.lanes
    assert gate.gate
    assert gate.steps[0].params["members"] == ["lb2", "lb1"]
    assert lb2.leases == ["host:lb2", "pair:edge", "balancer:lb2"]
    assert lb2.touches == ["lb2", "lb1"]
    assert lb1.leases == ["host:lb1", "pair:edge", "pair:plain", "balancer:lb1"]
    assert lb1.touches == ["lb1", "lb2", "web1"]
    assert [(b.step.name, b.undoes) for b in lb1.back] == [
        ("vrrp.yield", ["vrrp.rejoin"]),
        ("deploy.restore", ["deploy.redeploy"]),
        ("vrrp.yield", ["deploy.redeploy"]),
        ("probe.verify", ["deploy.redeploy"]),
        ("vrrp.rejoin", ["vrrp.yield", "vrrp.rejoin"]),
    ]


def test_who_is_backup_now_comes_first_whatever_the_homes_are(fleet: Fleet) -> None:
    plan = plan_job(fleet, "pair.upgrade", "edge", [], Options(first=("lb1",)))
    assert [host for host, _ in lanes(plan)] == ["lb1", "lb2"]


def test_stages_count_pairs_and_each_pair_is_done_before_the_next_stage(fleet: Fleet) -> None:
    options = Options(stages=("1", "100%"))
    plan = plan_job(fleet, "pair.upgrade", "edge,core", [], options)
    assert [host for host, _ in lanes(plan)] == ["lb2", "lb1", "lb3", "lb4"]
    assert plan.policy.stages == [1, 2, 3, 4]
    assert plan.policy.max_unavailable == 1


def test_several_pairs_go_at_once_and_no_second_member_before_all_first_ones(
    fleet: Fleet,
) -> None:
    plan = plan_job(fleet, "pair.upgrade", "edge,core", [], Options(first=("lb4",)))

    assert [host for host, _ in lanes(plan)] == ["lb2", "lb4", "lb1", "lb3"]
    assert plan.policy.stages == [2, 4]
    assert plan.policy.max_unavailable == 2
    assert [(lane.host, lane.site) for lane in plan.lanes if lane.gate] == [
        ("preflight.default", None),
        ("preflight.dc2", "dc2"),
    ]
    assert "probe.verify" not in lanes(plan)[1][1], "core has nothing to verify"


def test_probes_are_made_on_each_member_and_at_the_address_and_know_no_new_version(
    fleet: Fleet,
) -> None:
    plan = plan_job(fleet, "pair.upgrade", "edge", ["lb2"], Options())
    step, again = [s for s in plan.lanes[1].steps if s.name == "vrrp.yield"]
    assert step == again

    own = step.params["services"]["lb1"]
    assert own[0]["tcp"]["port"] == 80
    assert own[1]["http"]["url"] == "http://10.0.0.5/"
    assert own[1]["http"]["contains"] is None
    assert [c["command"]["run"] for c in own[2:]] == ["test -e /srv/lb1"]
    there = [(a["ip"], a["check"]) for a in step.params["answers"]]
    assert [ip for ip, _ in there] == ["10.0.0.100", "10.0.0.100"]
    assert there[0][1]["tcp"]["address"] == "10.0.0.100"
    assert there[1][1]["http"]["url"] == "http://10.0.0.100/"


def test_without_any_probe_a_balancer_must_at_least_run(fleet: Fleet) -> None:
    (step,) = guard_steps(fleet, "web1")
    services = step.params["services"]
    assert services["lb1"][0]["command"]["run"] == "systemctl is-active haproxy.service"
    assert services["web1"] == []


def test_a_failover_is_of_the_home_of_all_addresses_or_of_the_host_that_is_named(
    fleet: Fleet,
) -> None:
    plan = plan_job(fleet, "pair.failover", "edge", [], Options())
    assert lanes(plan) == [("lb1", ["vrrp.preflight", "vrrp.yield"])]
    assert [b.step.name for b in plan.lanes[1].back] == ["vrrp.rejoin"]
    assert plan.lanes[1].steps[0].params["holding"], "else another one is meant"
    named = plan_job(fleet, "pair.failover", "core", ["lb4"], Options())
    assert not named.lanes[1].steps[0].params["holding"]
    assert lanes(named) == [("lb4", ["vrrp.preflight", "vrrp.yield"])]
    with pytest.raises(UsageError, match="say which one gives up"):
        plan_job(fleet, "pair.failover", "core", [], Options())


def test_the_way_back_of_a_failover_undoes_whatever_was_done(fleet: Fleet) -> None:
    plan = plan_job(fleet, "pair.failback", "core", [], Options())
    assert lanes(plan) == [("lb3", ["vrrp.rejoin"]), ("lb4", ["vrrp.rejoin"])]
    assert all(lane.steps[0].params["anyway"] for lane in plan.lanes)


def test_prepare_and_its_undoing_are_each_other_s_way_back(fleet: Fleet) -> None:
    plan = plan_job(fleet, "pair.prepare", "edge", [], Options())
    back = plan_job(fleet, "pair.unprepare", "edge", [], Options())
    assert [host for host, _ in lanes(plan)] == ["lb2", "lb1"]
    for one, other in ((plan, back), (back, plan)):
        assert one.lanes[1].back[0].step == other.lanes[1].steps[0]


@pytest.mark.parametrize(
    ("job", "target", "options", "said"),
    [
        ("pair.upgrade", "egde", Options(), "no pair 'egde'; did you mean 'edge'?"),
        ("pair.upgrade", "", Options(), "name a pair"),
        ("pair.upgrade", "plain", Options(), "pair plain has no redeploy"),
        ("pair.upgrade", "edge", Options(limit=("lb3",)), "'lb3' is no member of edge"),
        ("pair.upgrade", "edge", Options(exclude=("lb1", "lb2")), "leave no host"),
        ("pair.upgrade", "edge", Options(vars={"verison": "1"}), "nothing in this job uses"),
        ("pair.upgrade", "edge,plain", Options(), "lb1 is a member of both edge and plain"),
        ("pair.failover", "edge", Options(vars={"x": "1"}), "nothing in this job uses"),
    ],
)
def test_what_cannot_be_is_said(
    fleet: Fleet, job: str, target: str, options: Options, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        plan_job(fleet, job, target, [], options)


def test_a_roll_looks_at_the_pair_of_a_host_first_and_changes_nothing_for_the_others(
    fleet: Fleet, tmp_path: Path
) -> None:
    plan = plan_job(fleet, "roll", "web", [], Options())
    assert lanes(plan) == [
        ("web1", ["vrrp.preflight", "haproxy.drain", "deploy.redeploy", "haproxy.enable"]),
        ("lb3", ["vrrp.preflight", "haproxy.drain", "deploy.redeploy", "haproxy.enable"]),
    ]
    text = TEXT.replace("members: [lb1, web1]", "members: [lb1, lb2]")
    free = plan_job(load(tmp_path, text), "roll", "web", ["web1"], Options())
    assert lanes(free) == [("web1", ["haproxy.drain", "deploy.redeploy", "haproxy.enable"])]
