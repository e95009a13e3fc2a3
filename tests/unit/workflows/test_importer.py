from __future__ import annotations

import re
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tasks.haproxy.discover import Found, FoundBackend, FoundServer, fleet_from_state
from tests.needs import needs_program
from tests.unit.workflows.fleets import load
from worker.errors import UsageError
from workflows.flowtext import flow, scalar
from workflows.importer import import_ansible, render_haproxy
from workflows.inventory import expand_ranges
from workflows.options import Options
from workflows.roll import plan_roll

INI = """\
# production
lonely ansible_host=10.0.9.9

[web]
web[01:03].example.com
web7 ansible_host=10.0.0.17 ansible_port=2222   # an odd one

[db:vars]
ansible_user=postgres

[db]
db-[a:b] ansible_host=10.0.1.1

[lb]
lb1 ansible_host=10.0.0.5

[prod:children]
web
db

[prod:vars]
ansible_user=deploy
ansible_ssh_private_key_file="~/.ssh/prod key"

[all:vars]
ansible_become=yes
"""

YAML = """\
all:
  vars: {ansible_user: deploy, ansible_become: true}
  hosts:
    lonely: {ansible_host: 10.0.9.9}
  children:
    web:
      hosts:
        web[1:3]:
        web7: {ansible_host: 10.0.0.17, ansible_port: 2222, ansible_user: root}
    lb:
      hosts:
        lb1: {ansible_host: 10.0.0.5}
    local:
      hosts:
        localhost: {ansible_connection: local}
"""


def write(directory: Path, name: str, text: str) -> Path:
    path = directory / name
    path.write_text(text)
    return path


def uncommented(text: str) -> str:
    """Take the comment sign from the skeletons, as the file says."""
    return re.sub(r"^# (?=balancers|pools|  )", "", text, flags=re.MULTILINE)


def test_an_ini_inventory_becomes_a_fleet_file(tmp_path: Path) -> None:
    text = import_ansible(write(tmp_path, "hosts", INI))
    fleet = load(tmp_path, text)
    assert list(fleet.hosts) == [
        "lonely",
        "web01.example.com",
        "web02.example.com",
        "web03.example.com",
        "web7",
        "db-a",
        "db-b",
        "lb1",
    ]
    assert fleet.ssh.become == "sudo"
    assert fleet.hosts["web02.example.com"].address == "web02.example.com"
    assert fleet.hosts["web7"].ssh.port == 2222
    assert fleet.hosts["web7"].ssh.user == "deploy"
    assert str(fleet.hosts["web7"].ssh.identity_file).endswith(".ssh/prod key")
    assert fleet.hosts["db-a"].ssh.user == "postgres"
    assert fleet.hosts["lonely"].ssh.user is None


def test_a_yaml_inventory_becomes_a_fleet_file(tmp_path: Path) -> None:
    fleet = load(tmp_path, import_ansible(write(tmp_path, "inventory.yml", YAML)))
    assert list(fleet.hosts) == ["lonely", "web1", "web2", "web3", "web7", "lb1", "localhost"]
    assert fleet.ssh.become == "sudo"
    assert fleet.hosts["web1"].ssh.user == "deploy"
    assert fleet.hosts["web7"].ssh.user == "root"
    assert fleet.hosts["localhost"].connection == "local"


@pytest.mark.parametrize(("name", "text"), [("hosts", INI), ("inventory.yml", YAML)])
def test_the_skeletons_without_their_comment_sign_can_be_rolled(
    name: str, text: str, tmp_path: Path
) -> None:
    fleet = load(tmp_path, uncommented(import_ansible(write(tmp_path, name, text))))
    assert list(fleet.balancers) == ["lb1"]
    assert "lb" not in fleet.pools
    plan = plan_roll(fleet, "web", Options(vars={"version": "1.2"}))
    assert len(plan.lanes) == 5


def test_a_yaml_inventory_is_known_by_its_looks_too(tmp_path: Path) -> None:
    assert "web7" in import_ansible(write(tmp_path, "inventory", YAML))


