from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from tasks.deploy import params as deploy
from tasks.probe import params as probe
from tests.unit.workflows.fleets import EXAMPLE, SMALL, load, refused
from workflows import deployments
from workflows.fleet import load_fleet


def test_the_example_is_accepted_and_keeps_its_order() -> None:
    fleet = load_fleet(EXAMPLE)
    assert list(fleet.hosts) == ["web1", "web2", "lb1", "lb2", "here"]
    pool = fleet.pools["web"]
    assert [pool.server_name(host) for host in pool.servers] == ["web1", "app2"]
    assert (pool.drain.timeout, pool.enable.stable, pool.policy.lock_wait) == (300.0, 3.0, 600.0)
    assert fleet.pairs["edge"].advert_interval == 1.0
    assert fleet.pairs_of("lb1") == ["edge"]
    assert fleet.nginx["edge-nginx"].soak == 600.0


def test_relative_paths_are_meant_from_the_fleet_file_and_home_is_expanded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/ops")
    fleet = load(tmp_path, EXAMPLE.read_text())
    assert fleet.ssh.identity_file == Path("/home/ops/.ssh/id_ed25519")
    assert fleet.ssh.known_hosts == tmp_path / "known_hosts"


def test_a_fleet_file_named_relatively_gives_absolute_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fleet.yaml").write_text(
        "ssh: {known_hosts: known_hosts}\nhosts: {a: {address: a}}\n"
    )
    monkeypatch.chdir(tmp_path)
    assert load_fleet("fleet.yaml").ssh.known_hosts == tmp_path / "known_hosts"


def test_sections_with_nothing_under_them_are_empty(tmp_path: Path) -> None:
    fleet = load(tmp_path, "ssh:\nvars:\nhosts: {a: {address: a}}\npools:\nbalancers: {a: }\n")
    assert fleet.pools == {}
    assert fleet.balancers["a"].sockets == ["/run/haproxy/admin.sock"]


def test_the_word_none_means_nothing_where_nothing_is_possible(tmp_path: Path) -> None:
    fleet = load(
        tmp_path,
        "ssh: {become: sudo}\nhosts: {a: {address: a, ssh: {become: none}}}\n"
        "nginx: {n: {hosts: [a], unit: none}}\n",
    )
    assert fleet.nginx["n"].unit is None
    assert fleet.hosts["a"].ssh.become is None


