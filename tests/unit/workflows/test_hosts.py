from __future__ import annotations

from pathlib import Path

from tests.unit.workflows.fleets import load
from workflows.hosts import host_specs


def test_a_hosts_own_ssh_wins_key_by_key(tmp_path: Path) -> None:
    fleet = load(
        tmp_path,
        "ssh: {user: deploy, port: 2200, become: sudo, known_hosts: ./kh}\n"
        "hosts: {a: {address: 10.0.0.1, site: dc1, ssh: {port: 22, become: none}}}\n",
    )
    spec = host_specs(fleet, ["a"])["a"]
    assert (spec.site, spec.address) == ("dc1", "10.0.0.1")
    assert (spec.ssh.user, spec.ssh.port, spec.ssh.become) == ("deploy", 22, None)
    assert spec.ssh.known_hosts == tmp_path / "kh"


def test_jump_hosts_come_along_and_never_jump_through_themselves(tmp_path: Path) -> None:
    fleet = load(
        tmp_path,
        "ssh: {jump: inner}\n"
        "hosts:\n"
        "  a: {address: 10.0.0.1}\n"
        "  inner: {address: 10.0.0.2, ssh: {jump: outer}}\n"
        "  outer: {address: 10.0.0.3}\n",
    )
    specs = host_specs(fleet, ["a"])
    assert {name: spec.ssh.jump for name, spec in specs.items()} == {
        "a": "inner",
        "inner": "outer",
        "outer": None,
    }


def test_a_jump_that_is_no_host_of_the_fleet_is_an_address(tmp_path: Path) -> None:
    fleet = load(
        tmp_path,
        "ssh: {user: ops, jump: bastion.example.com}\nhosts: {a: {address: 10.0.0.1}}\n",
    )
    bastion = host_specs(fleet, ["a"])["bastion.example.com"]
    assert (bastion.address, bastion.ssh.user, bastion.ssh.jump) == (
        "bastion.example.com",
        "ops",
        None,
    )


def test_a_host_may_refuse_the_common_jump(tmp_path: Path) -> None:
    fleet = load(
        tmp_path,
        "ssh: {jump: b}\nhosts:\n  a: {address: 10.0.0.1, ssh: {jump: null}}\n"
        "  b: {address: 10.0.0.2}\n",
    )
    assert list(host_specs(fleet, ["a"])) == ["a"]


def test_a_local_host_needs_no_way_to_it(tmp_path: Path) -> None:
    fleet = load(
        tmp_path,
        "ssh: {jump: b, become: sudo}\n"
        "hosts: {a: {address: 127.0.0.1, connection: local}, b: {address: 10.0.0.2}}\n",
    )
    specs = host_specs(fleet, ["a"])
    assert list(specs) == ["a"]
    assert specs["a"].connection == "local"
    assert specs["a"].ssh.become == "sudo"
