"""Packages by this machine's real apt and dpkg, in a root file system of the tests' own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.deploy.params import Package, Redeploy
from tasks.deploy.steps import preview_redeploy, redeploy, restore
from tests.integration.deploy.local import BreakingHost, Lane, LocalHost
from tests.integration.deploy.repository import Repository
from tests.needs import needs_program, needs_root
from worker.errors import Failed, Refused, Unreachable
from worker.step import Done


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    needs_root("dpkg unpacks files as root")
    needs_program("apt-get", "dpkg-deb", "dpkg-scanpackages")
    repository = Repository(tmp_path)
    for version in ("1.2.9-1", "1.26.1-1", "1.26.3-1"):
        repository.add("app-common", version, source="app")
        repository.add("app", version, source="app", depends=f"app-common (= {version})")
    repository.apt("update")
    repository.apt("install", "app=1.2.9-1", "app-common=1.2.9-1")
    return repository


def wish(version: str | None, name: str = "app") -> Redeploy:
    return Redeploy(package=Package(name=name, version=version))


def host_of(repository: Repository) -> LocalHost:
    return LocalHost(repository.environment)


def test_a_beginning_of_a_version_picks_the_newest_and_a_restore_puts_all_back(
    repository: Repository,
) -> None:
    lane = Lane()
    repository.config("app").write_text("changed by an operator\n")
    outcome = redeploy(lane.redeploying(host_of(repository)), wish("1.26"))
    assert outcome == Done("app 1.2.9-1 → 1.26.3-1 (1.26 means 1.26.3-1)")
    assert repository.installed("app") == "1.26.3-1"
    assert repository.installed("app-common") == "1.26.3-1"
    assert restore(lane.restoring(host_of(repository)), wish("1.26")) == Done(
        "app is 1.2.9-1 again"
    )
    assert repository.installed("app") == "1.2.9-1"
    assert repository.installed("app-common") == "1.2.9-1"
    assert repository.config("app").read_text() == "changed by an operator\n"


def test_the_second_time_nothing_is_changed(repository: Repository) -> None:
    redeploy(Lane().redeploying(host_of(repository)), wish("1.26.1-1"))
    host = host_of(repository)
    outcome = redeploy(Lane().redeploying(host), wish("1.26.1-1"))
    assert outcome == Done("app is 1.26.1-1 already", changed=False)
    assert host.acts == []
    assert preview_redeploy(Lane().redeploying(host), wish("1.26.1-1")) == []


def test_the_newest_is_found_with_fresh_lists(repository: Repository) -> None:
    repository.add("app-common", "1.27.0-1", source="app")
    repository.add("app", "1.27.0-1", source="app", depends="app-common (= 1.27.0-1)")
    redeploy(Lane().redeploying(host_of(repository)), wish(None))
    assert repository.installed("app") == "1.27.0-1"


def test_a_downgrade_takes_the_packages_of_the_same_source_along(repository: Repository) -> None:
    redeploy(Lane().redeploying(host_of(repository)), wish("1.26.3-1"))
    host = host_of(repository)
    planned = preview_redeploy(Lane().redeploying(host), wish("1.26.1-1"))
    redeploy(Lane().redeploying(host), wish("1.26.1-1"))
    assert host.acts == planned
    assert repository.installed("app") == repository.installed("app-common") == "1.26.1-1"


def test_a_version_that_nobody_has_is_refused_with_what_there_is(repository: Repository) -> None:
    lane = Lane()
    with pytest.raises(Refused, match=r"app 1\.28 is in none .* offer 1\.26\.3-1, 1\.26\.1-1"):
        redeploy(lane.redeploying(host_of(repository)), wish("1.28"))
    with pytest.raises(Refused, match="offer no version of it"):
        redeploy(Lane().redeploying(host_of(repository)), wish(None, "nothing"))
    outcome = restore(lane.restoring(host_of(repository)), wish("1.28"))
    assert isinstance(outcome, Done)
    assert not outcome.changed


def test_what_would_remove_another_package_is_refused(repository: Repository) -> None:
    repository.add("addon", "1", depends="app (<< 1.26)")
    repository.apt("update")
    repository.apt("install", "addon")
    with pytest.raises(Refused, match="apt cannot install app=1"):
        redeploy(Lane().redeploying(host_of(repository)), wish("1.26"))
    assert repository.installed("addon") == "1"


def test_a_held_package_is_refused(repository: Repository) -> None:
    status = repository.root / "var/lib/dpkg/status"
    text = status.read_text()
    status.write_text(text.replace("Status: install ok", "Status: hold ok"))
    with pytest.raises(Refused, match=r"is held at 1\.2\.9-1"):
        redeploy(Lane().redeploying(host_of(repository)), wish("1.26"))


def test_a_package_that_was_not_there_is_removed_again(repository: Repository) -> None:
    repository.add("extra", "1")
    lane = Lane()
    redeploy(lane.redeploying(host_of(repository)), wish(None, "extra"))
    assert repository.installed("extra") == "1"
    restore(lane.restoring(host_of(repository)), wish(None, "extra"))
    assert repository.installed("extra") is None


def test_a_restore_says_when_the_old_version_is_nowhere_any_more(repository: Repository) -> None:
    repository.withdraw("app", "1.2.9-1")
    lane = Lane()
    context = lane.redeploying(host_of(repository))
    redeploy(context, wish("1.26"))
    assert any("could not be put back" in text for text in context.said)
    with pytest.raises(Failed, match="in none of the host's repositories any more"):
        restore(lane.restoring(host_of(repository)), wish("1.26"))


def test_an_unpacked_but_unconfigured_package_is_finished(repository: Repository) -> None:
    deb = next(repository.packages.glob("app-common_1.26.3-1_*.deb"))
    repository._run(
        "dpkg",
        f"--root={repository.root}",
        "--log=/dev/null",
        "--force-depends",
        "--unpack",
        str(deb),
    )
    redeploy(Lane().redeploying(host_of(repository)), wish("1.26.3-1"))
    assert repository.installed("app") == "1.26.3-1"


@pytest.mark.parametrize("after", [False, True])
def test_it_goes_on_after_a_break(repository: Repository, after: bool) -> None:
    lane = Lane()
    with pytest.raises(Unreachable):
        redeploy(
            lane.redeploying(BreakingHost(2, after=after, environment=repository.environment)),
            wish("1.26"),
        )
    repository.add("app-common", "1.26.9-1", source="app")
    repository.add("app", "1.26.9-1", source="app", depends="app-common (= 1.26.9-1)")
    redeploy(lane.redeploying(host_of(repository)), wish("1.26"))
    assert repository.installed("app") == "1.26.3-1"  # what the first try had chosen
    restore(lane.restoring(host_of(repository)), wish("1.26"))
    assert repository.installed("app") == "1.2.9-1"
