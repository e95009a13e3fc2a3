"""The lines of a configuration that a reload understands."""

from __future__ import annotations

import pytest

from tasks.haproxy.reload_config import (
    Carry,
    bind_words,
    carry,
    hard_stop_after,
    native_file,
    parse_lines,
    server_port,
    split_words,
)

WORDS = [
    ("", ()),
    ("  # a comment", ()),
    ("bind :80 # web", ("bind", ":80")),
    (r"bind :80 a\#b", ("bind", ":80", "a#b")),
    (r"server a\ b 10.0.0.1:80", ("server", "a b", "10.0.0.1:80")),
    ("backend 'a b'", ("backend", "a b")),
    ('backend "${NAME}" x', ("backend", "${NAME}", "x")),
    (r'x "a \" # b" c', ("x", 'a " # b', "c")),
    ("x ''", ("x", "")),
]


@pytest.mark.parametrize(("text", "words"), WORDS)
def test_a_line_is_split_as_haproxy_does(text: str, words: tuple[str, ...]) -> None:
    assert split_words(text) == words


CONFIG = """
== /a.cfg
1:global
2:  stats socket /run/x.sock level admin
3:  stats socket ipv4@127.0.0.1:9999
4:  hard-stop-after 30s
5:  server-state-base /var/lib
6:  server-state-file states
7:defaults
8:  load-server-state-from-file global
9:frontend in
10:  bind :80,:81
11:backend web
12:  load-server-state-from-file local
13:  server web1 10.0.0.1:8080 check
14:  server web2 10.0.0.2
15:  server web3 "[fd00::1]:81"
== /b.cfg
1:listen api
2:  bind 10.0.0.9:8443 ssl
3:  server-template app 3 app.example.org:90
4:  server minus 10.0.0.4:-1000
5:  server plus 10.0.0.4:+1000
6:  server v4 "${IP}:70"
7:  server v6 "${IP}:${PORT}"
8:  server bare fd00:1::2:82
9:  server unknown ${WHAT}
"""
LINES = parse_lines(CONFIG)


def test_a_backend_is_found_with_what_would_gainsay() -> None:
    assert carry(LINES, ["web", "api", "gone"]) == Carry(
        {"/a.cfg": [11], "/b.cfg": [1]}, {"/a.cfg": [12]}, ("gone",)
    )
    assert carry(LINES, []) == Carry()


def test_a_section_that_is_named_by_a_variable_makes_it_unclear() -> None:
    lines = parse_lines("== /a.cfg\n1:backend ${NAME}\n2:backend web")
    assert carry(lines, ["web"]) == Carry({"/a.cfg": [2]})
    assert carry(lines, ["other"]).unclear == "/a.cfg:1 names a section by a variable, ${NAME}"


PORTS = [
    ("web", "web1", 8080),
    ("web", "web2", 0),
    ("web", "web3", 81),
    ("web", "web9", None),
    ("api", "app2", 90),
    ("api", "appx", None),
    ("api", "minus", None),
    ("api", "plus", 1000),
    ("api", "v4", 70),
    ("api", "v6", None),
    ("api", "bare", 82),
    ("api", "unknown", None),
]


@pytest.mark.parametrize(("backend", "server", "port"), PORTS)
def test_a_servers_port_is_read_from_its_line(backend: str, server: str, port: int | None) -> None:
    assert server_port(LINES, backend, server) == port


def test_everything_that_listens_is_found() -> None:
    assert [line.words[1] for line in bind_words(LINES)] == [
        "/run/x.sock",
        "ipv4@127.0.0.1:9999",
        ":80,:81",
        "10.0.0.9:8443",
    ]


def test_what_the_configuration_says_of_old_workers_and_of_states() -> None:
    assert hard_stop_after(LINES) == "30s"
    assert native_file(LINES) == "/var/lib/states"
    assert native_file(parse_lines("== /a\n1:server-state-file /x")) is None
    loads = "== /a\n1:server-state-file /x\n2:load-server-state-from-file global"
    assert native_file(parse_lines(loads)) == "/x"
