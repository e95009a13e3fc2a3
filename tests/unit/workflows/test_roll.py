from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from tasks.deploy.params import Redeploy
from tasks.haproxy.params import CheckPool, Drain, Enable
from tasks.probe.params import Verify
from tests.unit.workflows.fleets import EXAMPLE, SMALL, load
from worker.errors import Refused, UsageError
from worker.plan import Plan
from workflows.jobs import JOBS, plan_job
from workflows.options import Options
from workflows.roll import plan_roll

GOLDEN = Path(__file__).parent / "data" / "roll_web.json"
PARAMS: dict[str, type[BaseModel]] = {
    "haproxy.check_pool": CheckPool,
    "haproxy.drain": Drain,
    "haproxy.enable": Enable,
    "deploy.redeploy": Redeploy,
    "deploy.restore": Redeploy,
    "probe.verify": Verify,
}


def readable(plan: Plan) -> dict[str, Any]:
    """Leave out of a plan what is a default; parameters are checked on the way."""
    data = plan.model_dump(mode="json", exclude_defaults=True)

    def shorten(step: dict[str, Any]) -> None:
        params = PARAMS[step["name"]].model_validate(step["params"])
        step["params"] = params.model_dump(mode="json", exclude_defaults=True)

    for lane in data["lanes"]:
        for step in [*lane["steps"], *(back["step"] for back in lane.get("back", []))]:
            shorten(step)
    return data


def test_the_plan_of_the_example_is_the_golden_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/ops")
    plan = readable(plan_roll(load(tmp_path, EXAMPLE.read_text()), "web", Options()))
    text = json.dumps(plan, indent=1, ensure_ascii=False).replace(str(tmp_path), "/srv")
    assert json.loads(text) == json.loads(GOLDEN.read_text())


def test_the_steps_of_a_lane_are_drain_redeploy_verify_enable(tmp_path: Path) -> None:
    text = SMALL + "    verify: [{tcp: {port: 80}}]\n"
    plan = plan_roll(load(tmp_path, text), "web", Options())
    gate, *lanes = plan.lanes
    assert (gate.gate, gate.host, gate.leases, gate.touches) == (True, "preflight", [], [])
    assert [lane.host for lane in lanes] == ["web1", "web2", "web3", "web4"]
    for lane in lanes:
        assert [step.name for step in lane.steps] == [
            "haproxy.drain",
            "deploy.redeploy",
            "probe.verify",
            "haproxy.enable",
        ]
        assert [(back.step.name, back.undoes) for back in lane.back] == [
            ("haproxy.drain", ["haproxy.enable"]),
            ("deploy.restore", ["deploy.redeploy"]),
            ("probe.verify", ["deploy.redeploy"]),
            ("haproxy.enable", ["haproxy.drain", "haproxy.enable"]),
        ]
        assert lane.leases == [f"host:{lane.host}"]
        assert lane.touches == ["lb1", lane.host]


def test_a_server_that_serves_again_is_drained_before_it_goes_back(tmp_path: Path) -> None:
    lane = plan_roll(load(tmp_path, SMALL), "web", Options()).lanes[1]
    first = lane.back[0]
    assert (first.step.name, first.undoes) == ("haproxy.drain", ["haproxy.enable"])
    assert first.step.params["include_maintenance"] is True
    assert lane.steps[0].params["include_maintenance"] is False


def test_without_verify_nothing_is_verified(tmp_path: Path) -> None:
    lane = plan_roll(load(tmp_path, SMALL), "web", Options()).lanes[1]
    names = ["haproxy.drain", "deploy.redeploy", "haproxy.enable"]
    assert [step.name for step in lane.steps] == names
    assert [back.step.name for back in lane.back] == [
        "haproxy.drain",
        "deploy.restore",
        "haproxy.enable",
    ]


def test_a_host_in_pairs_needs_their_leases_too(tmp_path: Path) -> None:
    address = "{ip: 10.0.0.9, interface: eth0, router_id: 5, home: web1}"
    text = SMALL + (
        "pairs:\n"
        f"  zone: {{members: [web1, web2], addresses: [{address}]}}\n"
        f"  edge: {{members: [web1, web3], addresses: [{address}]}}\n"
    )
    lanes = plan_roll(load(tmp_path, text), "web", Options()).lanes
    assert lanes[1].leases == ["host:web1", "pair:edge", "pair:zone"]
    assert lanes[1].touches == ["lb1", "web1", "web3", "web2"]
    assert lanes[4].leases == ["host:web4"]


