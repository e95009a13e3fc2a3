"""The doctor's judgement: what was seen → how bad it is and what to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chatops import checks, doctor
from chatops.checks import Directory, Finding, KeyFile, RedisSeen
from worker.settings import Settings

STATE = Path("/state")
PLENTY = 10 * 1024**3


@pytest.mark.parametrize(
    ("finding", "level", "says"),
    [
        (checks.check_python((3, 11, 2)), "ok", "3.11.2"),
        (checks.check_python((3, 10, 9)), "failed", "3.11 or newer"),
        (checks.check_state_dir(Directory(STATE, None), 0), "ok", "made at the first start"),
        (checks.check_state_dir(Directory(STATE, 0, 0o40700, True, PLENTY), 0), "ok", "/state"),
        (checks.check_state_dir(Directory(STATE, 7), 0), "failed", "belongs to uid 7"),
        (checks.check_state_dir(Directory(STATE, 0, 0o40500), 0), "failed", "chmod u+rwx"),
        (
            checks.check_state_dir(Directory(STATE, 0, 0o40755, True, PLENTY), 0),
            "warning",
            "chmod 700 /state",
        ),
        (
            checks.check_state_dir(Directory(STATE, 0, 0o40700, True, 1024), 0),
            "warning",
            "make room",
        ),
        (checks.check_clock("Redis", 0.2), "ok", "agrees with Redis"),
        (checks.check_clock("Redis", 5), "warning", "5.0 s behind Redis"),
        (checks.check_clock("Redis", -90), "failed", "90.0 s ahead of Redis"),
        (checks.check_workers({}, 0), "failed", "winch worker"),
        (checks.check_workers({}, 2), "failed", "2 gone silent"),
        (checks.check_workers({"a:1": [], "b:2": ["dc1"]}, 0), "ok", "a:1, b:2 (dc1)"),
        (checks.check_fleet(Path("f"), None, 0), "warning", "winch fleet import"),
        (checks.check_fleet(Path("f"), "f:3: hots: unknown\nmore", 0), "failed", "(and 1 more)"),
        (checks.check_fleet(Path("f"), None, 4), "ok", "4 hosts"),
        (checks.check_key(KeyFile(Path("id"), None)), "failed", "not there"),
        (checks.check_key(KeyFile(Path("id"), 0o100600, readable=False)), "failed", "chown"),
        (checks.check_key(KeyFile(Path("id"), 0o100644)), "failed", "chmod 600 id"),
        (checks.check_key(KeyFile(Path("id"), 0o100600)), "ok", "id"),
        (checks.check_known_hosts({}, [Path("kh")]), "ok", "all known (kh)"),
        (
            checks.check_known_hosts({"web1": ("10.0.0.1", 2222)}, [Path("kh")]),
            "failed",
            "ssh-keyscan -p 2222 10.0.0.1",
        ),
        (checks.check_tools([]), "ok", "all there"),
        (checks.check_tools(["socat"]), "failed", "install socat"),
        (checks.check_flower("http://127.0.0.1:5555", None), "ok", "5555"),
        (checks.check_flower("", "WINCH_FLOWER_ADDRESS: …"), "failed", "WINCH_FLOWER_ADDRESS"),
        (checks.check_notify(3, None), "ok", "3 receivers"),
        (checks.check_notify(0, "receiver ops: …"), "failed", "receiver ops"),
    ],
)
def test_a_finding_says_how_bad_it_is_and_what_to_do(
    finding: Finding, level: str, says: str
) -> None:
    assert finding.level == level
    assert says in f"{finding.seen} → {finding.remedy}"
    assert bool(finding.remedy) == (level != "ok")


@pytest.mark.parametrize(
    ("seen", "levels"),
    [
        (RedisSeen("redis://r", False, "refused"), ["failed"]),
        (RedisSeen("redis://r", False, None, "7.0", "noeviction", "yes"), ["ok"]),
        (RedisSeen("redis://r", False, None, "7.0", "allkeys-lru", "yes"), ["ok", "failed"]),
        (RedisSeen("redis://r", False, None, "7.0", "noeviction", "no"), ["ok", "warning"]),
        (RedisSeen("redis://r", False, None, "7.0"), ["ok"]),
    ],
)
def test_redis_must_not_evict_and_should_write(seen: RedisSeen, levels: list[str]) -> None:
    assert [finding.level for finding in checks.check_redis(seen)] == levels


@pytest.mark.parametrize(
    ("error", "revision", "levels"),
    [
        ("no answer", None, ["failed"]),
        (None, None, ["ok", "ok"]),
        (None, "0002", ["ok", "ok"]),
        (None, "0001", ["ok", "warning"]),
        (None, "0003", ["ok", "failed"]),
    ],
)
def test_a_schema_newer_than_this_winch_is_an_error(
    error: str | None, revision: str | None, levels: list[str]
) -> None:
    findings = checks.check_database("url", error, revision, "0002")
    assert [finding.level for finding in findings] == levels


def test_a_key_or_an_agent_is_enough_to_log_in() -> None:
    assert checks.check_ssh_login(keys=1, has_agent=False) is None
    assert checks.check_ssh_login(keys=0, has_agent=True) is None
    assert checks.check_ssh_login(keys=0, has_agent=False) is not None


def test_warnings_do_not_fail() -> None:
    assert checks.exit_code([Finding("a", "ok", ""), Finding("b", "warning", "", "x")]) == 0
    assert checks.exit_code([Finding("a", "failed", "", "x")]) == 1


def test_on_an_empty_machine_it_names_what_to_start_and_makes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = Settings(state_dir=tmp_path / "state", fleet=tmp_path / "fleet.yaml")
    monkeypatch.setattr(doctor, "settings", lambda: given)
    said: list[str] = []
    assert doctor.run_doctor(as_json=True, out=said.append) == 1
    document = json.loads(said[0])
    assert document["ok"] is False
    failed = {c["check"] for c in document["checks"] if c["level"] == "failed"}
    assert failed == {"redis", "workers"}
    assert not (tmp_path / "state").exists()


def test_it_sees_the_keys_and_host_keys_of_a_fleet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "id").write_text("secret")
    (tmp_path / "id").chmod(0o644)
    (tmp_path / "known").write_text("")
    (tmp_path / "fleet.yaml").write_text(
        "ssh: {user: ops, identity_file: ./id, known_hosts: ./known}\n"
        "hosts: {web1: {address: 192.0.2.1}, here: {address: 127.0.0.1, connection: local}}\n"
    )
    findings = {f.check: f for f in doctor.examine_fleet(tmp_path / "fleet.yaml")}
    assert findings["fleet file"].level == "ok"
    assert "chmod 600" in findings["ssh key"].remedy
    assert "web1: no key" in findings["host keys"].seen
    assert findings["programs"].level == "ok"
