"""Containers of a real engine: replaced, put back, and met in every state between."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tasks.deploy.params import Docker, Redeploy
from tasks.deploy.steps import preview_redeploy, redeploy, restore
from tests.integration.deploy.engine import Engine, running_engine
from tests.integration.deploy.local import BreakingHost, Lane, LocalHost
from worker.errors import Failed, Refused, Unreachable
from worker.step import Done

STAY = ["/bin/sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.05; done"]


@pytest.fixture(scope="module")
def shared_engine() -> Iterator[Engine]:
    with running_engine() as engine:
        for tag in ("app:1", "app:2"):
            engine.make_image(tag)
        yield engine


@pytest.fixture
def engine(shared_engine: Engine) -> Engine:
    for container in shared_engine.docker("ps", "-aq").split():
        shared_engine.docker("rm", "-f", container)
    return shared_engine


def wish(version: str, **more: object) -> Redeploy:
    docker = {
        "image": f"app:{version}",
        "name": "app",
        "pull": False,
        "network": "host",
        "command": STAY,
        "stop_timeout": 2,
        "env": {"GREETING": "it's $HOME; `ok`"},
    } | more
    return Redeploy(docker=Docker.model_validate(docker))


def host_of(engine: Engine) -> LocalHost:
    return LocalHost(engine.environment)


def deployed(engine: Engine, version: str) -> str:
    """Redeploy as an earlier run did; the container's id."""
    redeploy(Lane().redeploying(host_of(engine)), wish(version))
    return engine.docker("inspect", "--format={{.Id}}", "app")


def version_of(engine: Engine, name: str = "app") -> str:
    return engine.docker("exec", name, "/bin/cat", "/version")


def names(engine: Engine) -> list[str]:
    return sorted(engine.docker("ps", "-a", "--format={{.Names}}").split())


def test_a_new_container_runs_with_the_wished_image_and_environment(engine: Engine) -> None:
    deployed(engine, "1")
    assert version_of(engine) == "app:1"
    environment = engine.docker("exec", "app", "/bin/sh", "-c", 'echo "$GREETING"')
    assert environment == "it's $HOME; `ok`"


def test_the_second_time_nothing_is_changed(engine: Engine) -> None:
    first = deployed(engine, "1")
    host = host_of(engine)
    outcome = redeploy(Lane().redeploying(host), wish("1"))
    assert isinstance(outcome, Done)
    assert not outcome.changed
    assert host.acts == []
    assert preview_redeploy(Lane().redeploying(host), wish("1")) == []
    assert engine.docker("inspect", "--format={{.Id}}", "app") == first


def test_an_upgrade_keeps_the_old_container_and_a_restore_is_exact(engine: Engine) -> None:
    old, lane = deployed(engine, "1"), Lane()
    planned = preview_redeploy(lane.redeploying(host_of(engine)), wish("2"))
    host = host_of(engine)
    redeploy(lane.redeploying(host), wish("2"))
    assert host.acts == planned
    assert version_of(engine) == "app:2"
    assert names(engine) == ["app", "app.winch-old"]
    restore(lane.restoring(host_of(engine)), wish("2"))
    assert version_of(engine) == "app:1"
    assert engine.docker("inspect", "--format={{.Id}}", "app") == old
    policy = engine.docker("inspect", "--format={{.HostConfig.RestartPolicy.Name}}", "app")
    assert policy == "unless-stopped"
    assert names(engine) == ["app", "app.winch-failed"]


def test_another_configuration_of_the_same_image_is_a_change(engine: Engine) -> None:
    deployed(engine, "1")
    outcome = redeploy(Lane().redeploying(host_of(engine)), wish("1", env={"GREETING": "hello"}))
    assert isinstance(outcome, Done)
    assert outcome.changed
    assert engine.docker("exec", "app", "/bin/sh", "-c", 'echo "$GREETING"') == "hello"


def test_a_tag_that_means_another_image_now_is_a_change(engine: Engine) -> None:
    deployed(engine, "1")
    engine.docker("tag", "app:1", "app:kept")
    try:
        engine.docker("tag", "app:2", "app:1")
        redeploy(Lane().redeploying(host_of(engine)), wish("1"))
        assert version_of(engine) == "app:2"
    finally:
        engine.docker("tag", "app:kept", "app:1")


def test_containers_do_not_pile_up(engine: Engine) -> None:
    for version in ("1", "2", "1", "2"):
        deployed(engine, version)
    assert names(engine) == ["app", "app.winch-old"]


def test_a_container_made_by_hand_is_put_back_by_a_restore(engine: Engine) -> None:
    words = ["run", "-d", "--name=app", "--restart=always", "--network=host", "app:1", *STAY]
    made, lane = engine.docker(*words), Lane()
    redeploy(lane.redeploying(host_of(engine)), wish("2"))
    policy = "--format={{.HostConfig.RestartPolicy.Name}}"
    assert engine.docker("inspect", policy, "app.winch-old") == "no"
    restore(lane.restoring(host_of(engine)), wish("2"))
    assert engine.docker("inspect", "--format={{.Id}}", "app") == made
    assert engine.docker("inspect", policy, "app") == "always"