def test_on_the_way_back_nothing_is_expected_of_the_new_version(tmp_path: Path) -> None:
    text = SMALL + (
        "    verify:\n"
        '      - http: {url: "http://{address}/", contains: "v{version}"}\n'
        '      - http: {url: "http://{address}/{version}/"}\n'
        '      - http: {url: "http://{address}/", headers: {X-Want: "{version}"}}\n'
        '      - command: {run: "check {version}"}\n'
        '      - command: {run: "check {name}", contains: "{version} ok"}\n'
        '      - http: {url: "http://{address}/old", contains: "hello {name}"}\n'
    )
    lane = plan_roll(load(tmp_path, text), "web", Options()).lanes[1]
    (back,) = (back.step for back in lane.back if back.step.name == "probe.verify")
    before = Verify.model_validate(back.params).checks
    assert [(check.http or check.command) is not None for check in before] == [True] * 3
    assert before[0].http is not None
    assert (before[0].http.url, before[0].http.contains) == ("http://10.0.0.11/", None)
    assert before[1].command is not None
    assert (before[1].command.run, before[1].command.contains) == ("check web1", None)
    assert before[2].http is not None
    assert before[2].http.contains == "hello web1"


def test_variables_of_the_asker_win_and_are_recorded(tmp_path: Path) -> None:
    text = SMALL.replace(
        "{systemd: {unit: app.service}}", '{package: {name: a, version: "{version}"}}'
    )
    plan = plan_roll(load(tmp_path, text), "web", Options(vars={"version": "1.27"}))
    assert plan.vars == {"version": "1.27"}
    assert plan.lanes[1].steps[1].summary == "redeploy package a 1.27"


def test_an_archive_is_meant_from_the_fleet_file(tmp_path: Path) -> None:
    release = '{release: {archive: "dist/app-{version}.tgz", directory: /srv/app}}'
    text = SMALL.replace("{systemd: {unit: app.service}}", release)
    params = plan_roll(load(tmp_path, text), "web", Options()).lanes[1].steps[1].params
    assert params["release"]["archive"] == str(tmp_path / "dist/app-1.26.tgz")
    assert params["release"]["version"] == "1.26"


def test_each_site_has_a_gate_of_its_own(tmp_path: Path) -> None:
    text = SMALL.replace("10.0.0.12}", "10.0.0.12, site: dc2}")
    plan = plan_roll(load(tmp_path, text), "web", Options())
    gates = [lane for lane in plan.lanes if lane.gate]
    assert [(gate.host, gate.site) for gate in gates] == [
        ("preflight.default", None),
        ("preflight.dc2", "dc2"),
    ]
    assert gates[0].steps[0].params["hosts"] == ["lb1", "web1", "web3", "web4"]
    assert gates[1].steps[0].params["hosts"] == ["lb1", "web2"]
    assert plan.hosts["preflight.dc2"].address == "10.0.0.5"
    assert plan.hosts["preflight.dc2"].site == "dc2"


def test_limit_and_exclude_choose_hosts_and_stages_count_the_chosen(tmp_path: Path) -> None:
    fleet = load(tmp_path, SMALL)
    options = Options(limit=("web3", "web1", "web2"), exclude=("web2",), stages=("50%",))
    plan = plan_roll(fleet, "web", options)
    assert [lane.host for lane in plan.lanes] == ["preflight", "web1", "web3"]
    assert plan.policy.stages == [1, 2]
    assert set(plan.hosts) == {"lb1", "web1", "web3", "preflight"}


ALL = "known: web1, web2, web3, web4"
BAD_JOBS = [
    ("rol", "web", [], Options(), "there is no job 'rol'; did you mean 'roll'?"),
    ("roll", "wbe", [], Options(), "there is no pool 'wbe'; did you mean 'web'?"),
    ("roll", "x\ny", [], Options(), "there is no pool 'x\\ny'; known: web"),
    (
        "roll",
        "web",
        ["web9"],
        Options(),
        "--limit: 'web9' is not in pool web; did you mean 'web4'?",
    ),
    ("roll", "web", ["lb1"], Options(), f"--limit: 'lb1' is not in pool web; {ALL}"),
    ("roll", "web", [], Options(exclude=("w",)), f"--exclude: 'w' is not in pool web; {ALL}"),
    (
        "roll",
        "web",
        ["web1"],
        Options(exclude=("web1",)),
        "pool web: --limit and --exclude leave no host; nothing to do",
    ),
    (
        "roll",
        "web",
        [],
        Options(vars={"versoin": "2"}),
        "--set versoin: nothing in this job uses {versoin}; did you mean 'version'?",
    ),
    ("drain", "web", [], Options(), "drain web: name the hosts, such as 'drain web web1'"),
]