# What stands in the file below `SMALL` (or instead of a part of it), and the one line it gives.
HEAD = "hosts:\n  web1: {address: 10.0.0.1}\n  lb1: {address: 10.0.0.5}\nbalancers: {lb1: {}}\n"
POOL = "pools: {web: {balancers: [lb1], backends: [app], servers: {web1: {}}, %s}}\n"
BAD = [
    ("{}\n", "fleet.yaml:1: hosts: is missing, and must be there"),
    ("hosts:\n", "fleet.yaml:1: hosts: must hold at least 1, not 0"),
    (
        "host: {}\nhosts: {a: {address: a}}\n",
        "fleet.yaml:1: host: unknown key; did you mean 'hosts'?",
    ),
    (
        "hosts:\n  web1: {address: 300.1.1.1}\n",
        "fleet.yaml:2: hosts.web1.address: '300.1.1.1' is neither an IP address nor a host name",
    ),
    (
        "hosts:\n  web1: 10.0.0.1\n",
        "fleet.yaml:2: hosts.web1: must be a mapping (key: value), not '10.0.0.1'",
    ),
    (
        "hosts:\n  web1:\n",
        "fleet.yaml:2: hosts.web1: must be a mapping (key: value), not nothing",
    ),
    (
        "hosts:\n  'we;b': {address: a}\n",
        "fleet.yaml:2: hosts['we;b']: 'we;b' is no name: letters, digits, '_', '.' and '-' only",
    ),
    (
        'hosts:\n  "a\\nb": {address: a}\n',
        "fleet.yaml:2: hosts['a\\nb']: 'a\\nb' is no name: letters, digits, '_', '.' and '-' only",
    ),
    (
        "hosts:\n  $(id): {address: a}\n",
        "fleet.yaml:2: hosts['$(id)']: '$(id)' is no name: letters, digits, '_', '.' and '-' only",
    ),
    (
        "hosts:\n  preflight: {address: a}\n",
        "fleet.yaml:2: hosts.preflight: the name preflight is taken by Winch's own checks",
    ),
    (
        "hosts:\n  a: {address: a, connection: lokal}\n",
        "fleet.yaml:2: hosts.a.connection: must be 'ssh' or 'local', not 'lokal'; "
        "did you mean 'local'?",
    ),
    (
        HEAD + "ssh: {port: ssh}\n",
        "fleet.yaml:5: ssh.port: must be a whole number, not 'ssh'",
    ),
    (
        HEAD + "ssh: {port: 70000}\n",
        "fleet.yaml:5: ssh.port: must be less than or equal to 65535, not 70000",
    ),
    (
        HEAD + "ssh: {user: 'root; id'}\n",
        "fleet.yaml:5: ssh.user: 'root; id' is no user name: "
        "letters, digits, '_', '.' and '-' only",
    ),
    (
        HEAD + "ssh: {user: -oProxyCommand=id}\n",
        "fleet.yaml:5: ssh.user: '-oProxyCommand=id' is no user name: "
        "letters, digits, '_', '.' and '-' only",
    ),
    (
        HEAD + "ssh: {identity_file: ~nobody-at-all/key}\n",
        "fleet.yaml:5: ssh.identity_file: '~nobody-at-all/key': no home directory is known for it",
    ),
    (
        HEAD + "ssh: {jump: web2}\n",
        "fleet.yaml:5: ssh.jump: 'web2' is not under hosts; did you mean 'web1'?",
    ),
    (
        HEAD + "ssh: {jump: 'a b'}\n",
        "fleet.yaml:5: ssh.jump: not under hosts, and 'a b' is neither an IP address "
        "nor a host name",
    ),
    (
        "hosts:\n  a: {address: a, ssh: {jump: a}}\n",
        "fleet.yaml:2: hosts.a.ssh.jump: the jumps go in a circle: a → a",
    ),
    (
        HEAD + "vars: {name: x}\n",
        "fleet.yaml:5: vars.name: {name} is each host's own; choose another name",
    ),
    (
        HEAD + 'vars: {v: "a\\nb"}\n',
        "fleet.yaml:5: vars.v: 'a\\nb' holds a control character or a line break",
    ),
    (
        HEAD + "vars: {v: [1]}\n",
        "fleet.yaml:5: vars.v: must be text, not a list",
    ),
    (
        "hosts: {a: {address: a}}\nbalancers:\n  lb9: {}\n",
        "fleet.yaml:3: balancers.lb9: 'lb9' is not under hosts; known: a",
    ),
    (
        "hosts: {a: {address: a}}\nbalancers:\n  a: {sockets: [admin.sock]}\n",
        "fleet.yaml:3: balancers.a.sockets[0]: 'admin.sock' is no socket: "
        "/run/haproxy/admin.sock or HOST:PORT",
    ),
    (
        HEAD + POOL % "drain: {timeot: 5m}",
        "fleet.yaml:5: pools.web.drain.timeot: unknown key; did you mean 'timeout'?",
    ),
    (
        HEAD + POOL % "drain: {timeout: 5}",
        "fleet.yaml:5: pools.web.drain.timeout: '5' is no duration: "
        "write 500ms, 30s, 5m or 1h (did you mean '5s'?)",
    ),
    (
        HEAD + POOL % "drain: {timeout: 0s}",
        "fleet.yaml:5: pools.web.drain.timeout: must be more than 0",
    ),
    (
        HEAD + POOL % "policy: {max_unavailable: 0}",
        "fleet.yaml:5: pools.web.policy.max_unavailable: must be at least 1, not 0",
    ),
    (
        HEAD + POOL % "policy: {stages: [1, all]}",
        "fleet.yaml:5: pools.web.policy.stages[1]: 'all' is no count: "
        "write a number (2) or a share (25%)",
    ),
    (
        HEAD + POOL % "enable: {weights: [50, 10]}",
        "fleet.yaml:5: pools.web.enable: weights must rise and end with 100, not [50, 10]",
    ),
    (
        HEAD + POOL % "redeploy: {}",
        "fleet.yaml:5: pools.web.redeploy: exactly one of docker, package, systemd, release, "
        "command is wanted, not none",
    ),
    (
        HEAD + POOL % "redeploy: {systemd: {unit: a}, package: {name: b}}",
        "fleet.yaml:5: pools.web.redeploy: exactly one of docker, package, systemd, release, "
        "command is wanted, not package and systemd",
    ),
    (
        HEAD + POOL % "redeploy: {doker: {image: a, name: a}}",
        "fleet.yaml:5: pools.web.redeploy.doker: unknown key; did you mean 'docker'?",
    ),
    (
        HEAD + POOL % "redeploy: {docker: {image: 'a; id', name: a}}",
        "fleet.yaml:5: pools.web.redeploy.docker.image: "
        "'a; id' is not an image reference (NAME[:TAG])",
    ),
    (
        HEAD + POOL % "verify: [{http: {url: 'ftp://{address}/{path}'}}, {http: {url: 'ftp://x'}}]",
        "fleet.yaml:5: pools.web.verify[1].http.url: "
        "'ftp://x' is no URL of the form http[s]://HOST[:PORT]/PATH",
    ),
    (
        HEAD + POOL % "verify: [{tcp: {}}]",
        "fleet.yaml:5: pools.web.verify[0].tcp.port: is missing, and must be there",
    ),
    (
        HEAD + POOL % "verify: {tcp: {port: 80}}",
        "fleet.yaml:5: pools.web.verify: must be a list, not a mapping",
    ),
    (
        HEAD + POOL % "verify: [{tcp: {port: 80, form: host}}]",
        "fleet.yaml:5: pools.web.verify[0].tcp.form: unknown key; did you mean 'from'?",
    ),
    (
        HEAD + "pools: {web: {balancers: [lb2], backends: [app], servers: {web1: {}}}}\n",
        "fleet.yaml:5: pools.web.balancers[0]: 'lb2' is not under balancers; did you mean 'lb1'?",
    ),
    (
        HEAD + "pools: {web: {balancers: [lb1], backends: [app], servers: {web2: {}}}}\n",
        "fleet.yaml:5: pools.web.servers.web2: 'web2' is not under hosts; did you mean 'web1'?",
    ),
    (
        HEAD + "pools: {web: {balancers: [lb1], backends: ['a;b'], servers: {web1: {}}}}\n",
        "fleet.yaml:5: pools.web.backends[0]: 'a;b' is no name for HAProxy: "
        "letters, digits, '_', '.', ':' and '-' only",
    ),
    (
        HEAD + "pools: {web: {balancers: [lb1], backends: [b],"
        " servers: {web1: {server: s}, lb1: {server: s}}}}\n",
        "fleet.yaml:5: pools.web: the server s stands there twice",
    ),
    (
        HEAD + "pools: {web: {balancers: [lb1, lb1], backends: [b], servers: {web1: {}}}}\n",
        "fleet.yaml:5: pools.web: the balancer lb1 stands there twice",
    ),
    (
        HEAD + "pairs: {p: {members: [lb1, web1],"
        " addresses: [{ip: 10.0.0.9, interface: eth0, router_id: 5, home: web2}]}}\n",
        "fleet.yaml:5: pairs.p.addresses[0].home: 'web2' is not one of the members; "
        "did you mean 'web1'?",
    ),
    (
        HEAD + "pairs: {p: {members: [lb1, lb1],"
        " addresses: [{ip: 10.0.0.9, interface: eth0, router_id: 5, home: lb1}]}}\n",
        "fleet.yaml:5: pairs.p: the members are the same host twice (lb1)",
    ),
    (
        HEAD + "pairs: {p: {members: [lb1, web1],"
        " addresses: [{ip: 10.0.0.9/24, interface: eth0, router_id: 5, home: lb1}]}}\n",
        "fleet.yaml:5: pairs.p.addresses[0].ip: '10.0.0.9/24' is no IP address "
        "(10.0.0.100, without prefix length)",
    ),
    (
        HEAD + "nginx: {n: {hosts: [web9], binary: nginx}}\n",
        "fleet.yaml:5: nginx.n.binary: 'nginx' is no absolute path on the host: begin it with /\n"
        "fleet.yaml:5: nginx.n.hosts[0]: 'web9' is not under hosts; did you mean 'web1'?",
    ),
]


