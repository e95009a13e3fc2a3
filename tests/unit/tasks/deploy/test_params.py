from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tasks.deploy.params import CommandDeploy, Docker, Package, Redeploy, Release, Systemd

NASTY = ["", "-x", "a b", "a;b", "a\nb", "$(a)", "`a`", "a'b", 'a"b', "a|b", "a&b", "ä", "a\0b"]


@pytest.mark.parametrize("value", NASTY)
@pytest.mark.parametrize(
    ("model", "others", "field"),
    [
        (Docker, {"name": "app"}, "image"),
        (Docker, {"image": "app"}, "name"),
        (Docker, {"name": "app", "image": "app"}, "network"),
        (Docker, {"name": "app", "image": "app"}, "restart"),
        (Package, {}, "name"),
        (Package, {"name": "nginx"}, "version"),
        (Systemd, {}, "unit"),
        (Release, {"archive": "/a.tar", "directory": "/srv"}, "version"),
        (Release, {"archive": "/a.tar", "directory": "/srv", "version": "1"}, "unit"),
        (Release, {"archive": "/a.tar", "directory": "/srv", "version": "1"}, "owner"),
    ],
)
def test_a_name_that_could_be_an_option_or_syntax_is_refused(
    model: Any, others: dict[str, str], field: str, value: str
) -> None:
    with pytest.raises(ValidationError):
        model(**others, **{field: value})


@pytest.mark.parametrize(
    "image",
    [
        "nginx",
        "nginx:1.26",
        "registry.example:5000/team/app:v1.2-rc.1",
        "app@sha256:" + "0" * 64,
        "ghcr.io/Team/app",
    ],
)
def test_usual_image_references_pass(image: str) -> None:
    assert Docker(image=image, name="app").image == image


@pytest.mark.parametrize(
    "port", ["80", "80:80", "8000-8010:8000-8010", "127.0.0.1:80:8080/tcp", "[::1]:53:53/udp"]
)
def test_usual_ports_pass(port: str) -> None:
    assert Docker(image="app", name="app", ports=[port]).ports == [port]


@pytest.mark.parametrize("port", ["", "http", "80:", ":80", "80:80/icmp", "80;80", "--privileged"])
def test_other_ports_are_refused(port: str) -> None:
    with pytest.raises(ValidationError, match="is not a port"):
        Docker(image="app", name="app", ports=[port])


@pytest.mark.parametrize("volume", ["/data:/data", "/a b:/c d:ro", "named-volume:/data:ro,z"])
def test_usual_volumes_pass(volume: str) -> None:
    assert Docker(image="app", name="app", volumes=[volume]).volumes == [volume]


@pytest.mark.parametrize("volume", ["", "/data", "data", "-v:/x", "/a:b", "/a:/b:r;w", "/a\n:/b"])
def test_other_volumes_are_refused(volume: str) -> None:
    with pytest.raises(ValidationError, match="is not a volume"):
        Docker(image="app", name="app", volumes=[volume])


@pytest.mark.parametrize("path", ["", "srv", "~/srv", "/srv/../etc", "/srv\n", "/"])
def test_a_directory_is_an_absolute_path(path: str) -> None:
    with pytest.raises(ValidationError, match=r"absolute path|directory of releases"):
        Release(archive="/a.tar", version="1", directory=path)


def test_a_trailing_slash_of_a_directory_does_not_matter() -> None:
    assert Release(archive="/a.tar", version="1", directory="/srv/app/").directory == "/srv/app"


@pytest.mark.parametrize("unit", ["nginx", "nginx.service", "app@1.service", "dev-sda\\x2d1.swap"])
def test_usual_units_pass(unit: str) -> None:
    assert Systemd(unit=unit).unit == unit


def test_a_release_name_is_one_directory_below_releases() -> None:
    for version in ("a/b", "..", ".", ".hidden"):
        with pytest.raises(ValidationError):
            Release(archive="/a.tar", version=version, directory="/srv")


def test_exactly_one_kind_is_needed() -> None:
    with pytest.raises(ValidationError, match=r"exactly one of .* is needed, got none"):
        Redeploy()
    with pytest.raises(ValidationError, match="got package, systemd"):
        Redeploy(package=Package(name="nginx"), systemd=Systemd(unit="nginx"))


def test_a_command_must_say_something() -> None:
    with pytest.raises(ValidationError, match="empty"):
        CommandDeploy(run=" ")


def test_parameters_survive_json() -> None:
    params = Redeploy(docker=Docker(image="app:1", name="app", env={"A": "x=y"}))
    assert Redeploy.model_validate(params.model_dump(mode="json")) == params