@pytest.mark.parametrize(("job", "target", "hosts", "options", "message"), BAD_JOBS)
def test_a_job_that_cannot_be_is_refused_in_one_line(
    job: str, target: str, hosts: list[str], options: Options, message: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as error:
        plan_job(load(tmp_path, SMALL), job, target, hosts, options)
    assert str(error.value) == message


def test_a_pool_without_redeploy_can_be_drained_but_not_rolled(tmp_path: Path) -> None:
    fleet = load(tmp_path, SMALL.replace("    redeploy: {systemd: {unit: app.service}}\n", ""))
    assert plan_job(fleet, "drain", "web", ["web1"], Options()).lanes
    with pytest.raises(UsageError, match="pool web has no redeploy"):
        plan_job(fleet, "roll", "web", [], Options())


@pytest.mark.parametrize(
    ("section", "value", "what"),
    [
        (
            '{command: {run: "deploy {version}"}}',
            "1; id",
            r"command\.run: the value of \{version\}",
        ),
        ('{command: {run: "true", undo: "x {version}"}}', "$(id)", r"command\.undo: the value"),
        ('{docker: {name: a, image: "a:{version}"}}', "1 --privileged", r"docker\.image: "),
        ('{package: {name: a, version: "{version}"}}', "-o x", r"package\.version: "),
        ('{systemd: {unit: "{version}"}}', "--now", r"systemd\.unit: "),
        ('{docker: {name: a, image: "a:{version}"}}', "1\n2", "control characters are not allowed"),
    ],
)
def test_a_value_that_could_be_more_than_a_value_is_refused(
    section: str, value: str, what: str, tmp_path: Path
) -> None:
    fleet = load(tmp_path, SMALL.replace("{systemd: {unit: app.service}}", section))
    with pytest.raises(UsageError, match=what) as error:
        plan_roll(fleet, "web", Options(vars={"version": value}))
    assert "\n" not in str(error.value)


def test_a_missing_value_is_named_with_the_key_that_wants_it(tmp_path: Path) -> None:
    section = '{docker: {name: a, image: "a:{tag}"}}'
    fleet = load(tmp_path, SMALL.replace("{systemd: {unit: app.service}}", section))
    with pytest.raises(UsageError) as error:
        plan_roll(fleet, "web", Options())
    assert str(error.value) == (
        f"{tmp_path}/fleet.yaml:15: pools.web.redeploy.docker.image: {{tag}} has no value: "
        "give one by --set tag=…, or under vars"
    )


def test_drain_takes_out_and_can_be_taken_back(tmp_path: Path) -> None:
    plan = plan_job(load(tmp_path, SMALL), "drain", "web", ["web2", "web1"], Options())
    assert [lane.host for lane in plan.lanes] == ["preflight", "web1", "web2"]
    lane = plan.lanes[1]
    assert [step.name for step in lane.steps] == ["haproxy.drain"]
    assert [(back.step.name, back.undoes) for back in lane.back] == [
        ("haproxy.enable", ["haproxy.drain"])
    ]
    assert plan.lanes[0].steps[0].params["takes_out"] is True


def test_more_than_a_pool_can_spare_is_not_drained(tmp_path: Path) -> None:
    hosts = ["web1", "web2", "web3", "web4"]
    with pytest.raises(Refused, match="at most 3 may be out, not 4"):
        plan_job(load(tmp_path, SMALL), "drain", "web", hosts, Options())


def test_enable_takes_nothing_out_and_is_possible_in_the_smallest_pool(tmp_path: Path) -> None:
    text = SMALL.replace(", web2: {}, web3: {}, web4: {}", "")
    plan = plan_job(load(tmp_path, text), "enable", "web", ["web1"], Options())
    assert [step.name for step in plan.lanes[1].steps] == ["haproxy.enable"]
    assert plan.lanes[0].steps[0].params["takes_out"] is False
    assert plan.policy.on_failure == "stop"


def test_maintenance_is_passed_on_when_asked_for(tmp_path: Path) -> None:
    plan = plan_roll(load(tmp_path, SMALL), "web", Options(include_maintenance=True))
    assert plan.lanes[0].steps[0].params["include_maintenance"] is True
    assert plan.lanes[1].steps[0].params["include_maintenance"] is True


def test_every_job_is_registered_under_its_own_name() -> None:
    assert {"roll", "drain", "enable"} <= set(JOBS)
    assert all(name == job.name for name, job in JOBS.items())


def test_a_plan_survives_json(tmp_path: Path) -> None:
    plan = plan_roll(load(tmp_path, EXAMPLE.read_text()), "web", Options())
    assert Plan.model_validate_json(plan.model_dump_json()) == plan


def test_ten_thousand_hosts_are_loaded_and_planned_in_seconds(tmp_path: Path) -> None:
    count = 10_000
    hosts = "".join(f"  w{n}: {{address: 10.1.{n // 250}.{n % 250 + 1}}}\n" for n in range(count))
    servers = "".join(f"      w{n}: {{}}\n" for n in range(count))
    text = (
        f"hosts:\n  lb: {{address: 10.0.0.1}}\n{hosts}balancers: {{lb: {{}}}}\npools:\n  web:\n"
        f"    balancers: [lb]\n    backends: [app]\n    servers:\n{servers}"
        "    redeploy: {systemd: {unit: app}}\n    verify: [{tcp: {port: 80}}]\n"
    )
    before = time.monotonic()
    plan = plan_roll(
        load(tmp_path, text), "web", Options(limit=tuple(f"w{n}" for n in range(9000)))
    )
    assert len(plan.lanes) == 9001
    assert time.monotonic() - before < 30
