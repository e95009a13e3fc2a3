"""Output of apt 2.6 and dpkg 1.21 (bookworm), as captured."""

from __future__ import annotations

from tasks.deploy.apt import (
    Change,
    Installed,
    parse_candidate,
    parse_dpkg_query,
    parse_madison,
    parse_simulation,
)

MADISON = """\
     nginx | 1.22.1-9+deb12u10 | http://deb.example/security bookworm/main amd64 Packages
     nginx | 1.22.1-9+deb12u9 | http://deb.example/debian bookworm/main amd64 Packages
     nginx | 1.22.1-9+deb12u9 | http://deb.example/mirror bookworm/main amd64 Packages
"""
SIMULATION = """\
The following packages will be DOWNGRADED:
  nginx nginx-common
0 upgraded, 0 newly installed, 2 downgraded, 1 to remove and 115 not upgraded.
Remv nginx-light [1.22.1-9+deb12u10]
Inst nginx [1.22.1-9+deb12u10] (1.22.1-9+deb12u9 Debian:12.15/oldstable [amd64]) []
Inst nginx-common [1.22.1-9+deb12u10] (1.22.1-9+deb12u9 Debian:12.15/oldstable [all])
Inst libnew (2.0-1 Debian:12.15/oldstable [amd64])
Conf nginx (1.22.1-9+deb12u9 Debian:12.15/oldstable [amd64])
"""
POLICY = """\
nginx-common:
  Installed: 1.22.1-9+deb12u10
  Candidate: 1.22.1-9+deb12u10
  Version table:
 *** 1.22.1-9+deb12u10 500
"""


def test_madison_lists_each_version_once_newest_first() -> None:
    assert parse_madison(MADISON) == ["1.22.1-9+deb12u10", "1.22.1-9+deb12u9"]
    assert parse_madison("") == []


def test_a_simulation_says_what_would_change() -> None:
    assert parse_simulation(SIMULATION) == [
        Change("nginx-light", "1.22.1-9+deb12u10", None),
        Change("nginx", "1.22.1-9+deb12u10", "1.22.1-9+deb12u9"),
        Change("nginx-common", "1.22.1-9+deb12u10", "1.22.1-9+deb12u9"),
        Change("libnew", None, "2.0-1"),
    ]


def test_the_candidate_of_a_policy() -> None:
    assert parse_candidate(POLICY) == "1.22.1-9+deb12u10"
    assert parse_candidate("nothing:\n  Installed: (none)\n  Candidate: (none)\n") is None
    assert parse_candidate("") is None


def test_packages_that_are_not_installed_are_left_out() -> None:
    text = "ii |nginx|1.22.1-9|nginx\nrc |old|1|old\nun |virtual||\niF |half|2|half\n"
    nginx, half = parse_dpkg_query(text)
    assert nginx == Installed("ii", "nginx", "1.22.1-9", "nginx")
    assert nginx.complete
    assert not nginx.held
    assert not half.complete
    assert parse_dpkg_query("hi |nginx|1|nginx\n")[0].held
