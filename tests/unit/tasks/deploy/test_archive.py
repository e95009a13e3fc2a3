from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from tasks.deploy.archive import open_archive
from worker.errors import Refused


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def archive_of(path: Path, *members: tarfile.TarInfo) -> str:
    with tarfile.open(path, "w:gz") as archive:
        for one in members:
            archive.addfile(one, io.BytesIO(b""))
    return str(path)


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ([member("/etc/passwd")], "leaves the directory"),
        ([member("../../etc/passwd")], "leaves the directory"),
        ([member("a/../../b")], "leaves the directory"),
        ([member("hard", tarfile.LNKTYPE, "../../etc/shadow")], "leaves the directory"),
        ([member("hard", tarfile.LNKTYPE, "/etc/shadow")], "leaves the directory"),
        ([member("d", tarfile.SYMTYPE, "/etc"), member("d/cron.d/x")], "through a symbolic link"),
        ([member("f", tarfile.SYMTYPE, "/etc/passwd"), member("f")], "through a symbolic link"),
        ([member("disk", tarfile.BLKTYPE)], "device"),
        ([member("pipe", tarfile.FIFOTYPE)], "device"),
        ([member(".winch-sha256", tarfile.SYMTYPE, "/etc/passwd")], "Winch's own file"),
        ([member("./.winch-sha256")], "Winch's own file"),
    ],
)
def test_a_member_that_would_leave_the_directory_is_refused(
    tmp_path: Path, members: list[tarfile.TarInfo], said: str
) -> None:
    with pytest.raises(Refused, match=said):
        open_archive(archive_of(tmp_path / "app.tar.gz", *members))


def test_links_to_shared_directories_are_usual(tmp_path: Path) -> None:
    path = archive_of(
        tmp_path / "app.tgz",
        member(".", tarfile.DIRTYPE),
        member("./app/log", tarfile.SYMTYPE, "/var/log/app"),
        member("./app/a"),
        member("./app/b", tarfile.LNKTYPE, "./app/a"),
    )
    assert open_archive(path).ending == ".tgz"


def test_a_zip_is_looked_at_too(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "app.zip", "w") as archive:
        archive.writestr("../outside", "")
    with pytest.raises(Refused, match="leaves the directory"):
        open_archive(str(tmp_path / "app.zip"))


@pytest.mark.parametrize("name", ["app.tar.gz", "app.tar.xz", "app.zip", "app.tar"])
def test_garbage_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x1f\x8b garbage" * 100)
    with pytest.raises(Refused, match="is damaged"):
        open_archive(str(tmp_path / name))


def test_a_truncated_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "app.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(__file__, "a")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(Refused, match="is damaged"):
        open_archive(str(path))


def test_a_missing_file_and_an_unknown_ending_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="cannot be read on the worker's machine"):
        open_archive(str(tmp_path / "nothing.tar.gz"))
    (tmp_path / "app.rar").write_bytes(b"")
    with pytest.raises(Refused, match=r"no ending that Winch can unpack: expected one of \.tar"):
        open_archive(str(tmp_path / "app.rar"))


def test_a_file_that_was_replaced_is_looked_at_again(tmp_path: Path) -> None:
    path = tmp_path / "app.tar.gz"
    first = open_archive(archive_of(path, member("a")))
    second = open_archive(archive_of(path, member("another-name"), member("b")))
    assert first.sha256 != second.sha256
