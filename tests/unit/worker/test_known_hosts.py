"""Which lines of a known_hosts file name a host."""

from __future__ import annotations

from pathlib import Path

import pytest
from paramiko import ECDSAKey
from paramiko.hostkeys import HostKeys

from worker.known_hosts import fingerprint, host_key_name, matches, read_known

KEY = ECDSAKey.generate()
LINE = f"{KEY.get_name()} {KEY.get_base64()}"


@pytest.mark.parametrize(
    ("names", "name", "expected"),
    [
        ("web1", "web1", True),
        ("web1", "web11", False),
        ("web2,WEB1", "web1", True),
        ("*.example.org", "web1.example.org", True),
        ("*.example.org,!web1.example.org", "web1.example.org", False),
        ("web?", "web1", True),
        ("[127.0.0.1]:2222", "[127.0.0.1]:2222", True),
        ("[127.0.0.1]:2222", "127.0.0.1", False),
        ("[127.0.0.1]:2222", "1:2222", False),
        ("10.0.0.1", "[10.0.0.1]:2222", False),
        (HostKeys.hash_host("web1"), "web1", True),
        (HostKeys.hash_host("web1"), "web2", False),
        ("|1|garbage", "web1", False),
    ],
)
def test_a_name_is_found_as_openssh_finds_it(names: str, name: str, expected: bool) -> None:
    assert matches(names, name) is expected


def test_another_port_is_part_of_the_name() -> None:
    assert host_key_name("10.0.0.1", 22) == "10.0.0.1"
    assert host_key_name("fe80::1", 2222) == "[fe80::1]:2222"


def test_comments_garbage_and_other_hosts_are_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(
        f"# web1 {LINE}\n\nweb1\nweb1 ssh-rsa !!!\nweb1 ssh-new AAAA\nweb2 {LINE}\n"
        f"@cert-authority web1 {LINE}\n  web1 {LINE} a comment\n\xff\n"
    )
    known = read_known([tmp_path / "nowhere", file], "web1")
    assert [(kind, fingerprint(key)) for kind, key in known.keys] == [
        (KEY.get_name(), fingerprint(KEY))
    ]
    assert known.revoked == []


def test_a_revoked_key_is_no_key(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(f"web1 {LINE}\n@revoked * {LINE}\n")
    known = read_known([file], "web1")
    assert known.keys == []
    assert known.revoked == [KEY]
