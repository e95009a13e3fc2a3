from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.workflows.fleets import load, refused
from worker.errors import UsageError
from workflows.fleet import load_fleet
from workflows.yamlfile import read_document


def _laughs() -> str:
    lines = ['a0: &a0 ["lol"]']
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    return "\n".join(lines)


GARBAGE = {
    "empty": (b"", "fleet.yaml: the file is empty; 'winch fleet import' can write one"),
    "blank": (b" \n\n", "fleet.yaml: the file is empty; 'winch fleet import' can write one"),
    "comment": (b"# nothing\n", "fleet.yaml: the file holds no values"),
    "binary": (b"\x7fELF\x02\x01\x01\x00\xff\xfe", "fleet.yaml:1: not UTF-8 text (byte 0xff)"),
    "utf-16": ("hosts: {}".encode("utf-16"), "fleet.yaml:1: not UTF-8 text (byte 0xff)"),
    "latin-1": (b"a: b\nc: caf\xe9\n", "fleet.yaml:2: not UTF-8 text (byte 0xe9)"),
    "zeros": (
        b"hosts:\n\0\0",
        "fleet.yaml:2: control character U+0000; this is no YAML text file",
    ),
    "list": (b"- a\n- b\n", "fleet.yaml:1: the top must be a mapping (hosts: \u2026), not a list"),
    "scalar": (
        b"hello\n",
        "fleet.yaml:1: the top must be a mapping (hosts: …), not a single value",
    ),
    "tab": (
        b"hosts:\n\tweb1: {}\n",
        "fleet.yaml:2: a tab stands where YAML wants spaces; indent with spaces",
    ),
    "colon": (
        b"vars: {}\nhosts: web: 1\n",
        "fleet.yaml:2: a ': ' where no key can stand; quote the value, or mend the indentation",
    ),
    "twice": (
        b"hosts:\n  web1: {}\n  web2: {}\n  web1: {}\n",
        "fleet.yaml:4: the key 'web1' stands here twice (line 2 too)",
    ),
    "documents": (
        b"hosts: {}\n---\nhosts: {}\n",
        "fleet.yaml:2: a second document (---); a fleet file is one document",
    ),
    "python": (
        b"hosts: !!python/object/apply:os.system [id]\n",
        "fleet.yaml:1: tags such as tag:yaml.org,2002:python/object/apply:os.system "
        "are not allowed",
    ),
    "alias": (b"hosts: *a\n", "fleet.yaml:1: *a stands before its anchor &a"),
    "own alias": (b"hosts: &a [*a]\n", "fleet.yaml:1: *a stands before its anchor &a"),
    "merge": (b"hosts:\n  <<: 3\n", "fleet.yaml:2: << wants a mapping, or a list of mappings"),
    "list as key": (b"? [a]\n: b\n", "fleet.yaml:1: a key must be plain text"),
    "deep": (b"[" * 100_000, "fleet.yaml:1: nested deeper than 32 levels"),
    "bomb": (
        _laughs().encode(),
        "fleet.yaml:7: holds more than 500000 values with its anchors followed",
    ),
    "large": (
        b"a: b\n" * 2_000_000,
        "fleet.yaml: larger than 4 MiB; this is no fleet file",
    ),
}


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_gives_one_clear_line_fast(name: str, tmp_path: Path) -> None:
    content, line = GARBAGE[name]
    before = time.monotonic()
    assert refused(tmp_path, content) == [line]
    assert time.monotonic() - before < 5


def test_a_file_that_is_not_there_is_named_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "fleet.yaml"
    with pytest.raises(UsageError) as error:
        load_fleet(path)
    assert str(error.value) == (
        f"{path}: no such file; name one with --fleet or WINCH_FLEET, "
        "or write one with 'winch fleet import'"
    )


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a directory; name the file in it"):
        load_fleet(tmp_path)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fleet.yaml")
    with pytest.raises(UsageError, match="is no regular file"):
        load_fleet(tmp_path / "fleet.yaml")


def test_a_path_that_cannot_be_a_path_is_refused() -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        load_fleet("a\0b")
    with pytest.raises(UsageError, match="cannot be read"):
        load_fleet("x" * 5000)


def test_scalars_stay_as_they_are_written(tmp_path: Path) -> None:
    fleet = load(
        tmp_path,
        "vars: {a: 1.20, b: 010, c: no, d: 1:30, e: 2026-11-21, f: '', g: 'null'}\n"
        "hosts: {no: {address: 10.0.0.1}, 12: {address: 10.0.0.2}}\n",
    )
    assert fleet.vars == {
        "a": "1.20",
        "b": "010",
        "c": "no",
        "d": "1:30",
        "e": "2026-11-21",
        "f": "",
        "g": "null",
    }
    assert list(fleet.hosts) == ["no", "12"]


def test_anchors_and_merges_work_and_keep_their_lines(tmp_path: Path) -> None:
    text = (
        "ssh: &ssh {user: root}\n"
        "hosts:\n"
        "  web1: {address: 10.0.0.1, ssh: &web {<<: *ssh, port: 2222}}\n"
        "  web2: {address: 10.0.0.2, ssh: *web}\n"
    )
    fleet = load(tmp_path, text)
    assert fleet.hosts["web2"].ssh.port == 2222
    assert fleet.hosts["web2"].ssh.user == "root"
    document = read_document(tmp_path / "fleet.yaml")
    assert document.line(("hosts", "web2", "ssh")) == 4
    assert document.line(("hosts", "web2", "ssh", "user")) == 1
    assert document.line(("hosts", "web2", "nothing", "there")) == 4


def test_a_byte_order_mark_is_no_problem(tmp_path: Path) -> None:
    assert load(tmp_path, "\ufeffhosts: {a: {address: 10.0.0.1}}\n").hosts


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(content=st.binary(max_size=200) | st.text(max_size=200).map(lambda t: t.encode("utf-8")))
def test_no_content_makes_loading_do_anything_but_load_or_refuse(
    content: bytes, tmp_path: Path
) -> None:
    for line in refused(tmp_path, content):
        assert line.startswith("fleet.yaml:")