@pytest.mark.parametrize(("text", "line"), BAD, ids=[line.split(": ")[1] for _, line in BAD])
def test_what_is_wrong_is_said_in_one_line(text: str, line: str, tmp_path: Path) -> None:
    assert "\n".join(refused(tmp_path, text)) == line


def test_all_problems_are_told_at_once_in_the_files_order(tmp_path: Path) -> None:
    text = SMALL.replace("lb1: {}", "lb7: {}").replace("10.0.0.12}", "10.0.0.12, prot: 22}")
    assert refused(tmp_path, text) == [
        "fleet.yaml:5: hosts.web2.prot: unknown key; known: address, connection, site, ssh",
        "fleet.yaml:9: balancers.lb7: 'lb7' is not under hosts; did you mean 'lb1'?",
        "fleet.yaml:12: pools.web.balancers[0]: 'lb1' is not under balancers; did you mean 'lb7'?",
    ]


def test_hundreds_of_problems_are_cut_short(tmp_path: Path) -> None:
    hosts = "".join(f"  h{n}: {{adres: x}}\n" for n in range(300))
    lines = refused(tmp_path, f"hosts:\n{hosts}")
    assert len(lines) == 51
    assert lines[-1] == "… and 550 more problems"


def test_a_value_that_has_no_value_yet_is_not_judged_at_loading(tmp_path: Path) -> None:
    verify = 'verify: [{http: {url: "{url}"}}]'
    redeploy = 'redeploy: {release: {archive: "{archive}", directory: "{directory}"}}'
    assert load(tmp_path, HEAD + POOL % f"{verify}, {redeploy}").pools["web"].redeploy


MIRRORED: list[tuple[type[BaseModel], type[BaseModel]]] = [
    (deployments.Docker, deploy.Docker),
    (deployments.Package, deploy.Package),
    (deployments.Systemd, deploy.Systemd),
    (deployments.Release, deploy.Release),
    (deployments.Command, deploy.CommandDeploy),
    (deployments.Redeploy, deploy.Redeploy),
    (deployments.Http, probe.Http),
    (deployments.Tcp, probe.Tcp),
    (deployments.CommandProbe, probe.CommandProbe),
    (deployments.Check, probe.Check),
]


@pytest.mark.parametrize(("section", "params"), MIRRORED, ids=lambda each: each.__name__)
def test_a_section_says_all_that_its_step_can_be_told(
    section: type[BaseModel], params: type[BaseModel]
) -> None:
    assert section.model_fields.keys() == params.model_fields.keys()
    for name, field in section.model_fields.items():
        theirs: Any = params.model_fields[name]
        if not field.is_required() and not theirs.is_required() and not get_args(field.annotation):
            assert field.default == theirs.default, name
