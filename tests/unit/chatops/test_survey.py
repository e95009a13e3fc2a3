"""`winch fleet check` and `fleet import`: what is read from hosts, and what of it is wrong."""

from __future__ import annotations

import json
import re

import pytest

from chatops.importing import parse_where
from chatops.survey import parse_facts
from tests.unit.chatops.conftest import Winch
from tests.unit.chatops.test_cli import FLEET
from worker.errors import UsageError

FACTS = """os=Debian GNU/Linux 12 (bookworm)
kernel=Linux 6.1.0-18-amd64
user=root
haproxy=HAProxy version 2.6.12-1+deb12u1 2023/12/16 - https://haproxy.org/
nginx=nginx version: nginx/1.22.1
keepalived=Keepalived v2.2.7 (01/16,2022)
"""


def test_versions_are_read_from_what_each_program_says_of_itself() -> None:
    facts = parse_facts(FACTS)
    assert facts["versions"] == {
        "haproxy": "2.6.12-1+deb12u1",
        "nginx": "1.22.1",
        "keepalived": "2.2.7",
    }
    assert facts["os"] == "Debian GNU/Linux 12 (bookworm)"


def test_a_host_with_nothing_on_it_has_no_versions() -> None:
    assert parse_facts("os=\nkernel=Linux 6\nuser=ops\ngarbage")["versions"] == {}
    assert parse_facts("")["os"] is None


def test_a_socket_that_is_not_there_is_a_problem_that_names_it(winch: Winch) -> None:
    (winch.directory / "fleet.yaml").write_text(FLEET)
    said = winch("fleet", "check", "--json")
    assert said.code == 3
    document = json.loads(said.out)
    assert [host["reachable"] for host in document["hosts"]] == [True, True, True]
    assert len(document["problems"]) == 1
    assert "/nonexistent/winch.sock" in document["problems"][0]
    table = winch("fleet", "check").out
    assert "3 of 3 hosts answer; 1 problem" in table


def test_a_host_that_does_not_answer_is_exit_4_and_the_others_are_reported(winch: Winch) -> None:
    silent = FLEET.replace(
        "web2: {address: 127.0.0.1, connection: local}",
        "web2: {address: 127.0.0.1, ssh: {port: 1}}",
    )
    (winch.directory / "fleet.yaml").write_text(silent)
    said = winch("fleet", "check")
    assert said.code == 4
    assert re.search(r"^web1 .*✓ yes", said.out, re.MULTILINE)
    assert re.search(r"^web2 .*✗ no", said.out, re.MULTILINE)


def test_a_host_to_import_from_is_read_strictly() -> None:
    spec = parse_where("root@10.0.0.5:2222")
    assert (spec.address, spec.ssh.user, spec.ssh.port) == ("10.0.0.5", "root", 2222)
    assert parse_where("[fe80::1]:22").address == "fe80::1"
    assert parse_where("lb1.example").ssh.user is None
    assert parse_where("local").connection == "local"


@pytest.mark.parametrize(
    "where", ["", "a b", "a;b", "$(id)", "@x", "x:0", "x:99999", "-oX=y", "x\n"]
)
def test_anything_else_is_refused(where: str) -> None:
    with pytest.raises(UsageError, match="--haproxy"):
        parse_where(where)


def test_a_file_is_not_written_over_unless_asked(winch: Winch) -> None:
    (winch.directory / "inventory.ini").write_text("[web]\nweb1 ansible_host=10.0.0.1\n")
    words = ("fleet", "import", "--ansible", "inventory.ini", "--output", "new.yaml")
    assert winch(*words).code == 0
    said = winch(*words)
    assert said.code == 5
    assert "exists already" in said.err
    assert winch(*words, "--force").code == 0
    assert "web1" in (winch.directory / "new.yaml").read_text()
