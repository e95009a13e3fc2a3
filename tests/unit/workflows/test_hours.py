"""Windows in the fleet file: which jobs they bind."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.workflows.fleets import load, refused
from worker.errors import UsageError
from worker.windows import Window, words
from workflows.fleet import Fleet
from workflows.jobs import plan_job
from workflows.nginx_options import NginxOptions
from workflows.options import Options

SATURDAY = "{days: sat, hours: 02:00-05:00, timezone: Europe/Vienna}"
FLEET = f"""\
hosts:
  lb1: {{address: 10.0.0.5}}
  lb2: {{address: 10.0.0.6}}
  lb3: {{address: 10.0.0.7}}
  lb4: {{address: 10.0.0.8}}
  web1: {{address: 10.0.0.11}}
  web2: {{address: 10.0.0.12}}
balancers: {{lb1: {{master_socket: /run/haproxy-master.sock}}, lb2: {{}}}}
pairs:
  edge:
    members: [lb1, lb2]
    addresses: [{{ip: 10.0.0.100, interface: eth0, router_id: 50, home: lb1}}]
    redeploy: {{systemd: {{unit: haproxy.service}}}}
    policy: {{windows: [{SATURDAY}]}}
  core:
    members: [lb3, lb4]
    addresses: [{{ip: 10.0.0.101, interface: eth0, router_id: 51, home: lb3}}]
    redeploy: {{systemd: {{unit: haproxy.service}}}}
pools:
  web:
    balancers: [lb1, lb2]
    backends: [app]
    servers: {{web1: {{}}, web2: {{}}}}
    redeploy: {{systemd: {{unit: app.service}}}}
    policy: {{windows: [{SATURDAY}]}}
nginx:
  edge-nginx:
    hosts: [web1, web2]
    policy: {{windows: [{SATURDAY}]}}
"""


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return load(tmp_path, FLEET)


@pytest.mark.parametrize(
    ("job", "target", "hosts", "bound"),
    [
        ("roll", "web", [], True),
        ("drain", "web", ["web1"], False),
        ("enable", "web", ["web1"], False),
        ("pair.upgrade", "edge", [], True),
        ("pair.upgrade", "core", [], False),
        ("pair.failover", "edge", [], False),
        ("pair.failback", "edge", [], False),
        ("nginx.upgrade", "edge-nginx", [], True),
        ("nginx.rollback", "edge-nginx", [], False),
        ("haproxy.reload", "lb1", [], False),
    ],
)
def test_windows_bind_what_brings_something_new(
    fleet: Fleet, job: str, target: str, hosts: list[str], bound: bool
) -> None:
    nginx = NginxOptions(package="1.26.3") if job == "nginx.upgrade" else NginxOptions()
    plan = plan_job(fleet, job, target, hosts, Options(nginx=nginx))
    assert (words(plan.policy.windows) == "sat 02:00-05:00 Europe/Vienna") == bound
    if bound:
        assert plan.policy.windows == [
            Window(
                days=[5],
                begin=120,
                end=300,
                timezone="Europe/Vienna",
                text="sat 02:00-05:00 Europe/Vienna",
            )
        ]


def test_pairs_with_different_windows_are_upgraded_one_by_one(fleet: Fleet) -> None:
    with pytest.raises(UsageError, match="pairs edge and core have different windows"):
        plan_job(fleet, "pair.upgrade", "edge,core", [], Options())


def test_what_is_no_window_is_refused_with_its_place(tmp_path: Path) -> None:
    (line,) = refused(tmp_path, FLEET.replace("sat, hours: 02:00", "sat, hours: 2:00", 1))
    assert "pairs.edge.policy.windows[0].hours: '2:00-05:00': must be hours" in line
