"""The command line from end to end: a real worker, Redis and HAProxy."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.integration.cli.conftest import Machine, Screen, fake_plan, until
from worker.embedded import EmbeddedRedis


def document(machine: Machine, run: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(machine.winch("show", run, "--json").stdout)
    return found


def statuses(machine: Machine, run: str) -> list[str]:
    return [host["status"] for host in document(machine, run)["hosts"]]


def server_states(machine: Machine) -> list[list[str]]:
    """Name, operational and admin state, and weight of each server."""
    lines = machine.haproxy("show servers state web").splitlines()[2:]
    return [line.split()[3:8] for line in lines if line]


def run_number(text: str) -> str:
    found = re.search(r"run (\d+)", text)
    assert found is not None, text
    return found[1]


def test_a_roll_is_followed_line_by_line_to_its_recap(machine: Machine) -> None:
    done = machine.winch("roll", "web", "--set", "version=2", "--reason", "because")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    for host in ("web1", "web2", "web3"):
        assert re.search(rf"^\S+Z  {host}  haproxy.enable  succeeded  ", done.stdout, re.MULTILINE)
        assert re.search(rf"^{host}  ✓ succeeded", done.stdout, re.MULTILINE)
        assert (machine.directory / f"{host}.version").read_text() == "2\n"
    run = run_number(done.stdout)
    shown = document(machine, run)
    assert shown["status"] == "succeeded"
    assert shown["reason"] == "because"
    assert shown["progress"] == {"done": 12, "total": 12}
    logs = machine.winch("logs", run, "web1").stdout
    assert "# echo 'set server web/web1 state drain; show" in logs
    assert "web2.version" not in logs


def test_json_is_one_document_at_the_end(machine: Machine) -> None:
    done = machine.winch("roll", "web", "--limit", "web1", "--set", "version=3", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["status"] == "succeeded"
    assert [host["name"] for host in json.loads(done.stdout)["hosts"]] == ["web1"]


def test_no_wait_prints_the_number_alone_and_watch_follows_it(machine: Machine) -> None:
    done = machine.winch("roll", "web", "--limit", "web2", "--set", "version=4", "--no-wait")
    assert done.returncode == 0
    assert re.fullmatch(r"\d+\n", done.stdout)
    assert done.stderr == ""
    watched = machine.winch("watch", done.stdout.strip())
    assert watched.returncode == 0
    assert "✓ succeeded" in watched.stdout


def test_a_release_that_fails_is_put_back_and_retry_goes_on(machine: Machine) -> None:
    machine.break_release("web2")
    done = machine.winch("roll", "web", "--set", "version=5")
    machine.break_release("web2", broken=False)
    assert done.returncode == 8
    assert "↩ web2: deploy.redeploy: " in done.stdout
    run = run_number(done.stdout)
    assert f"winch retry {run}" in done.stdout
    assert "web3  - cancelled" in done.stdout
    again = machine.winch("retry", run)
    assert again.returncode == 0, again.stdout
    assert again.stderr == f"run {run}: retrying web2, web3\n"
    assert machine.haproxy("show stat web 4 -1").count(",UP,") == 3


def test_a_failure_that_stays_keeps_its_leases_until_it_is_aborted(machine: Machine) -> None:
    machine.break_release("web1")
    done = machine.winch("roll", "stubborn", "--set", "version=6")
    assert done.returncode == 2
    run = run_number(done.stdout)
    assert f"winch rollback {run}" in done.stdout
    leases = json.loads(machine.winch("leases", "--json").stdout)
    assert [(lease["name"], str(lease["run"])) for lease in leases] == [("host:web1", run)]
    assert "host:web1" in machine.winch("leases").stdout

    back = machine.winch("rollback", run)
    machine.break_release("web1", broken=False)
    assert back.returncode == 8, back.stdout + back.stderr
    assert json.loads(machine.winch("leases", "--json").stdout) == []
    assert machine.winch("abort", run).returncode == 1
    assert machine.haproxy("show stat web 4 -1").count(",UP,") == 3


def test_a_host_can_be_skipped_and_its_lease_broken(machine: Machine) -> None:
    machine.break_release("web1")
    run = run_number(machine.winch("roll", "stubborn", "--set", "version=7").stdout)
    machine.break_release("web1", broken=False)
    broken = machine.winch("lease", "break", "host:web1", "--reason", "it is known")
    assert broken.returncode == 0
    assert broken.stderr == f"lease host:web1 was taken from run {run}\n"
    assert machine.winch("lease", "break", "host:web1", "--reason", "again").returncode == 5
    skipped = machine.winch("skip", run, "web1")
    assert skipped.returncode == 0, skipped.stdout + skipped.stderr
    assert "web1  » skipped" in skipped.stdout
    actions = [entry["action"] for entry in json.loads(machine.winch("audit", "--json").stdout)]
    assert {"skip", "lease break", "roll"} <= set(actions)
    assert machine.winch("enable", "web", "web1").returncode == 0


def test_drain_and_enable_are_the_ends_of_a_roll(machine: Machine) -> None:
    assert machine.winch("drain", "web", "web3").returncode == 0
    assert ",MAINT," in machine.haproxy("show stat web 4 -1")
    refused = machine.winch("roll", "web", "--set", "version=8")
    assert refused.returncode == 3
    assert "web/web3 is in maintenance" in refused.stdout
    planned = machine.winch("plan", "roll", "web", "--json")
    assert planned.returncode == 3
    assert "web/web3 is in maintenance" in json.loads(planned.stdout)["problems"][0]
    assert machine.winch("enable", "web", "web3").returncode == 0
    assert machine.haproxy("show stat web 4 -1").count(",UP,") == 3


def test_a_plan_says_the_commands_and_touches_nothing(machine: Machine) -> None:
    before = server_states(machine)
    runs = machine.winch("runs", "--json").stdout
    done = machine.winch("plan", "roll", "web", "--set", "version=9", "--json")
    assert done.returncode == 0
    steps = json.loads(done.stdout)["hosts"][0]["steps"]
    assert steps[0]["name"] == "haproxy.drain"
    assert steps[0]["commands"][0] == "lb1: set server web/web1 state drain"
    assert "echo 9 >" in steps[1]["commands"][0]
    assert server_states(machine) == before
    assert machine.winch("runs", "--json").stdout == runs


def test_fleet_check_shows_the_servers_and_import_writes_a_fleet(machine: Machine) -> None:
    checked = machine.winch("fleet", "check")
    assert checked.returncode == 0, checked.stdout
    assert re.search(r"^lb1 +web +web1 +UP", checked.stdout, re.MULTILINE)
    assert "4 of 4 hosts answer; all is well" in checked.stdout
    written = machine.winch("fleet", "import", "--haproxy", "lb1")
    assert written.returncode == 0
    path = machine.directory / "imported.yaml"
    path.write_text(written.stdout)
    planned = machine.winch("plan", "drain", "web", "web1", "--fleet", str(path))
    assert "there is no pool" not in planned.stderr


def test_a_run_that_needs_an_approval_ends_the_following_with_7(machine: Machine) -> None:
    run = machine.start(fake_plan("fake.approval"))
    until(lambda: document(machine, run)["status"] == "waiting", what="waiting")
    watched = machine.winch("watch", run)
    assert watched.returncode == 7
    assert f"`winch approve {run}` lets it go on" in watched.stderr
    approved = machine.winch("approve", run)
    assert approved.returncode == 0
    assert "approved by cli:" in approved.stdout
    assert machine.winch("approve", run).returncode == 1


def test_a_lease_that_another_run_holds_is_exit_6(machine: Machine) -> None:
    holder = machine.start(fake_plan("fake.approval"))
    other = machine.start(fake_plan("fake.work", lock_wait=0.1))
    watched = machine.winch("watch", other)
    assert watched.returncode == 6, watched.stdout
    assert f"run {holder}" in watched.stdout
    assert machine.winch("abort", holder, "--yes").returncode == 0
    assert machine.winch("watch", holder).returncode == 99


def test_a_paused_run_is_resumed_and_followed(machine: Machine) -> None:
    run = machine.start(fake_plan("fake.approval", hosts=("one", "two")))
    assert machine.winch("pause", run).returncode == 0
    until(lambda: statuses(machine, run)[0] == "waiting", what="the first host")
    assert machine.winch("approve", run, "--no-wait").stdout == f"{run}\n"
    until(lambda: statuses(machine, run)[0] == "succeeded", what="the first host")
    assert document(machine, run)["status"] == "paused"
    assert statuses(machine, run) == ["succeeded", "pending"]
    resumed = machine.winch("resume", run)
    assert resumed.returncode == 7, resumed.stdout + resumed.stderr
    assert "waits for approval (two)" in resumed.stderr
    assert machine.winch("approve", run).returncode == 0


def test_ctrl_c_stops_the_following_and_not_the_run(machine: Machine) -> None:
    run = machine.start(fake_plan("fake.work", 4.0))
    screen = machine.on_screen("watch", run)
    screen.wait_for("s left")
    screen.interrupt()
    assert screen.end() == 99
    assert f"run {run} goes on; `winch watch {run}` follows it again" in screen.text
    assert "\x1b[?25h" in screen.text, "the cursor stays hidden"
    assert machine.winch("watch", run).returncode == 0


def answered(screen: Screen, answer: str) -> int:
    screen.wait_for("Start? [y/N]")
    screen.type(answer)
    return screen.end()


@pytest.mark.parametrize("answer", ["\n", "n\n", "what\n", "\x04"])
def test_anything_but_yes_starts_nothing(machine: Machine, answer: str) -> None:
    runs = machine.winch("runs", "--json").stdout
    screen = machine.on_screen("roll", "web", "--set", "version=10", "--reason", "why not")
    assert answered(screen, answer) == 1
    assert "roll web: 3 hosts, 1 at once" in screen.text
    assert "why not" in screen.text
    assert "error: nothing was started" in screen.text
    assert machine.winch("runs", "--json").stdout == runs


def test_yes_starts_it_and_shows_a_table_that_moves(machine: Machine) -> None:
    screen = machine.on_screen("roll", "web", "--limit", "web1", "--set", "version=11")
    assert answered(screen, "y\n") == 0
    assert "of 4 steps" in screen.text
    assert "haproxy.enable" in screen.text
    recap = screen.text.rpartition("\x1b[2K")[2]
    assert "web1  ✓ succeeded" in recap
    assert "● running" not in recap


def test_a_run_that_nobody_works_on_says_so(tmp_path: Path, machine: Machine) -> None:
    state = tmp_path / "s"
    with EmbeddedRedis(state):
        done = machine.winch("roll", "web", "--no-wait", WINCH_STATE_DIR=str(state))
    assert done.returncode == 0
    assert done.stdout == "1\n"
    assert done.stderr == (
        "warning: no worker is running; the run waits: start `winch up` or `winch worker`\n"
    )
