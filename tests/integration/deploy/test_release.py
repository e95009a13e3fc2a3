"""Releases on this machine's file system, with its own tar, and connections that break."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from tasks.deploy.params import Redeploy, Release
from tasks.deploy.steps import preview_redeploy, preview_restore, redeploy, restore
from tests.integration.deploy.local import BreakingHost, Lane, LocalHost
from tests.needs import needs_program
from worker.errors import Refused, Unreachable
from worker.step import Done


def tarball(path: Path, text: str) -> Path:
    """Write an archive with one file, `version`."""
    mode = {".gz": "w:gz", ".xz": "w:xz", ".tar": "w"}[path.suffix]
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        info = tarfile.TarInfo("app/version")
        info.size = len(text)
        archive.addfile(info, io.BytesIO(text.encode()))
    return path


def wish(archive: Path, version: str, directory: Path, **more: object) -> Redeploy:
    release = {"archive": str(archive), "version": version, "directory": str(directory)} | more
    return Redeploy(release=Release.model_validate(release))


def serving(directory: Path) -> str:
    return (directory / "current" / "app" / "version").read_text()


@pytest.mark.parametrize("ending", [".tar.gz", ".tar.xz", ".tar"])
def test_a_release_is_unpacked_and_current_points_to_it(tmp_path: Path, ending: str) -> None:
    params = wish(tarball(tmp_path / f"app{ending}", "1"), "1.0", tmp_path / "srv")
    host, lane = LocalHost(), Lane()
    assert redeploy(lane.redeploying(host), params) == Done("current: none → 1.0")
    assert serving(tmp_path / "srv") == "1"
    assert os.readlink(tmp_path / "srv" / "current") == "releases/1.0"  # noqa: PTH115
    assert sorted(p.name for p in (tmp_path / "srv" / "releases").iterdir()) == ["1.0"]


def test_the_second_time_nothing_is_changed(tmp_path: Path) -> None:
    params = wish(tarball(tmp_path / "app.tar.gz", "1"), "1.0", tmp_path / "srv")
    redeploy(Lane().redeploying(LocalHost()), params)
    host = LocalHost()
    outcome = redeploy(Lane().redeploying(host), params)
    assert isinstance(outcome, Done)
    assert not outcome.changed
    assert host.acts == []
    assert preview_redeploy(Lane().redeploying(host), params) == []


def test_a_zip_is_unpacked_with_unzip(tmp_path: Path) -> None:
    needs_program("unzip")
    with zipfile.ZipFile(tmp_path / "app.zip", "w") as archive:
        archive.writestr("app/version", "z")
    params = wish(tmp_path / "app.zip", "1.0", tmp_path / "srv")
    redeploy(Lane().redeploying(LocalHost()), params)
    assert serving(tmp_path / "srv") == "z"


def test_a_restore_swaps_back_and_the_upload_is_not_repeated(tmp_path: Path) -> None:
    srv = tmp_path / "srv"
    redeploy(Lane().redeploying(LocalHost()), wish(tarball(tmp_path / "a.tar", "1"), "1", srv))
    params = wish(tarball(tmp_path / "b.tar", "2"), "2", srv)
    host = LocalHost()
    for _run in range(3):
        lane = Lane()
        outcome = redeploy(lane.redeploying(host), params)
        assert serving(srv) == "2"
        assert outcome == Done("current: 1 → 2")
        assert preview_restore(lane.restoring(host), params) == [
            f"ln -sfn releases/1 {srv}/current"
        ]
        assert restore(lane.restoring(host), params) == Done("current is 1 again")
        assert serving(srv) == "1"
    assert len(host.puts) == 1


def test_a_restore_without_a_redeploy_does_nothing(tmp_path: Path) -> None:
    params = wish(tarball(tmp_path / "a.tar", "1"), "1", tmp_path / "srv")
    host = LocalHost()
    outcome = restore(Lane().restoring(host), params)
    assert isinstance(outcome, Done)
    assert not outcome.changed
    assert host.acts == []
    assert preview_restore(Lane().restoring(host), params) == []


def test_a_first_release_is_taken_away_again(tmp_path: Path) -> None:
    params, lane = wish(tarball(tmp_path / "a.tar", "1"), "1", tmp_path / "srv"), Lane()
    redeploy(lane.redeploying(LocalHost()), params)
    restore(lane.restoring(LocalHost()), params)
    assert not (tmp_path / "srv" / "current").is_symlink()


def test_the_same_version_with_another_content_is_redeployed_beside_the_old(
    tmp_path: Path,
) -> None:
    srv = tmp_path / "srv"
    redeploy(Lane().redeploying(LocalHost()), wish(tarball(tmp_path / "a.tar", "1"), "1", srv))
    lane = Lane()
    params = wish(tarball(tmp_path / "b.tar", "rebuilt"), "1", srv)
    redeploy(lane.redeploying(LocalHost()), params)
    assert serving(srv) == "rebuilt"
    restore(lane.restoring(LocalHost()), params)
    assert serving(srv) == "1"


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("breaks_at", range(1, 6))
def test_it_goes_on_after_a_break_at_any_change(
    tmp_path: Path, breaks_at: int, after: bool
) -> None:
    srv = tmp_path / "srv"
    for number in range(3):
        archive = tarball(tmp_path / f"{number}.tar.gz", str(number))
        redeploy(Lane().redeploying(LocalHost()), wish(archive, str(number), srv, keep=2))
    params, lane = wish(tarball(tmp_path / "n.tar.gz", "n"), "n", srv, keep=2), Lane()
    host = BreakingHost(breaks_at, after=after)
    try:
        redeploy(lane.redeploying(host), params)
    except Unreachable:
        assert host.broke
    assert serving(srv) in {"2", "n"}
    redeploy(lane.redeploying(LocalHost()), params)
    assert serving(srv) == "n"
    assert sorted(p.name for p in (srv / "releases").iterdir()) == ["2", "n"]
    restore(lane.restoring(LocalHost()), params)
    assert serving(srv) == "2"


@pytest.mark.parametrize("breaks_at", range(1, 5))
def test_a_restore_works_from_any_half_way_state(tmp_path: Path, breaks_at: int) -> None:
    srv = tmp_path / "srv"
    redeploy(Lane().redeploying(LocalHost()), wish(tarball(tmp_path / "a.tar", "1"), "1", srv))
    params, lane = wish(tarball(tmp_path / "b.tar", "2"), "2", srv), Lane()
    host = BreakingHost(breaks_at, after=True)
    try:
        redeploy(lane.redeploying(host), params)
    except Unreachable:
        assert host.broke
    restore(lane.restoring(LocalHost()), params)
    assert serving(srv) == "1"


def test_an_owner_is_given_and_foreign_directories_are_never_pruned(tmp_path: Path) -> None:
    srv = tmp_path / "srv"
    (srv / "releases" / "by hand").mkdir(parents=True)
    owner = str(os.getuid())
    for number in range(3):
        archive = tarball(tmp_path / f"{number}.tar", str(number))
        params = wish(archive, str(number), srv, keep=1, owner=owner)
        redeploy(Lane().redeploying(LocalHost()), params)
    assert sorted(p.name for p in (srv / "releases").iterdir()) == ["1", "2", "by hand"]
    assert (srv / "current" / "app" / "version").stat().st_uid == os.getuid()


def test_a_current_that_is_no_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "srv" / "current").mkdir(parents=True)
    params = wish(tarball(tmp_path / "a.tar", "1"), "1", tmp_path / "srv")
    host = LocalHost()
    with pytest.raises(Refused, match="expected a symbolic link"):
        redeploy(Lane().redeploying(host), params)
    assert host.acts == []


def test_a_directory_with_spaces_and_quotes_is_only_a_directory(tmp_path: Path) -> None:
    srv = tmp_path / "a 'b' $(touch pwned) \"c\""
    params = wish(tarball(tmp_path / "a.tar", "1"), "1", srv)
    redeploy(Lane().redeploying(LocalHost()), params)
    assert serving(srv) == "1"
