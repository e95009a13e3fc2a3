from __future__ import annotations

import pytest

from tasks.nginx.reloading import ExecLine, exec_lines

# As `systemctl show` prints them: the packages of Debian, Fedora and nginx.org, and by hand.
DEBIAN = "/usr/sbin/nginx -g daemon on; master_process on; -s reload"
FEDORA = "/usr/sbin/nginx -s reload"
NGINX_ORG = '/bin/sh -c /bin/kill -s HUP "$(/bin/cat /run/nginx.pid)"'
OLD_ORG = "/bin/sh -c /bin/kill -s HUP $(/bin/cat /var/run/nginx.pid)"


def shown(argv: str) -> str:
    path = argv.split(maxsplit=1)[0]
    return (
        f"{{ path={path} ; argv[]={argv} ; ignore_errors=no ; start_time=[n/a] ; "
        "stop_time=[n/a] ; pid=0 ; code=(null) ; status=0/0 }"
    )


@pytest.mark.parametrize(
    ("argv", "kind"),
    [
        (DEBIAN, "nginx"),
        (FEDORA, "nginx"),
        ("/usr/sbin/nginx -t", "test"),
        ("/usr/sbin/nginx -tq -c /etc/nginx/x.conf", "test"),
        (NGINX_ORG, "kill"),
        (OLD_ORG, "kill"),
        ("/bin/kill -HUP $MAINPID", "kill"),
        ("/usr/bin/kill -1 ${MAINPID}", "kill"),
        ("/usr/local/bin/reload-nginx", "foreign"),
        ("/usr/sbin/nginx -s reopen", "foreign"),
        ("/bin/kill -USR1 $MAINPID", "foreign"),
    ],
)
def test_commands_are_told_apart(argv: str, kind: str) -> None:
    (line,) = exec_lines([shown(argv)])
    assert (line.argv, line.kind) == (argv, kind)


def test_the_options_of_a_reload_are_those_of_its_test() -> None:
    assert ExecLine("/usr/sbin/nginx", DEBIAN).options == ("-g", "daemon on; master_process on;")
    argv = "/opt/nginx -s reload -p /opt/web -c web.conf"
    assert ExecLine("/opt/nginx", argv).options == ("-p", "/opt/web", "-c", "web.conf")
    assert ExecLine("/opt/nginx", "/opt/nginx -tq -c web.conf").options == ("-c", "web.conf")


@pytest.mark.parametrize(
    ("argv", "pid_file", "main_pid"),
    [
        (NGINX_ORG, "/run/nginx.pid", False),
        (OLD_ORG, "/var/run/nginx.pid", False),
        ("/bin/sh -c kill -HUP $(</run/n.pid)", "/run/n.pid", False),
        ("/bin/sh -c kill -HUP `cat /run/n.pid`", "/run/n.pid", False),
        ("/bin/kill -HUP $MAINPID", None, True),
    ],
)
def test_where_a_kill_gets_its_pid(argv: str, pid_file: str | None, main_pid: bool) -> None:
    line = ExecLine(argv.split(maxsplit=1)[0], argv)
    assert (line.pid_file, line.main_pid) == (pid_file, main_pid)


def test_a_unit_that_does_not_reload_shows_no_commands() -> None:
    assert exec_lines([]) == []
    assert exec_lines([""]) == []
