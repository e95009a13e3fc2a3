"""`winch freeze`, `unfreeze`, `freezes`: what is said, refused and kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.chatops.conftest import Winch
from tests.unit.chatops.test_cli import FLEET
from worker.freezes import freeze
from worker.settings import settings

ME = ["--reason", "the sale"]


def test_a_freeze_is_made_listed_and_lifted(winch: Winch) -> None:
    said = winch("freeze", "--until", "2h", *ME)
    assert said.code == 0
    assert said.err.startswith("everything is frozen until 20")
    assert said.err.endswith("UTC; `winch unfreeze` lifts it\n")
    listed = winch("freezes")
    assert listed.out.splitlines()[1].startswith("everything  20")
    assert "cli:" in listed.out
    assert listed.out.rstrip().endswith("the sale")
    (one,) = json.loads(winch("freezes", "--json").out)
    assert set(one) == {"id", "scope", "reason", "by", "since", "until"}
    assert winch("unfreeze").err.startswith("everything is not frozen any more (the sale, by cli:")
    assert winch("freezes").out == "nothing is frozen\n"
    actions = [line["action"] for line in json.loads(winch("audit", "--json").out)]
    assert actions == ["unfreeze", "freeze"]
    assert winch("audit", "verify").code == 0


def test_json_is_one_document(winch: Winch) -> None:
    made = json.loads(winch("freeze", "pool:*", "--until", "2h", *ME, "--json").out)
    assert (made["scope"], made["runs"]) == ("pool:*", [])
    (lifted,) = json.loads(winch("unfreeze", "pool:*", "--json").out)
    assert lifted["id"] == made["id"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["freeze"], "Missing option '--until'"),
        (["freeze", "--until", "2h"], "Missing option '--reason'"),
        (["freeze", "--until", "soon", *ME], "--until: 'soon' is no time: write 2026-12-24T18:00"),
        (["freeze", "--until", "2020-01-01", *ME], "--until: '2020-01-01' has passed"),
        (["freeze", "--until", "2h", "--reason", " "], "takes --until TIME and --reason TEXT"),
        (["freeze", "--until", "2h", "--reason", "a\nb"], "control characters"),
        (["freeze", "web", "--until", "2h", *ME], "'web' is no scope: pool:NAME"),
        (["freeze", "pool:wbe", "--until", "2h", *ME], "no pool 'wbe'; did you mean 'web'?"),
        (["freeze", "nginx:x", "--until", "2h", *ME], "there is no nginx 'x'"),
        (["unfreeze", "web"], "'web' is no scope"),
    ],
)
def test_what_cannot_be_meant_is_one_line_and_exit_5(
    winch: Winch, words: list[str], message: str
) -> None:
    (winch.directory / "fleet.yaml").write_text(FLEET)
    said = winch(*words)
    assert said.code == 5
    assert said.err.count("\n") == 1
    assert message in said.err
    assert winch("freezes").out == "nothing is frozen\n"


def test_what_is_not_frozen_is_not_lifted_and_what_is_frozen_is_named(winch: Winch) -> None:
    winch("freeze", "pool:*", "--until", "2h", *ME)
    said = winch("unfreeze")
    assert said.code == 1
    assert said.err == (
        "error: everything is not frozen as such; frozen: pool:*; `winch freezes` lists them\n"
    )


def test_the_access_file_binds_this_user_too(
    winch: Winch, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    access = tmp_path / "access.yaml"
    monkeypatch.setenv("WINCH_ACCESS", str(access))
    monkeypatch.setenv("SUDO_USER", "ops")
    monkeypatch.setattr("os.getuid", lambda: 0)
    for role, scopes, words, message in (
        ("viewer", "[]", ["freeze", "--until", "2h", *ME], "it takes operator for `freeze`"),
        ("operator", "[pool:web]", ["freeze", "--until", "2h", *ME], "bound to pool:web"),
        ("operator", "[]", ["unfreeze", "pool:db"], "it takes admin for `unfreeze`"),
    ):
        access.write_text(
            f"people: {{ops: {{role: {role}, scopes: {scopes}, identities: ['cli:ops']}}}}\n"
        )
        settings.cache_clear()
        store = winch.store()
        freeze(store, "pool:db", store.now() + 60, "mine", "cli:alice")
        said = winch(*words)
        assert said.code == 3, said
        assert message in said.err


@pytest.mark.parametrize("words", [["retry"], ["skip", "web1"], ["resume"], ["approve"]], ids=str)
def test_a_reason_alone_overrides_nothing(winch: Winch, words: list[str]) -> None:
    run = str(winch.make_run())
    said = winch(words[0], run, *words[1:], "--reason", "x")
    assert said.code == 5
    assert said.err == "error: --reason is kept with --override-freeze only\n"


def test_a_run_that_starts_later_says_when(winch: Winch) -> None:
    run = winch.make_run(reason="CVE")
    with winch.store().write() as session:
        from worker.models import Run  # noqa: PLC0415

        row = session.get_one(Run, run)
        row.start_at = 1_795_000_000.0
        session.add(row)
    assert "starts 2026-11-18" in winch("runs").out
    assert "CVE" in winch("runs").out
    shown = winch("show", str(run))
    assert "starts at 2026-11-18" in shown.out
