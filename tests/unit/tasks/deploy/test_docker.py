"""What is refused before an engine is asked for anything; the rest is tried on a real engine."""

from __future__ import annotations

import json

import pytest

from tasks.deploy.params import Docker, Redeploy
from tasks.deploy.steps import preview_redeploy, preview_restore, redeploy
from tests.fakes import RecordingContext, RecordingHost
from worker.errors import Failed, Refused
from worker.remote import Result

WISH = Redeploy(docker=Docker(image="app:2", name="app"))
CURRENT = {
    "Id": "c1",
    "Name": "/app",
    "Image": "sha256:one",
    "State": {"Status": "running"},
    "HostConfig": {"RestartPolicy": {"Name": "always"}},
}
ABSENT = "Error: No such container: app.winch-old\nError: no such container app.winch-new\n"


def context_of(tool: str = "docker") -> RecordingContext:
    host = RecordingHost()
    host.answers = {
        "for tool in": f"{tool}\n",
        "container inspect": Result(1, json.dumps([CURRENT]), ABSENT, 0.0),
        "image inspect": "sha256:two\n",
    }
    return RecordingContext(host)


def test_a_host_without_docker_and_podman_is_refused() -> None:
    context = context_of("")
    with pytest.raises(Refused, match="neither docker nor podman"):
        redeploy(context, WISH)
    assert context.host.acts == []


def test_an_engine_that_may_not_be_spoken_to_is_named() -> None:
    context = context_of()
    denied = "permission denied while trying to connect to the Docker daemon socket"
    context.host.answers["container inspect"] = Result(1, "", denied, 0.0)
    with pytest.raises(Failed, match=r"docker does not answer: permission denied .* SSH user"):
        redeploy(context, WISH)
    assert context.host.acts == []


def test_a_preview_shows_the_whole_swap_and_touches_nothing() -> None:
    context = context_of()
    lines = preview_redeploy(context, WISH)
    assert lines[0] == "docker pull app:2"
    assert lines[1].startswith("docker create --name=app.winch-new --label=winch.config=")
    assert lines[2:] == [
        "docker update --restart=no c1",
        "docker stop --time=10 c1",
        "docker rename c1 app.winch-old",
        "docker rename app.winch-new app",
        "docker start app",
    ]
    assert context.host.acts == []
    assert context.memory == {}


def test_podman_is_used_where_there_is_no_docker() -> None:
    assert preview_redeploy(context_of("podman"), WISH)[0] == "podman pull app:2"


def test_a_preview_of_the_way_back_names_the_old_container() -> None:
    context = context_of()
    context.recalled = {
        "deploy.redeploy": {
            "before": {"id": "c1", "running": True, "restart": "always", "image": "one"}
        }
    }
    assert preview_restore(context, WISH) == []
