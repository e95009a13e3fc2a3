"""What a HAProxy process was started with, and what its master says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.haproxy.facts import Worker
from tasks.haproxy.reload_check import first_alert
from tasks.haproxy.reload_process import (
    ConfigFile,
    Master,
    Running,
    check_options,
    config_arguments,
    parse_master,
)

DATA = Path(__file__).parent / "data"

ARGUMENTS = [
    ("haproxy -Ws -f /etc/haproxy/haproxy.cfg -p /run/h.pid", ["/etc/haproxy/haproxy.cfg"], []),
    ("haproxy -sf 12 13 -x sockpair@4 -Ws -S /run/m -f /a -f /b/", ["/a", "/b"], []),
    ("haproxy -W -f a -C /etc -f b -L me", ["/etc/a", "/etc/b"], ["-C", "/etc", "-L", "me"]),
    ("haproxy -W -n 100 -dr -- x y", ["/srv/x", "/srv/y"], ["-dr"]),
    ("haproxy -st 1 -f /a", ["/a"], []),
]  # fmt: skip


@pytest.mark.parametrize(("words", "files", "options"), ARGUMENTS)
def test_files_and_options_are_read_from_the_arguments(
    words: str, files: list[str], options: list[str]
) -> None:
    argv = words.split()
    assert config_arguments(argv, "/srv") == files
    assert check_options(argv) == options


@pytest.mark.parametrize("version", ["2.6", "3.0", "3.2"])
def test_the_master_names_the_worker_that_serves(version: str) -> None:
    before = parse_master((DATA / f"show-proc-{version}.txt").read_text())
    after = parse_master((DATA / f"show-proc-reloaded-{version}.txt").read_text())
    assert before is not None
    assert after is not None
    assert (before.reloads, before.failed, before.old) == (0, 0, ())
    assert (after.reloads, after.failed) == (1, 0)
    assert after.worker.pid != before.worker.pid
    assert [worker.pid for worker in after.old] == [before.worker.pid]


FAILED = """#<PID>          <type>          <reloads>       <uptime>        <version>
13368           master          1 [failed: 1]   0d00h00m02s     3.2.26-1
# workers
# old workers
13300           worker          2               0d00h00m09s     3.2.26-1
13377           worker          1               0d00h00m02s     3.2.26-1
"""


def test_after_a_reload_that_failed_3_2_lists_the_worker_that_serves_as_old() -> None:
    master = parse_master(FAILED)
    assert master is not None
    assert (master.worker.pid, [worker.pid for worker in master.old]) == (13377, [13300])


def test_what_is_no_master_is_none() -> None:
    assert parse_master("Unknown command: 'show proc'") is None


def running(*files: str, arguments: tuple[str, ...] = ("/h.cfg", "/conf.d")) -> Running:
    master = Master(1, 0, 0, Worker(2, "2.6", False), ())
    return Running(master, ("haproxy",), arguments, tuple(ConfigFile(f, f) for f in files))


CANDIDATES = [
    ("/h.cfg", ["NEW", "/conf.d/10.cfg", "/conf.d/30.cfg"]),
    ("/conf.d/10.cfg", ["/h.cfg", "NEW", "/conf.d/30.cfg"]),
    ("/conf.d/20.cfg", ["/h.cfg", "/conf.d/10.cfg", "NEW", "/conf.d/30.cfg"]),
    ("/conf.d/x", None),
    ("/conf.d/.x.cfg", None),
    ("/other.cfg", None),
    ("/conf.d/sub/x.cfg", None),
]


@pytest.mark.parametrize(("target", "files"), CANDIDATES)
def test_a_candidate_is_checked_where_haproxy_would_read_it(
    target: str, files: list[str] | None
) -> None:
    now = running("/h.cfg", "/conf.d/10.cfg", "/conf.d/30.cfg")
    assert now.with_candidate(target, "NEW") == files


def test_the_line_that_tells_most_is_chosen() -> None:
    said = (
        "[NOTICE]   (1) : haproxy version is 2.6.12\n"
        "[ALERT]    (1) : config : parsing [/a.cfg:3] : unknown keyword 'x'\n"
        "[ALERT]    (1) : config : Fatal errors found in configuration.\n"
    )
    assert "unknown keyword 'x'" in first_alert(said)
    assert "/a.cfg:3" in first_alert(said)
    assert first_alert("") == "no output"
