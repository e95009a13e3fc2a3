"""Finding programs: what apt says, and the line for everyone else."""

from __future__ import annotations

from pathlib import Path

import pytest

from chatops.demo import packages
from chatops.demo.packages import Programs, find_programs, install_line, new_packages
from worker.errors import WinchError

SIMULATION = """\
Inst libssl3 [3.0.19-1~deb12u2] (3.0.22-1~deb12u2 Debian-Security:12 [amd64])
Inst liblua5.3-0 (5.3.6-2 Debian:12.15/oldstable [amd64])
Inst haproxy (2.6.12-1+deb12u2 Debian:12.15/oldstable [amd64]) []
Conf haproxy (2.6.12-1+deb12u2 Debian:12.15/oldstable [amd64])
"""


def test_what_is_installed_in_an_older_version_is_left_as_it_is() -> None:
    assert new_packages(SIMULATION) == ["liblua5.3-0", "haproxy"]


@pytest.mark.parametrize(
    ("release", "line"),
    [
        ("ID=debian\n", "sudo apt-get install nginx openssh-server"),
        ('ID=ubuntu\nID_LIKE="debian"\n', "sudo apt-get install nginx openssh-server"),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\n', "sudo dnf install nginx openssh-server"),
        ('ID="opensuse-leap"\nID_LIKE="suse opensuse"\n', "sudo zypper install"),
        ("ID=alpine\n", "sudo apk add nginx openssh"),
        ("ID=nixos\n", "with your package manager"),
    ],
)
def test_the_line_to_run_is_that_of_the_distribution(release: str, line: str) -> None:
    assert line in install_line(release, ["nginx", "sshd"])


def test_without_apt_it_prints_the_one_line_to_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "on_path", lambda _name: None)
    with pytest.raises(WinchError, match=r"needs haproxy, nginx, openssh-server: run `"):
        find_programs(tmp_path, say=lambda _line: None)


def test_only_unpacked_programs_get_the_unpacked_libraries(tmp_path: Path) -> None:
    libraries = tmp_path / "usr" / "lib" / "x86_64-linux-gnu"
    libraries.mkdir(parents=True)
    (libraries / "liblua5.3.so.0").touch()
    (tmp_path / "usr" / "share" / "doc").mkdir(parents=True)
    paths = {"haproxy": tmp_path / "usr" / "sbin" / "haproxy", "nginx": Path("/usr/sbin/nginx")}
    programs = Programs(paths, tmp_path)
    assert programs.environment("haproxy") == {"LD_LIBRARY_PATH": str(libraries)}
    assert programs.environment("nginx") == {}
