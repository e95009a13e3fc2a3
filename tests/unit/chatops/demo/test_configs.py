"""The demo's configurations, read by those who have to read them."""

from __future__ import annotations

import signal
import subprocess
import tempfile
import threading
from pathlib import Path

import pytest

from chatops.demo import watchdog
from chatops.demo.configs import Layout, fleet_yaml, haproxy_cfg, redeploy_script, sshd_config
from chatops.demo.identity import Identity, shadow_locks
from chatops.demo.place import make_directory
from chatops.demo.processes import make_key
from chatops.demo.reaper import Seen, descendants
from tests.needs import needs_program
from workflows.fleet import load_fleet
from workflows.jobs import plan_job
from workflows.options import Options


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path, "ops", "ops", False, 2222, 8081, 8080)


def test_winch_accepts_the_fleet_file_and_plans_the_roll(layout: Layout) -> None:
    for name in ("id", "known_hosts"):
        (layout.directory / name).touch()
    layout.fleet.write_text(fleet_yaml(layout))
    fleet = load_fleet(layout.fleet)
    plan = plan_job(fleet, "roll", "web", [], Options(vars={"version": "2"}))
    lanes = [lane for lane in plan.lanes if not lane.gate]
    assert [lane.host for lane in lanes] == ["web1", "web2", "web3", "web4"]
    text = plan.model_dump_json()
    assert "web3 2" in text
    assert "http://127.0.0.13:8081/" in text


def test_haproxy_accepts_its_configuration(tmp_path: Path, layout: Layout) -> None:
    haproxy = needs_program("haproxy")
    config = tmp_path / "lb1.cfg"
    config.write_text(haproxy_cfg(layout, "lb1"))
    subprocess.run([str(haproxy or "haproxy"), "-c", "-q", "-f", str(config)], check=True)


def test_the_shell_accepts_the_deployment_whatever_nginx_is_called(
    layout: Layout,
) -> None:
    script = redeploy_script(layout, Path("/opt/my nginx"), {"LD_LIBRARY_PATH": "/a b:/c"})
    layout.redeploy.write_text(script)
    subprocess.run(["sh", "-n", str(layout.redeploy)], check=True)
    assert "LD_LIBRARY_PATH='/a b:/c' '/opt/my nginx'" in script


def test_sshd_lets_nobody_in_by_password(layout: Layout) -> None:
    text = sshd_config(layout, use_pam=False, helpers={"SshdSessionPath": Path("/x/session")})
    assert "PasswordAuthentication no" in text
    assert "AllowUsers ops" in text
    assert "SshdSessionPath /x/session" in text
    assert "ListenAddress 127.0.0.14:2222" in text


@pytest.mark.parametrize("odd", ["with blank", "quote'd", "semi;colon", "x" * 90])
def test_an_odd_temporary_directory_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, odd: str
) -> None:
    (tmp_path / odd).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / odd))
    made = make_directory()
    made.rmdir()
    assert made.parent == Path("/tmp")
    assert not list((tmp_path / odd).iterdir())


def test_a_private_key_is_its_owners_alone(tmp_path: Path) -> None:
    public = make_key(tmp_path / "id")
    assert public.startswith("ssh-ed25519 ")
    assert (tmp_path / "id").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("identity", "wrapped"),
    [
        (Identity("ops", "ops", 1000, 1000, "/bin/bash", has_sshd_account=False), False),
        (Identity("root", "root", 0, 0, "/bin/bash", has_sshd_account=True), False),
        (Identity("root", "root", 0, 0, "/bin/bash", has_sshd_account=False), True),
        (Identity("nobody", "nogroup", 65534, 65534, "/usr/sbin/nologin", True), True),
        (Identity("demo", "demo", 4242, 4242, "", has_sshd_account=True), True),
    ],
)
def test_an_account_that_sshd_would_refuse_is_wrapped(identity: Identity, wrapped: bool) -> None:
    assert identity.needs_wrapper is wrapped
    assert f"{identity.user}:x:{identity.uid}:" in identity.passwd(Path("/home"))


def test_a_locked_password_is_seen() -> None:
    shadow = "root:!:19000::::::\nops:$y$x:19000::::::\n"
    assert shadow_locks(shadow, "root")
    assert not shadow_locks(shadow, "ops")
    assert not shadow_locks(shadow, "absent")


def test_descendants_are_found_through_every_level() -> None:
    table = {1: Seen("S", 0, 1), 5: Seen("S", 1, 5), 6: Seen("S", 5, 5), 7: Seen("S", 6, 7)}
    assert descendants(table, 5) == [6, 7]


def test_the_sweep_ends_who_works_there_and_removes_the_directory(tmp_path: Path) -> None:
    directory = tmp_path / "winch-demo-x"
    directory.mkdir()
    empty, full = tmp_path / "empty", tmp_path / "full"
    empty.mkdir()
    full.mkdir()
    (full / "file").touch()
    command = ["sh", "-c", f": {directory}; while :; do sleep 0.1; done"]
    with subprocess.Popen(command) as process:
        reaper = threading.Thread(target=process.wait)
        reaper.start()
        assert process.pid in watchdog.mentioning(directory)
        watchdog.sweep(directory, [empty, full])
        reaper.join()
    assert process.returncode == -signal.SIGTERM
    assert not directory.exists()
    assert not empty.exists()
    assert full.exists()
