"""Commands of the user's own, by this machine's sh."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.deploy.params import CommandDeploy, Redeploy
from tasks.deploy.steps import preview_redeploy, preview_restore, redeploy, restore
from tests.integration.deploy.local import BreakingHost, Lane, LocalHost
from worker.errors import Failed, Refused, Unreachable
from worker.step import Done


def wish(run: str, undo: str | None = None, facts: str | None = None) -> Redeploy:
    return Redeploy(command=CommandDeploy(run=run, undo=undo, facts=facts))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "version"
    file.write_text("1\n")
    return file


def test_a_command_and_its_undo_know_what_stood_before(file: Path) -> None:
    params = wish(
        f'echo 2 > {file}; echo "came from $WINCH_BEFORE"',
        undo=f'echo "$WINCH_BEFORE" > {file}',
        facts=f"cat {file}",
    )
    lane = Lane()
    context = lane.redeploying(LocalHost())
    assert redeploy(context, params) == Done("the command completed: facts '1' → '2'")
    assert context.said == ["the command: came from 1"]
    assert restore(lane.restoring(LocalHost()), params) == Done("undone: facts are '1' again")
    assert file.read_text() == "1\n"


def test_what_stood_before_reaches_the_undo_letter_by_letter(file: Path) -> None:
    text = 'it\'s\n$(touch pwned) `x` "y" \\n é'
    file.write_text(text)
    params = wish(f"echo 2 > {file}", f'printf %s "$WINCH_BEFORE" > {file}', f"cat {file}")
    lane = Lane()
    redeploy(lane.redeploying(LocalHost()), params)
    restore(lane.restoring(LocalHost()), params)
    assert file.read_text() == text


def test_equal_facts_before_and_after_are_no_change(file: Path) -> None:
    outcome = redeploy(Lane().redeploying(LocalHost()), wish("true", facts=f"cat {file}"))
    assert isinstance(outcome, Done)
    assert not outcome.changed


def test_a_command_that_completed_unseen_is_not_repeated(file: Path) -> None:
    params, lane = wish(f"echo more >> {file}"), Lane()
    with pytest.raises(Unreachable):  # the connection breaks after the command has completed
        redeploy(lane.redeploying(BreakingHost(1, after=True)), params)
    redeploy(lane.redeploying(LocalHost()), params)
    redeploy(lane.redeploying(LocalHost()), params)
    assert file.read_text() == "1\nmore\n"


def test_a_command_that_was_interrupted_is_run_again(file: Path) -> None:
    flag = file.with_name("flag")
    params, lane = wish(f"echo more >> {file}; test -e {flag}"), Lane()
    with pytest.raises(Failed):
        redeploy(lane.redeploying(LocalHost()), params)
    flag.touch()
    redeploy(lane.redeploying(LocalHost()), params)
    assert file.read_text() == "1\nmore\nmore\n"


def test_a_failing_command_says_its_exit_code_and_last_lines() -> None:
    with pytest.raises(Failed, match="exit code 3, expected 0: disk full"):
        redeploy(Lane().redeploying(LocalHost()), wish("echo disk full >&2; exit 3"))


def test_a_command_that_takes_too_long_is_killed_and_named() -> None:
    params = Redeploy(command=CommandDeploy(run="sleep 60", timeout=0.2))
    with pytest.raises(Failed, match=r"killed after 0\.2 s"):
        redeploy(Lane().redeploying(LocalHost()), params)


def test_facts_that_fail_or_print_too_much_are_refused_before_the_command_runs() -> None:
    host = LocalHost()
    with pytest.raises(Refused, match="`facts` exited with 7"):
        redeploy(Lane().redeploying(host), wish("true", facts="exit 7"))
    with pytest.raises(Refused, match="at most 65536"):
        redeploy(
            Lane().redeploying(host), wish("true", facts="head -c 70000 /dev/zero | tr '\\0' x")
        )
    assert host.acts == []


def test_without_undo_a_restore_fails_and_says_what_to_add(file: Path) -> None:
    params, lane = wish(f"echo 2 > {file}"), Lane()
    redeploy(lane.redeploying(LocalHost()), params)
    with pytest.raises(Failed, match="cannot be undone: add `undo`"):
        restore(lane.restoring(LocalHost()), params)


def test_a_command_that_changed_nothing_needs_no_undo(file: Path) -> None:
    params, lane = wish("exit 1", facts=f"cat {file}"), Lane()
    with pytest.raises(Failed):
        redeploy(lane.redeploying(LocalHost()), params)
    outcome = restore(lane.restoring(LocalHost()), params)
    assert isinstance(outcome, Done)
    assert not outcome.changed


def test_an_undo_that_does_not_undo_is_told(file: Path) -> None:
    params, lane = wish(f"echo 2 > {file}", undo="true", facts=f"cat {file}"), Lane()
    redeploy(lane.redeploying(LocalHost()), params)
    with pytest.raises(Failed, match="expected '1' as before"):
        restore(lane.restoring(LocalHost()), params)


def test_previews_show_the_commands(file: Path) -> None:
    params, lane = wish("make install", undo="make uninstall"), Lane()
    assert preview_redeploy(lane.redeploying(LocalHost()), params) == ["make install"]
    assert preview_restore(lane.restoring(LocalHost()), params) == []
