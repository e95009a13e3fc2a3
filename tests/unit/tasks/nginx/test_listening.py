from __future__ import annotations

import pytest

from tasks.nginx import config
from tasks.nginx.listening import Socket, in_the_way, worker_processes


@pytest.mark.parametrize(
    ("wanted", "other", "stands"),
    [
        ("tcp 0.0.0.0:80", "tcp 0.0.0.0:80", True),
        ("tcp 0.0.0.0:80", "tcp 127.0.0.1:80", True),
        ("tcp 10.0.0.1:80", "tcp 0.0.0.0:80", True),
        ("tcp 10.0.0.1:80", "tcp 10.0.0.2:80", False),
        ("tcp 0.0.0.0:80", "tcp 0.0.0.0:81", False),
        ("tcp 0.0.0.0:80", "udp 0.0.0.0:80", False),
        ("tcp [::]:80", "tcp [::1]:80", True),
        ("tcp [::1]:80", "tcp [2001:db8::1]:80", False),
        ("tcp 0.0.0.0:80", "tcp [::]:80", False),  # perhaps: it is not to be seen
        ("tcp *:80", "tcp 0.0.0.0:80", False),  # a name: it may be any address
        ("unix /run/a.sock", "unix /run/a.sock", True),
        ("unix /run/a.sock", "unix /run/b.sock", False),
    ],
)
def test_what_keeps_an_address_from_being_bound(wanted: str, other: str, stands: bool) -> None:
    socket = Socket(other, "7")
    assert in_the_way([wanted], [socket]) == ([(wanted, socket)] if stands else [])


@pytest.mark.parametrize(
    ("text", "number"),
    [("", 1), ("worker_processes 4;", 4), ("worker_processes auto;", 8),
     ("worker_processes $many;", None)],
)  # fmt: skip
def test_how_many_workers_a_configuration_makes(text: str, number: int | None) -> None:
    assert worker_processes(config.parse_globals(text), 8) == number


def test_only_the_listens_that_say_reuseport_are_told() -> None:
    text = "http { server { listen 80 reuseport; listen 81; } server { server_name b; } }"
    tree = config.parse_dump(f"# configuration file /x:\n{text}\n")
    assert config.listens(tree, reuseport=True) == {"tcp 0.0.0.0:80"}
    assert config.listens(tree) == {"tcp 0.0.0.0:80", "tcp 0.0.0.0:81"}