def test_what_cannot_be_taken_over_is_said_in_comments(tmp_path: Path) -> None:
    text = import_ansible(
        write(
            tmp_path,
            "hosts",
            "[web]\nweb1 ansible_host='{{ internal }}'\n"
            "'we;b' ansible_user=x\nweb2 ansible_user='root; id' ansible_port=99999999\n"
            "web3 ansible_ssh_common_args='-o ProxyJump=web1'\n"
            "web4:2222\nweb5 ansible_ssh_common_args='-J wep1'\n"
            "web6 ansible_ssh_common_args='-J bastion.example.com'\n",
        )
    )
    fleet = load(tmp_path, text)
    assert "# Note: 'web1': ansible_host is a template and was left out" in text
    assert "# Note: 'we;b' left out: 'we;b' is neither an IP address nor a host name" in text
    assert fleet.hosts["web1"].address == "web1"
    assert fleet.hosts["web2"].ssh.user is None
    assert fleet.hosts["web3"].ssh.jump == "web1"
    assert fleet.hosts["web4"].ssh.port == 2222
    assert fleet.hosts["web5"].ssh.jump is None
    assert "# Note: 'web5': its jump was left out: 'wep1' is not under hosts" in text
    assert fleet.hosts["web6"].ssh.jump == "bastion.example.com"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no hosts found"),
        ("[web\nweb1\n", ":1: '[web' is no section"),
        ("[web]\nweb1 port\n", ":2: 'port' is no KEY=VALUE"),
        ("[web]\nweb1 a='b\n", ":2: No closing quotation"),
        ("[web]\nweb[1:9999999]\n", ":2: [1:9999999] stands for more than 50000 hosts"),
        ("[web]\nw[1:999][1:999]\n", "stands for more than 50000 hosts"),
        ("[web]\nw[3:1]\n", ":2: [3:1] is an empty range"),
        ("[web]\nw[1:2:0]\n", ":2: [1:2:0] is no range"),
        ("#!/bin/sh\necho\n", "a program that prints an inventory"),
        ("all:\n  hosts: [a\n", ":3: "),
        ("all:\n  children:\n    web: 3\n", "group 'web' is no group"),
        ("_meta:\n  hostvars: {}\n", "the JSON that a program prints"),
        ("\0\0", "no host in it has an address"),
    ],
)
def test_what_is_no_inventory_is_refused_in_one_line(
    text: str, message: str, tmp_path: Path
) -> None:
    path = write(tmp_path, "hosts", text)
    with pytest.raises(UsageError) as error:
        import_ansible(path)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(str(path))


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("web", ["web"]),
        ("web[1:3]", ["web1", "web2", "web3"]),
        ("web[08:10].x", ["web08.x", "web09.x", "web10.x"]),
        ("web[1:5:2]", ["web1", "web3", "web5"]),
        ("[a:c]", ["a", "b", "c"]),
        ("r[1:2]-[a:b]", ["r1-a", "r1-b", "r2-a", "r2-b"]),
    ],
)
def test_ranges_expand_as_in_ansible(pattern: str, names: list[str]) -> None:
    assert expand_ranges(pattern) == names


@given(st.text())
def test_a_written_text_is_read_as_itself_by_any_yaml_reader(text: str) -> None:
    assert yaml.safe_load(f"[{scalar(text)}]") == [text]


def test_data_on_one_line_is_read_as_itself() -> None:
    data = {"no": ["1.20", "::1", "a: b", "#x", "null", 3], "x": {}, "1:30": "{version}"}
    assert yaml.safe_load(flow(data)) == data


def server(name: str, address: str, port: int = 80) -> FoundServer:
    return FoundServer(name, address, port, 100, False, "UP")


def found(**backends: list[FoundServer]) -> Found:
    return Found(
        "2.6.12",
        tuple(FoundBackend(name, "roundrobin", tuple(own)) for name, own in backends.items()),
    )


def test_backends_with_the_same_servers_become_one_pool(tmp_path: Path) -> None:
    two = [server("web1", "10.0.0.11"), server("web2", "10.0.0.12")]
    text = render_haproxy(found(app=two, api=two), balancer="lb1", address="10.0.0.5")
    fleet = load(tmp_path, text)
    assert list(fleet.pools) == ["app"]
    assert fleet.pools["app"].backends == ["app", "api"]
    assert list(fleet.hosts) == ["lb1", "web1", "web2"]
    assert "Note" not in text


def test_one_machine_under_two_names_is_one_host_in_two_pools_with_a_warning(
    tmp_path: Path,
) -> None:
    text = render_haproxy(
        found(app=[server("web1", "10.0.0.11")], api=[server("s1", "10.0.0.11", 81)]),
        balancer="lb1",
        address="10.0.0.5",
    )
    fleet = load(tmp_path, text)
    assert list(fleet.hosts) == ["lb1", "web1"]
    assert fleet.pools["api"].server_name("web1") == "s1"
    assert "# Note: web1 stands in app and api: a roll of one leaves it in service" in text


