from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tasks.nginx_binary.params import Upload
from tasks.nginx_binary.upload import preview_upload, upload_binary
from tests.integration.nginx_binary.test_build import Context
from worker.errors import Failed, Refused
from worker.step import Done


def wish(directory: Path, content: bytes = b"the new nginx") -> Upload:
    file = directory / "nginx"
    file.write_bytes(content)
    return Upload(
        hosts=["web1"],
        file=str(file),
        sha256=hashlib.sha256(content).hexdigest(),
        target=str(directory / "root/key/nginx"),
    )


def test_a_file_is_sent_once_and_is_executable_there(tmp_path: Path) -> None:
    context, params = Context(), wish(tmp_path)
    assert preview_upload(context, params) == [  # type: ignore[arg-type]
        f"web1: upload {params.file} to {params.target}"
    ]
    outcome = upload_binary(context, params)  # type: ignore[arg-type]
    assert isinstance(outcome, Done)
    assert "sent to 1 of 1 hosts" in outcome.detail
    assert Path(params.target).read_bytes() == b"the new nginx"
    assert Path(params.target).stat().st_mode & 0o777 == 0o755
    assert Path(f"{params.target}.sha256").read_text() == f"{params.sha256}  nginx\n"
    context = Context()
    outcome = upload_binary(context, params)  # type: ignore[arg-type]
    assert "sent to 0 of 1 hosts, 1 had it" in str(outcome)
    assert context.hosts["web1"].acts + context.hosts["web1"].puts == []
    assert preview_upload(context, params) == []  # type: ignore[arg-type]


@pytest.mark.parametrize("damage", ["nginx", "nginx.sha256"])
def test_a_file_that_is_damaged_there_is_sent_again(tmp_path: Path, damage: str) -> None:
    params = wish(tmp_path)
    upload_binary(Context(), params)  # type: ignore[arg-type]
    Path(params.target).with_name(damage).write_bytes(b"half")
    outcome = upload_binary(Context(), params)  # type: ignore[arg-type]
    assert "sent to 1 of 1 hosts" in str(outcome)
    assert Path(params.target).read_bytes() == b"the new nginx"


def test_once_it_is_there_the_workers_machine_need_not_have_it(tmp_path: Path) -> None:
    params = wish(tmp_path)
    upload_binary(Context(), params)  # type: ignore[arg-type]
    Path(params.file).unlink()
    assert "1 had it" in str(upload_binary(Context(), params))  # type: ignore[arg-type]


def test_another_file_than_the_planned_one_is_never_sent(tmp_path: Path) -> None:
    params = wish(tmp_path)
    Path(params.file).write_bytes(b"another one")
    with pytest.raises(Refused, match="start the job again; nothing was changed"):
        upload_binary(Context(), params)  # type: ignore[arg-type]
    assert not Path(params.target).exists()


def test_a_place_that_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    (tmp_path / "root").write_text("a file")
    with pytest.raises(
        Failed, match=r"web1: cannot make .*/root/key: .*: Winch must be root there"
    ):
        upload_binary(Context(), wish(tmp_path))  # type: ignore[arg-type]
