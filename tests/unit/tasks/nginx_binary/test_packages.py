from __future__ import annotations

from tasks.nginx.params import Instance
from tasks.nginx_binary import fedora
from tasks.nginx_binary.debian import parse_madison, parse_owner
from tasks.nginx_binary.package import unpack_on
from tasks.nginx_binary.params import Unpack
from tests.fakes import RecordingContext, RecordingHost
from worker.remote import Result

SHA = "3f804ae7dda33a8368993d5d6087bfbc5fbf8c8ed1760af12fc9e8a74966d8a7"


def test_the_owner_of_a_path_is_found_also_behind_a_diversion() -> None:
    text = (
        "diversion by nginx-custom from: /usr/sbin/nginx\n"
        "diversion by nginx-custom to: /usr/sbin/nginx.distrib\n"
        "nginx-core:amd64, nginx-custom: /usr/sbin/nginx\n"
    )
    assert parse_owner(text) == ["nginx-core", "nginx-custom"]
    assert parse_owner("dpkg-query: no path found matching pattern /opt/nginx") == []


def test_madison_lists_packages_and_not_their_sources() -> None:
    text = (
        "     nginx | 1.26.3-3+deb13u10 | http://mirror/security trixie/main amd64 Packages\n"
        "     nginx | 1.26.3-3+deb13u7 | http://mirror/debian trixie/main amd64 Packages\n"
        "     nginx | 1.27.0-1 | http://mirror/debian trixie/main Sources\n"
        "nginx-core | 1.18.0-6ubuntu14 | http://mirror/ubuntu jammy/main amd64 Packages\n"
    )
    assert parse_madison(text) == [
        ("nginx", "1.26.3-3+deb13u10"),
        ("nginx", "1.26.3-3+deb13u7"),
        ("nginx-core", "1.18.0-6ubuntu14"),
    ]


def test_on_fedora_the_package_of_the_binary_is_downloaded_and_only_unpacked() -> None:
    host = RecordingHost()
    standing = [Result(0, "", "", 0.0), Result(0, f"{SHA}\n{SHA}", "", 0.0)]
    host.answers = {
        "for t in apt-get": "dnf\n",
        "rpm -qf": "nginx-core\n",
        "showduplicates": "".join(
            f"nginx-core.x86_64 2:{version}.el9 app\n" for version in ("1.24.0-4", "1.26.3-1")
        ),
        "mkdir -p": "",
        "rpm2cpio": "",
        "sha256sum": standing,
    }
    params = Unpack(instances=[], version="1.26", target="/var/lib/winch/nginx/key/nginx")
    offer = unpack_on(RecordingContext(host), Instance(host="web1"), params)
    assert str(offer) == "nginx-core=2:1.26.3-1.el9"
    download = host.acts[-1]
    assert "dnf -q download --destdir ." in download
    assert download.endswith(" nginx-core=2:1.26.3-1.el9 nginx-core-2:1.26.3-1.el9")
    assert "dnf install" not in download
    assert fedora.spec("nginx", "1.26.3-1") == "nginx-1.26.3-1"