def test_one_name_for_two_machines_gives_two_hosts(tmp_path: Path) -> None:
    text = render_haproxy(
        found(app=[server("s1", "10.0.0.11")], api=[server("s1", "10.0.0.12")]),
        balancer="s1",
        address="10.0.0.5",
    )
    fleet = load(tmp_path, text)
    assert sorted(host.address for host in fleet.hosts.values()) == [
        "10.0.0.11",
        "10.0.0.12",
        "10.0.0.5",
    ]
    assert [pool.server_name(next(iter(pool.servers))) for pool in fleet.pools.values()] == [
        "s1",
        "s1",
    ]


def test_several_servers_on_one_machine_are_told_apart(tmp_path: Path) -> None:
    four = [server(f"web{n}", "127.0.0.1", 8000 + n) for n in range(1, 5)]
    text = render_haproxy(found(app=four), balancer="lb1", address="127.0.0.1")
    fleet = load(tmp_path, text)
    assert list(fleet.pools["app"].servers) == ["web1", "web2", "web3", "web4"]


def test_a_server_without_an_address_is_left_out_and_named(tmp_path: Path) -> None:
    text = render_haproxy(
        found(app=[server("a", "-"), server("b", "10.0.0.1")], none=[server("c", "-")]),
        balancer="lb1",
        address="10.0.0.5",
    )
    assert list(load(tmp_path, text).pools["app"].servers) == ["b"]
    assert "# Note: none/c left out: '-' is no address" in text


NAME = st.text(alphabet="aZ0_.:-", min_size=1, max_size=5)
SERVERS = st.lists(
    st.tuples(NAME, st.sampled_from(["10.0.0.1", "10.0.0.2", "fd00::1", "-"]), st.integers(0, 3)),
    min_size=1,
    max_size=5,
    unique_by=lambda each: each[0],
)


@given(st.dictionaries(NAME, SERVERS, max_size=4), NAME)
def test_whatever_haproxy_says_becomes_a_fleet_file(
    backends: dict[str, list[tuple[str, str, int]]], balancer: str
) -> None:
    import tempfile  # noqa: PLC0415

    servers = {
        name: [server(name_, address, port) for name_, address, port in own]
        for name, own in backends.items()
    }
    text = render_haproxy(found(**servers), balancer=balancer, address="10.0.0.5")
    with tempfile.TemporaryDirectory() as directory:
        fleet = load(Path(directory), text)
    seen = {
        (backend, pool.server_name(host), fleet.hosts[host].address)
        for pool in fleet.pools.values()
        for backend in pool.backends
        for host in pool.servers
    }
    assert seen == {
        (backend, each.name, each.address)
        for backend, own in servers.items()
        for each in own
        if each.address != "-"
    }


CONFIG = """\
global
    stats socket {socket} mode 600 level admin
defaults
    mode http
    timeout connect 1s
    timeout client 1s
    timeout server 1s
backend web_servers
    server web1 127.0.0.11:80
    server app2 127.0.0.12:80 weight 50
backend api
    server web1 127.0.0.11:81
    server app2 127.0.0.12:81
backend static
    server old [fd00::5]:80 backup
"""


@pytest.fixture
def admin_socket(tmp_path: Path) -> Iterator[Path]:
    program = needs_program("haproxy")
    path = tmp_path / "admin.sock"
    config = write(tmp_path, "haproxy.cfg", CONFIG.format(socket=path))
    with subprocess.Popen(
        [program, "-db", "-f", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        deadline = time.monotonic() + 10
        while not path.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        yield path
        process.terminate()


def ask(path: Path, command: str) -> str:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        connection.sendall(f"{command}\n".encode())
        return b"".join(iter(lambda: connection.recv(65536), b"")).decode()


def test_a_live_haproxy_becomes_a_fleet_file(admin_socket: Path, tmp_path: Path) -> None:
    state, stat, info = (
        ask(admin_socket, command) for command in ("show servers state", "show stat", "show info")
    )
    text = render_haproxy(
        fleet_from_state(state, stat, info),
        balancer="lb1",
        address="127.0.0.1",
        sockets=[str(admin_socket)],
    )
    fleet = load(tmp_path, text)
    assert {name: pool.backends for name, pool in fleet.pools.items()} == {
        "web_servers": ["web_servers", "api"],
        "static": ["static"],
    }
    assert {name: host.address for name, host in fleet.hosts.items()} == {
        "lb1": "127.0.0.1",
        "web1": "127.0.0.11",
        "app2": "127.0.0.12",
        "old": "fd00::5",
    }