def test_a_first_container_is_taken_away_by_a_restore(engine: Engine) -> None:
    lane = Lane()
    redeploy(lane.redeploying(host_of(engine)), wish("1"))
    restore(lane.restoring(host_of(engine)), wish("1"))
    assert names(engine) == ["app.winch-failed"]


# Every break of every state is tried on a model in tests/unit/tasks/deploy/test_container.py.
@pytest.mark.parametrize(("breaks_at", "after"), [(2, True), (3, True), (4, False), (5, True)])
def test_it_goes_on_and_goes_back_after_a_break_at_any_change(
    engine: Engine, breaks_at: int, after: bool
) -> None:
    deployed(engine, "2")
    old = deployed(engine, "1")
    lane = Lane()
    with pytest.raises(Unreachable):
        redeploy(
            lane.redeploying(BreakingHost(breaks_at, after=after, environment=engine.environment)),
            wish("2"),
        )
    redeploy(lane.redeploying(host_of(engine)), wish("2"))
    assert version_of(engine) == "app:2"
    assert engine.docker("inspect", "--format={{.Id}}", "app.winch-old") == old
    with pytest.raises(Unreachable):
        restore(
            lane.restoring(
                BreakingHost(min(breaks_at, 5), after=after, environment=engine.environment)
            ),
            wish("2"),
        )
    restore(lane.restoring(host_of(engine)), wish("2"))
    assert version_of(engine) == "app:1"
    assert engine.docker("inspect", "--format={{.Id}}", "app") == old


@pytest.mark.parametrize("breaks_at", [1, 4, 6])
def test_a_restore_works_from_any_half_way_state(engine: Engine, breaks_at: int) -> None:
    old, lane = deployed(engine, "1"), Lane()
    with pytest.raises(Unreachable):
        redeploy(
            lane.redeploying(BreakingHost(breaks_at, after=True, environment=engine.environment)),
            wish("2"),
        )
    restore(lane.restoring(host_of(engine)), wish("2"))
    assert engine.docker("inspect", "--format={{.Id}}", "app") == old
    assert version_of(engine) == "app:1"


@pytest.mark.parametrize(
    ("command", "restart", "seen"),
    [
        (["/bin/nothing"], "no", "no such file"),
        (["/bin/sh", "-c", "echo no licence >&2; exit 3"], "no", "exit code 3.*no licence"),
        (["/bin/sh", "-c", "echo no licence >&2; exit 3"], "always", "no licence"),
    ],
)
def test_a_release_that_cannot_start_fails_and_the_old_one_comes_back(
    engine: Engine, command: list[str], restart: str, seen: str
) -> None:
    old, lane = deployed(engine, "1"), Lane()
    broken = wish("2", command=command, restart=restart)
    with pytest.raises(Failed, match=seen):
        redeploy(lane.redeploying(host_of(engine)), broken)
    restore(lane.restoring(host_of(engine)), broken)
    assert engine.docker("inspect", "--format={{.Id}}", "app") == old
    assert version_of(engine) == "app:1"


@pytest.mark.parametrize(
    ("more", "error", "said"),
    [
        ({"network": "nowhere"}, Refused, "no docker network nowhere"),
        ({"volumes": ["/tmp:/data:wrong"]}, Failed, "docker create failed.*wrong"),
        ({"env_file": "/nonexistent"}, Refused, "env_file /nonexistent"),
    ],
)
def test_what_docker_refuses_leaves_the_old_container_running(
    engine: Engine, more: dict[str, object], error: type[Exception], said: str
) -> None:
    old = deployed(engine, "1")
    with pytest.raises(error, match=said):
        redeploy(Lane().redeploying(host_of(engine)), wish("2", **more))
    assert engine.docker("inspect", "--format={{.Id}} {{.State.Running}}", "app") == f"{old} true"


def test_an_image_that_is_nowhere_is_refused_before_anything_is_touched(engine: Engine) -> None:
    deployed(engine, "1")
    host = host_of(engine)
    with pytest.raises(Refused, match="not on the host"):
        redeploy(Lane().redeploying(host), wish("9"))
    assert host.acts == []
    with pytest.raises(Refused, match="was not touched"):
        redeploy(Lane().redeploying(host), wish("9", pull=True, image="127.0.0.1:1/app:9"))
    assert version_of(engine) == "app:1"


def test_a_container_that_would_vanish_when_stopped_is_refused(engine: Engine) -> None:
    engine.docker("run", "-d", "--rm", "--name=app", "--network=host", "app:1", *STAY)
    with pytest.raises(Refused, match="--rm"):
        redeploy(Lane().redeploying(host_of(engine)), wish("2"))


def test_a_restore_says_when_the_old_container_was_removed(engine: Engine) -> None:
    deployed(engine, "1")
    lane = Lane()
    redeploy(lane.redeploying(host_of(engine)), wish("2"))
    engine.docker("rm", "-f", "app.winch-old")
    with pytest.raises(Failed, match="is gone"):
        restore(lane.restoring(host_of(engine)), wish("2"))


def test_an_engine_that_does_not_answer_is_named() -> None:
    host = LocalHost({"DOCKER_HOST": "unix:///nonexistent/docker.sock"})
    with pytest.raises(Failed, match="does not answer"):
        redeploy(Lane().redeploying(host), wish("1"))
    assert host.acts == []
