"""Facts of containers -> commands, and a model of an engine on which every break is tried."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import pytest

from tasks.deploy.container import (
    LABEL,
    Before,
    Container,
    Wish,
    create_words,
    decide_redeploy,
    decide_restore,
    digest,
    parse_inspect,
)
from tasks.deploy.params import Docker
from worker.remote import Command

PARAMS = Docker(image="app:2", name="app")
WISH = Wish(PARAMS, digest(PARAMS, ""), "sha256:two")


def container(id_: str, name: str, **more: object) -> Container:
    base = Container(id_, name, "one", "running", "unless-stopped", False, "other")
    return replace(base, **more)  # type: ignore[arg-type]


CURRENT = container("c1", "app")
OLD = container("c0", "app.winch-old", status="exited", restart="no")
OURS = container("c2", "app", image="two", config=WISH.config)
NEW = replace(OURS, name="app.winch-new", status="created")
CREATE = f"docker {' '.join(create_words(WISH))}"
SWAP_IN = ["docker rename app.winch-new app", "docker start app"]
ASIDE = [
    "docker update --restart=no c1",
    "docker stop --time=10 c1",
    "docker rename c1 app.winch-old",
]


@pytest.mark.parametrize(
    ("found", "before", "expected"),
    [
        pytest.param([], None, [CREATE, *SWAP_IN], id="nothing stood there"),
        pytest.param([OURS], "c2", [], id="the wished one runs already"),
        pytest.param(
            [replace(OURS, status="exited")], "c2", ["docker start c2"], id="it is only stopped"
        ),
        pytest.param([CURRENT], "c1", [CREATE, *ASIDE, *SWAP_IN], id="another one runs"),
        pytest.param(
            [replace(OURS, image="one")],
            "c2",
            [CREATE, *[line.replace("c1", "c2") for line in ASIDE], *SWAP_IN],
            id="the tag means another image now",
        ),
        pytest.param(
            [CURRENT, OLD],
            "c1",
            [CREATE, "docker rm -f c0", *ASIDE, *SWAP_IN],
            id="the one before last is removed",
        ),
        pytest.param([CURRENT, NEW], "c1", [*ASIDE, *SWAP_IN], id="broke after create"),
        pytest.param(
            [CURRENT, replace(NEW, config="stale")],
            "c1",
            ["docker rm -f c2", CREATE, *ASIDE, *SWAP_IN],
            id="a stale new one of an earlier run",
        ),
        pytest.param(
            [replace(CURRENT, restart="no", status="exited"), NEW],
            "c1",
            [*ASIDE[1:], *SWAP_IN],
            id="broke after stop",
        ),
        pytest.param(
            [replace(OLD, id="c1"), NEW], "c1", SWAP_IN, id="broke after the old one was renamed"
        ),
        pytest.param(
            [replace(OLD, id="c1"), replace(OURS, status="created")],
            "c1",
            ["docker start c2"],
            id="broke before start",
        ),
        pytest.param(
            [replace(OLD, id="c1"), replace(OURS, image="three")],
            "c1",
            [CREATE, "docker rm -f c2", *SWAP_IN],
            id="the tag moved between two tries: the old one survives",
        ),
    ],
)
def test_a_redeploy_does_what_is_still_needed(
    found: list[Container], before: str | None, expected: list[str]
) -> None:
    commands = decide_redeploy("docker", {one.name: one for one in found}, WISH, before)
    assert [str(command) for command in commands] == expected


@pytest.mark.parametrize(
    ("found", "before", "expected"),
    [
        pytest.param([CURRENT], Before("c1", True, "unless-stopped"), [], id="never swapped"),
        pytest.param(
            [replace(OLD, id="c1"), OURS],
            Before("c1", True, "always"),
            [
                "docker update --restart=no c2",
                "docker stop --time=10 c2",
                "docker rename c2 app.winch-failed",
                "docker rename c1 app",
                "docker update --restart=always c1",
                "docker start c1",
            ],
            id="swapped",
        ),
        pytest.param(
            [replace(OLD, id="c1"), NEW],
            Before("c1", True, "no"),
            ["docker rm -f c2", "docker rename c1 app", "docker start c1"],
            id="half swapped",
        ),
        pytest.param(
            [replace(OLD, id="c1"), OURS],
            Before("c1", False, "no"),
            [
                "docker update --restart=no c2",
                "docker stop --time=10 c2",
                "docker rename c2 app.winch-failed",
                "docker rename c1 app",
            ],
            id="it was stopped before",
        ),
        pytest.param([], Before(None), [], id="nothing stood, nothing stands"),
    ],
)
def test_a_restore_does_what_is_still_needed(
    found: list[Container], before: Before, expected: list[str]
) -> None:
    commands = decide_restore("docker", {one.name: one for one in found}, "app", before, 10)
    assert [str(command) for command in commands] == expected


class ModelEngine:
    """Does to a dictionary what the engine would do."""

    def __init__(self, *containers: Container) -> None:
        self.by_name = {one.name: one for one in containers}
        self.made = itertools.count(100)

    def _find(self, name: str) -> Container:
        return next(one for one in self.by_name.values() if name in {one.id, one.name})

    def run(self, command: Command) -> None:
        match command.argv[1:]:
            case ("create", name, *_):
                name = name.removeprefix("--name=")
                assert name not in self.by_name
                made = replace(OURS, id=f"c{next(self.made)}", name=name, status="created")
                self.by_name[name] = made
            case ("rm", "-f", name):
                del self.by_name[self._find(name).name]
            case ("rename", name, new):
                assert new not in self.by_name
                one = self._find(name)
                del self.by_name[one.name]
                self.by_name[new] = replace(one, name=new)
            case ("update", restart, name):
                one = self._find(name)
                policy = restart.removeprefix("--restart=")
                self.by_name[one.name] = replace(one, restart=policy)
            case (("start" | "stop") as verb, *_, name):
                one = self._find(name)
                status = "running" if verb == "start" else "exited"
                self.by_name[one.name] = replace(one, status=status)
            case other:
                raise AssertionError(other)


@pytest.mark.parametrize("stood", [[CURRENT, OLD], [CURRENT], []])
@pytest.mark.parametrize("forth", range(9))
@pytest.mark.parametrize("back", range(8))
def test_every_break_forth_and_back_converges_to_what_stood_before(
    stood: list[Container], forth: int, back: int
) -> None:
    engine = ModelEngine(*stood)
    before = Before(CURRENT.id, True, CURRENT.restart) if stood else Before(None)
    for command in decide_redeploy("docker", engine.by_name, WISH, before.id)[:forth]:
        engine.run(command)
    for command in decide_restore("docker", engine.by_name, "app", before, 10)[:back]:
        engine.run(command)
    for command in decide_restore("docker", engine.by_name, "app", before, 10):
        engine.run(command)
    assert engine.by_name.get("app") == (CURRENT if stood else None)
    assert decide_restore("docker", engine.by_name, "app", before, 10) == []


@pytest.mark.parametrize("breaks_at", range(9))
def test_every_break_of_a_redeploy_converges_to_the_wished_container(breaks_at: int) -> None:
    engine = ModelEngine(CURRENT, OLD)
    for command in decide_redeploy("docker", engine.by_name, WISH, "c1")[:breaks_at]:
        engine.run(command)
    for command in decide_redeploy("docker", engine.by_name, WISH, "c1"):
        engine.run(command)
    assert WISH.met_by(engine.by_name["app"])
    assert engine.by_name["app"].running
    assert engine.by_name["app.winch-old"].id == "c1"
    assert decide_redeploy("docker", engine.by_name, WISH, "c1") == []


def test_podman_is_not_asked_to_change_a_restart_policy() -> None:
    commands = decide_redeploy("podman", {"app": CURRENT}, WISH, "c1")
    assert not any("update" in str(command) for command in commands)


def test_create_words_carry_every_parameter_as_one_word() -> None:
    params = Docker(
        image="app:2",
        name="app",
        ports=["80:80"],
        volumes=["/a b:/c:ro"],
        env={"A": "x; rm -rf /"},
        env_file="/etc/app.env",
        network="front",
        command=["serve", "--flag", "$HOME"],
    )
    assert create_words(Wish(params, "d", "i")) == [
        "create",
        "--name=app.winch-new",
        f"--label={LABEL}=d",
        "--restart=unless-stopped",
        "--publish=80:80",
        "--volume=/a b:/c:ro",
        "--env=A=x; rm -rf /",
        "--env-file=/etc/app.env",
        "--network=front",
        "app:2",
        "serve",
        "--flag",
        "$HOME",
    ]


def test_the_digest_knows_configuration_and_not_patience() -> None:
    base = Docker(image="app:2", name="app", env_file="/e")
    same = base.model_copy(update={"timeout": 1.0, "stop_timeout": 1, "pull": False})
    assert digest(base, "x") == digest(same, "x")
    assert digest(base, "x") != digest(base, "y")
    assert digest(base, "x") != digest(base.model_copy(update={"ports": ["80"]}), "x")


def test_inspect_of_docker_and_podman_is_understood() -> None:
    docker = {
        "Id": "c1",
        "Name": "/app",
        "Image": "sha256:one",
        "State": {"Status": "exited", "ExitCode": 3, "Error": "boom"},
        "HostConfig": {
            "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 4},
            "AutoRemove": True,
        },
        "Config": {"Labels": {LABEL: "d"}},
    }
    podman = {
        "Id": "c2",
        "Name": "web",
        "Image": "two",
        "State": {"Status": "running"},
        "HostConfig": {"RestartPolicy": {"Name": ""}},
        "Config": {"Labels": None},
    }
    found = parse_inspect(json.dumps([docker, podman]))
    assert found["app"] == Container(
        "c1", "app", "one", "exited", "on-failure:4", True, "d", 3, "boom"
    )
    assert found["web"] == Container("c2", "web", "two", "running", "no", False, "")
    assert parse_inspect("[]\n") == parse_inspect("") == {}
