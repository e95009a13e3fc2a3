"""The command line: exit codes, one clear line for each error, JSON, and what needs no Redis."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.chatops.conftest import Winch, a_plan
from worker.models import ENDED
from worker.node import Node
from worker.settings import settings

FLEET = """
hosts:
  lb1: {address: 127.0.0.1, connection: local}
  web1: {address: 127.0.0.1, connection: local}
  web2: {address: 127.0.0.1, connection: local}
balancers:
  lb1: {sockets: [/nonexistent/winch.sock]}
pools:
  web:
    balancers: [lb1]
    backends: [web]
    servers: {web1: {}, web2: {}}
    redeploy: {command: {run: "true"}}
"""


def winch_process(*words: str, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("WINCH_")}
    return subprocess.run(
        [sys.executable, "-m", "chatops.cli", *words],
        cwd=cwd,
        env=kept | {"PYTHONPATH": str(Path(__file__).parents[3])} | more,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["rol", "web"], "No such command 'rol'. Did you mean 'roll'?; see `winch --help`"),
        (["roll"], "Missing argument 'POOL'; see `winch roll --help`"),
        (["roll", "web", "--liimt", "x"], "No such option: --liimt"),
        (["show"], "Missing argument 'RUN'"),
        (["show", "abc"], "RUN must be a run's number, not 'abc'; `winch runs` lists them"),
        (["show", "0"], "RUN must be a run's number, not '0'"),
        (["show", "--", "-1"], "RUN must be a run's number, not '-1'"),
        (["show", "99999999999999999999"], "RUN must be a run's number"),
        (["show", "٣"], "RUN must be a run's number"),
        (["show", "99"], "run 99: there is no such run; `winch runs` lists them"),
        (["watch", "99"], "run 99: there is no such run"),
        (["logs", "99"], "run 99: there is no such run"),
        (["fleet"], "Missing command; see `winch fleet --help`"),
        (["fleet", "chekc"], "Did you mean 'check'?"),
        (["fleet", "import"], "give one of --haproxy HOST and --ansible FILE"),
        (["fleet", "import", "--haproxy", "a;reboot"], "must be a host of the fleet file"),
        (["lease", "break", "host:web1"], "Missing option '--reason'"),
        (["worker", "--concurrency", "0"], "--concurrency"),
        (["runs", "--limit", "many"], "--limit"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_5(winch: Winch, words: list[str], message: str) -> None:
    said = winch(*words)
    assert said.code == 5
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert said.err.startswith("error: ")
    assert message in said.err


def test_without_a_command_the_help_is_shown(winch: Winch) -> None:
    said = winch()
    assert said.code == 0
    assert "roll" in said.out
    assert "watch" in said.out


@pytest.mark.parametrize(
    "words",
    [
        *(["fleet", w] for w in ("check", "schema", "import")), ["lease", "break"],
        *([w] for w in (
            "plan", "roll", "drain", "enable", "runs", "show", "watch", "logs", "retry", "skip",
            "pause", "resume", "approve", "abort", "rollback", "leases", "audit", "up", "worker",
            "flower", "doctor", "demo", "freeze", "unfreeze", "freezes",
        )),
    ],
    ids=" ".join,
)  # fmt: skip
def test_every_command_explains_itself(winch: Winch, words: list[str]) -> None:
    said = winch(*words, "--help")
    assert said.code == 0
    assert "Usage: winch " + " ".join(words) in said.out


def test_help_is_quick_for_it_imports_nothing_heavy() -> None:
    code = (
        "import sys; from chatops.cli import run; assert run(['--help']) == 0;"
        "heavy = {'celery', 'sqlalchemy', 'fabric', 'paramiko', 'alembic', 'redis'};"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_missing_fleet_file_is_exit_5_and_the_option_may_stand_before_or_after(
    winch: Winch,
) -> None:
    for words in (["--fleet", "gone.yaml", "roll", "web"], ["roll", "web", "--fleet", "gone.yaml"]):
        said = winch(*words)
        assert said.code == 5
        assert "gone.yaml" in said.err


def test_the_option_after_the_command_wins(winch: Winch) -> None:
    (winch.directory / "own.yaml").write_text(FLEET)
    said = winch("--fleet", "gone.yaml", "roll", "nope", "--fleet", "own.yaml")
    assert said.err == "error: there is no pool 'nope'; known: web\n"


def test_each_problem_of_a_fleet_file_is_a_line(winch: Winch) -> None:
    (winch.directory / "fleet.yaml").write_text("hosts: {web1: {adress: 10.0.0.1}}\npols: {}\n")
    said = winch("fleet", "check")
    assert said.code == 5
    lines = said.err.splitlines()
    assert len(lines) >= 2
    assert all(line.startswith("error: ") for line in lines)


def test_a_plan_that_can_never_work_is_refused_before_anything_is_asked(winch: Winch) -> None:
    (winch.directory / "fleet.yaml").write_text(FLEET)
    said = winch("drain", "web", "web1", "web2")
    assert said.code == 3
    assert "nothing was changed" in said.err


def test_without_redis_nothing_is_written(winch: Winch) -> None:
    (winch.directory / "fleet.yaml").write_text(FLEET)
    said = winch("roll", "web", "--yes")
    assert said.code == 1
    assert said.err.count("\n") == 1
    assert "does not answer" in said.err
    assert "winch up" in said.err
    assert winch("runs").out == "no runs yet; `winch roll POOL` makes one\n"


def test_a_redis_address_of_garbage_is_wrong_usage(
    winch: Winch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WINCH_REDIS_URL", "foo://:hunter2@bar")
    settings.cache_clear()
    (winch.directory / "fleet.yaml").write_text(FLEET)
    said = winch("roll", "web", "--yes")
    assert said.code == 5
    assert "WINCH_REDIS_URL" in said.err
    assert "hunter2" not in said.err


def test_a_database_that_is_none_is_one_line(tmp_path: Path) -> None:
    junk = tmp_path / "junk.db"
    junk.write_text("this is no database, whatever its name says" * 100)
    done = winch_process("runs", cwd=tmp_path, WINCH_DATABASE_URL=f"sqlite:///{junk}")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "the file is not a database" in done.stderr


def test_json_is_all_that_stands_on_standard_output(winch: Winch) -> None:
    run = winch.make_run(reason="because")
    document = json.loads(winch("show", str(run), "--json").out)
    assert document["id"] == run
    assert document["reason"] == "because"
    assert document["hosts"][0]["steps"][0]["status"] == "pending"
    assert json.loads(winch("runs", "--json").out)[0]["id"] == run
    assert json.loads(winch("logs", str(run), "--json").out) == []
    assert json.loads(winch("leases", "--json").out) == []
    assert json.loads(winch("audit", "--json").out)[0]["action"] == "roll"
    assert json.loads(winch("fleet", "schema").out)["title"] == "Winch fleet file"


def test_what_a_person_reads_has_no_escape_sequences_in_a_pipe(winch: Winch) -> None:
    run = winch.make_run(reason="a very long reason " * 20)
    for words in (["show", str(run)], ["runs"], ["logs", str(run)], ["leases"], ["audit"]):
        said = winch(*words)
        assert said.code == 0
        assert "\x1b" not in said.out
    assert "a very long reason " * 19 in winch("runs").out


def test_pausing_says_how_to_go_on_and_pausing_twice_is_an_error(winch: Winch) -> None:
    run = str(winch.make_run())
    said = winch("pause", run, "--json")
    assert said.code == 0
    assert json.loads(said.out)["status"] == "paused"
    assert f"winch resume {run}" in said.err
    again = winch("pause", run)
    assert (again.code, again.out) == (1, "")
    assert "paused already" in again.err


def test_what_starts_steps_is_not_written_while_redis_is_away(winch: Winch) -> None:
    run = str(winch.make_run())
    for words in (["retry", run], ["skip", run, "web1"], ["rollback", run], ["abort", run]):
        said = winch(*words, "--yes")
        assert said.code == 1
        assert "does not answer" in said.err
    assert json.loads(winch("show", run, "--json").out)["status"] == "queued"


def test_a_defect_of_ours_says_so_in_one_line(
    winch: Winch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_args: object, **_kwargs: object) -> None:
        raise ZeroDivisionError("division\nby zero")

    monkeypatch.setattr("worker.report.run_list", broken)
    said = winch("runs")
    assert said.code == 1
    assert said.err == (
        "error: ZeroDivisionError: division by zero: this is a bug; set WINCH_DEBUG=1 for the "
        "traceback\n"
    )
    monkeypatch.setenv("WINCH_DEBUG", "1")
    assert "Traceback" in winch("runs").err


def test_an_interrupt_is_exit_99(winch: Winch, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_args: object, **_kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("worker.report.run_list", interrupted)
    assert winch("runs").code == 99


def test_a_reader_that_goes_away_is_no_error(winch: Winch) -> None:
    for _ in range(40):
        winch.make_run(reason="x" * 4000)
    command = f"{sys.executable} -m chatops.cli runs --limit 1000 | head -n 1"
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.startswith("run ")


def test_the_audit_says_who_asked(winch: Winch) -> None:
    run = winch.make_run(reason="CVE-2026-1")
    line = winch("audit").out.splitlines()[1]
    assert "cli:ops" in line
    assert "CVE-2026-1" in line
    assert f" {run} " in line


def test_queues_that_no_live_worker_serves_are_named(winch: Winch) -> None:
    from chatops.services import unserved, unserved_warning  # noqa: PLC0415

    here, there = winch.make_run(a_plan("web1")), winch.make_run(a_plan("web2", site="dc1"))
    assert unserved(winch.store(), here) == ["winch"]
    assert "start `winch up` or `winch worker`" in (unserved_warning(["winch"]) or "")
    node = Node(winch.store(), ["dc1"])
    node.start()
    try:
        assert unserved(winch.store(), here) == ["winch"]
        assert unserved(winch.store(), there) == []
    finally:
        node.stop()
    assert unserved(winch.store(), there) == ["dc1"]
    assert "winch worker --site dc1" in (unserved_warning(["dc1"]) or "")
    everything = Node(winch.store(), [])
    everything.start()
    try:
        assert unserved(winch.store(), there) == []
    finally:
        everything.stop()
    assert unserved_warning([]) is None


def test_the_statuses_that_end_a_run_are_the_engines() -> None:
    from chatops.render.words import ENDED as SHOWN  # noqa: PLC0415

    assert set(ENDED) == SHOWN
