"""`nginx -T`, `nginx -V` and the error log, as captured, and as people write configurations."""

from __future__ import annotations

import pytest

from tasks.nginx import config, errorlog
from tasks.nginx.errorlog import Line

DUMP = """\
# configuration file /etc/nginx/nginx.conf:
user www-data; # a comment with ; and {
pid /run/nginx.pid;
events { worker_connections 768; }
http {
    log_format main '$remote_addr "{$request}"; ';
    map $uri $new { default ""; ~^/(?<x>a\\{2\\}) "${x}"; }
    include /etc/nginx/conf.d/*.conf;
    include sites/*;
}
stream { server { listen 53 udp; } }

# configuration file /etc/nginx/conf.d/a.conf:
server { listen 80 default_server; listen [::]:80; listen unix:/run/a.sock; }
server { listen 127.0.0.1:8080-8082; listen localhost:81; listen example.test:82; }

# configuration file /etc/nginx/sites/b:
server { server_name b; }
server { listen 443 quic reuseport; listen 443 ssl; listen 10.0.0.1; }
"""


def test_listens_are_found_through_includes_and_defaults() -> None:
    assert config.listens(config.parse_dump(DUMP)) == {
        "tcp 0.0.0.0:80",
        "tcp [::]:80",
        "unix /run/a.sock",
        "tcp 127.0.0.1:8080",
        "tcp 127.0.0.1:8081",
        "tcp 127.0.0.1:8082",
        "tcp 127.0.0.1:81",
        "tcp *:82",
        "udp 0.0.0.0:443",
        "tcp 0.0.0.0:443",
        "tcp 10.0.0.1:80",
        "udp 0.0.0.0:53",
    }


def test_settings_of_the_main_level_are_found() -> None:
    tree = config.parse_dump(DUMP)

    assert config.setting(tree, "pid") == ("/run/nginx.pid",)
    assert config.setting(tree, "daemon") is None
    assert config.setting(config.parse_globals("daemon off; user 'a b'"), "user") == ("a b",)


@pytest.mark.parametrize("text", ["http {", "}", "a b; }", "content_by_lua_block { if x then '"])
def test_what_is_not_understood_is_said_to_be(text: str) -> None:
    with pytest.raises(config.NotUnderstood):
        config.parse_dump(f"# configuration file /x:\n{text}\n")


def test_a_name_in_listen_stands_for_any_address_with_its_port() -> None:
    running = frozenset({"tcp 192.0.2.1:82", "tcp 0.0.0.0:80", "tcp 0.0.0.0:90"})

    assert config.no_longer(running, frozenset({"tcp *:82", "tcp 0.0.0.0:80"})) == [
        "tcp 0.0.0.0:90"
    ]


def test_configure_arguments_keep_quoted_ones_whole() -> None:
    build = config.parse_build(
        "nginx version: nginx/1.22.1\nbuilt with OpenSSL\nconfigure arguments: "
        "--with-cc-opt='-g -O2 -fPIC' --prefix=/usr/share/nginx --pid-path=/run/nginx.pid "
        "--with-http_ssl_module --with-stream=dynamic --add-dynamic-module=/build/echo-nginx\n"
    )

    assert build.arguments[0] == "--with-cc-opt=-g -O2 -fPIC"
    assert build.pid_path == "/run/nginx.pid"
    assert build.conf_path == "/usr/share/nginx/conf/nginx.conf"
    assert build.features == {"--with-http_ssl_module", "--with-stream=dynamic", "echo-nginx"}


@pytest.mark.parametrize(
    ("log", "said"),
    [
        (
            "2026/11/21 05:58:21 [emerg] 548#548: bind() to 0.0.0.0:8181 failed (98: Address "
            "already in use)\nnginx: [emerg] bind() to 0.0.0.0:8181 failed (98: Address already "
            "in use)\n2026/11/21 05:58:21 [emerg] 548#548: still could not bind()\n",
            "[emerg] bind() to 0.0.0.0:8181 failed (98: Address already in use); "
            "[emerg] still could not bind()",
        ),
        (
            "2026/11/21 05:58:19 [alert] 351#351: new binary process 415 exited on signal 9\n",
            "[alert] new binary process 415 exited on signal 9",
        ),
        (
            "2026/11/21 05:58:19 [notice] 351#351: new binary process 415 exited with code 1\n",
            "[notice] new binary process 415 exited with code 1",
        ),
        ('2026/11/21 05:58:19 [error] 7#7: *3 open() "/x" failed\nno line\n', ""),
    ],
)
def test_the_reason_is_in_the_words_of_nginx(log: str, said: str) -> None:
    assert errorlog.reason(errorlog.parse(log)) == said


def test_only_crashes_of_the_new_processes_are_trouble() -> None:
    lines = [
        Line("alert", 10, "worker process 11 exited on signal 11"),
        Line("alert", 20, "worker process 21 exited on signal 11"),
        Line("alert", 10, "open socket #3 left in connection 5"),
        Line("crit", 10, "SSL_do_handshake() failed"),
    ]

    assert errorlog.troubles(lines, [10, 11]) == ["[alert] worker process 11 exited on signal 11"]
