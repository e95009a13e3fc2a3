from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from tasks.nginx_binary.local import look_at_binary, look_at_source
from worker.errors import UsageError

ELF = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x03\x00" + bytes(40)
SAYS = b"nginx version: nginx/1.26.3\n\0configure arguments: --with-threads\0"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"#!/bin/sh\nexec nginx\n", "no ELF executable"),
        (b"", "no ELF executable"),
        (ELF.replace(b"\x03\x00", b"\x01\x00", 1) + SAYS, "no executable"),
        (ELF, "no nginx"),
        (ELF + b"nginx version: nginx/1.26.3", "no nginx"),
    ],
)
def test_a_file_that_is_no_nginx_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    file = tmp_path / "nginx"
    file.write_bytes(content)
    with pytest.raises(UsageError, match=reason):
        look_at_binary(file)


def test_no_file_and_a_directory_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "gone", tmp_path):
        with pytest.raises(UsageError, match="there is no such file"):
            look_at_binary(path)


def test_an_nginx_says_its_version(tmp_path: Path) -> None:
    file = tmp_path / "nginx"
    file.write_bytes(ELF + SAYS)
    assert look_at_binary(file).version == "1.26.3"


def tarball(path: Path, files: dict[str, str]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    return path


GOOD = {
    "nginx-1.26.3/configure": "#!/bin/sh\n",
    "nginx-1.26.3/src/core/nginx.h": '#define NGINX_VERSION      "1.26.3"\n',
}


def test_a_source_says_its_version(tmp_path: Path) -> None:
    assert look_at_source(tarball(tmp_path / "a.tar.gz", GOOD)).version == "1.26.3"
    checkout = {name.replace("/configure", "/auto/configure"): t for name, t in GOOD.items()}
    assert look_at_source(tarball(tmp_path / "b.tgz", checkout)).version == "1.26.3"


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({}, "no source of nginx"),
        ({"nginx-1/configure": ""}, "no source of nginx"),
        ({**GOOD, "other/file": ""}, "no source of nginx"),
        ({**GOOD, "nginx-1.26.3/../../etc/passwd": ""}, "leaves the directory"),
        ({**GOOD, "/etc/passwd": ""}, "leaves the directory"),
    ],
)
def test_another_tarball_is_refused(tmp_path: Path, files: dict[str, str], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        look_at_source(tarball(tmp_path / "a.tar.gz", files))


def test_no_tarball_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz").write_text("no")
    for name, reason in (("a.tar.gz", "damaged"), ("b.tar.gz", "no such"), ("c.zip", "tarball")):
        with pytest.raises(UsageError, match=reason):
            look_at_source(tmp_path / name)
