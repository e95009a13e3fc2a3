"""Building by the real tar, make and compiler, of a source that is built as nginx is.

A real nginx is built in `tests/lab/test_nginx_job.py`; this one takes no time.
"""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from tasks.nginx.params import Instance
from tasks.nginx_binary.build import build_binary, preview_build
from tasks.nginx_binary.local import look_at_source
from tasks.nginx_binary.params import Build
from tests.integration.deploy.local import LocalHost
from tests.needs import needs_program
from worker.errors import Failed, Refused
from worker.step import Done

CONFIGURE = r"""#!/bin/sh
for option; do
    case $option in
    --with-known | --with-cc-opt=* | --without-*) ;;
    *) echo "$0: error: invalid option \"$option\""; exit 1 ;;
    esac
done
mkdir -p objs/src/core
cat > objs/Makefile <<END
binary:	objs/nginx
objs/nginx:	objs/src/core/nginx.o
	cc -o objs/nginx objs/src/core/nginx.o
objs/src/core/nginx.o:	src/core/nginx.c
	cc -c \\
		-o objs/src/core/nginx.o \\
		src/core/nginx.c
END
printf '#define ARGUMENTS "%s"\n' "$*" > src/core/arguments.h
"""
PROGRAM = """\
#include "nginx.h"
#include "arguments.h"
#include <stdio.h>
int main(void) {
    puts("nginx version: nginx/" NGINX_VERSION);
    puts("configure arguments: " ARGUMENTS);
    return 0;
}
"""
HEADER = '#define NGINX_VERSION      "9.9.1"\n'
KNOWN = "--without-pcre --without-http_gzip_module --with-known"


class Context:
    """The context of a gate: two hosts that are this machine."""

    def __init__(self) -> None:
        self.hosts = {name: LocalHost() for name in ("build", "web1")}
        for name, host in self.hosts.items():
            host.name = name
        self.host = self.hosts["build"]
        self.said: list[str] = []

    def on(self, name: str) -> LocalHost:
        return self.hosts[name]

    def progress(self, text: str) -> None:
        self.said.append(text)


def source(directory: Path, program: str = PROGRAM) -> Path:
    path = directory / f"nginx-{len(list(directory.iterdir()))}.tar.gz"
    files = {
        "nginx-9.9.1/configure": (CONFIGURE, 0o755),
        "nginx-9.9.1/src/core/nginx.h": (HEADER, 0o644),
        "nginx-9.9.1/src/core/nginx.c": (program, 0o644),
    }
    with tarfile.open(path, "w:gz") as archive:
        for name, (text, mode) in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(text), mode
            archive.addfile(info, io.BytesIO(text.encode()))
    return path


def running(directory: Path, arguments: str) -> Instance:
    """An nginx in use, as far as a build looks at it."""
    binary = directory / "running"
    lines = f"nginx version: nginx/9.8.0\nconfigure arguments: {arguments}\n"
    binary.write_text(f"#!/bin/sh\ncat >&2 <<'END'\n{lines}END\n")
    binary.chmod(0o755)
    return Instance(host="web1", binary=str(binary), pid_file=str(directory / "nginx.pid"))


def wish(directory: Path, arguments: str, program: str = PROGRAM, **settings: object) -> Build:
    needs_program("gcc", "make", "tar", "gzip")
    file = look_at_source(source(directory, program))
    return Build(
        build_host="build",
        like=running(directory, arguments),
        hosts=["web1"],
        source=str(file.path),
        sha256=file.sha256,
        version=file.version,
        target=str(directory / "root/key/nginx"),
        **settings,  # type: ignore[arg-type]
    )


def leftovers(directory: Path) -> list[Path]:
    return list((directory / "root").glob(".build.*"))


def test_what_was_built_stands_on_the_other_host_with_the_arguments_of_the_running_one(
    tmp_path: Path,
) -> None:
    context, params = Context(), wish(tmp_path, KNOWN + " --with-cc-opt='-O2 -g'")
    assert preview_build(context, params) == [  # type: ignore[arg-type]
        f"build: build nginx 9.9.1 from {Path(params.source).name} with 4 arguments of web1's "
        "running nginx",
        f"web1: copy the built nginx to {params.target}",
    ]
    assert context.hosts["build"].acts == []
    outcome = build_binary(context, params)  # type: ignore[arg-type]
    assert isinstance(outcome, Done)
    assert outcome.detail.endswith(" on build, sent to 1 of 1 hosts")
    said = subprocess.run([params.target], capture_output=True, text=True, check=True).stdout
    assert said.splitlines()[1] == f"configure arguments: {KNOWN} --with-cc-opt=-O2 -g"
    assert "build: compiles 1 of 1: src/core/nginx.c" in context.said
    assert leftovers(tmp_path) == []


def test_the_second_time_it_comes_from_the_cache_and_nothing_is_sent(tmp_path: Path) -> None:
    params = wish(tmp_path, KNOWN)
    build_binary(Context(), params)  # type: ignore[arg-type]
    context = Context()
    outcome = build_binary(context, params)  # type: ignore[arg-type]
    assert outcome == Done(
        "nginx 9.9.1 taken from the cache on build, sent to 0 of 1 hosts", changed=False
    )
    assert [host.acts + host.puts for host in context.hosts.values()] == [[], []]
    # Other arguments are another binary.
    more = params.model_copy(update={"add": ["--with-cc-opt=-O1"]})
    assert "built in" in str(build_binary(Context(), more))  # type: ignore[arg-type]


def test_arguments_that_no_longer_configure_are_all_named_and_dropped_only_on_request(
    tmp_path: Path,
) -> None:
    arguments = f"{KNOWN} --with-gone --with-old='a b' --add-module=/nowhere/geoip2"
    params = wish(tmp_path, arguments)
    with pytest.raises(Refused, match=r"name a directory .*: --add-module=/nowhere/geoip2; leave"):
        build_binary(Context(), params)  # type: ignore[arg-type]
    params = params.model_copy(update={"drop": ["--add-module"]})
    with pytest.raises(Refused) as error:
        build_binary(Context(), params)  # type: ignore[arg-type]
    assert "these are not known there: --with-gone --with-old=a b; leave them out by " in str(
        error.value
    )
    assert "--drop-argument --with-gone --drop-argument --with-old, or" in str(error.value)
    assert not Path(params.target).exists()
    assert leftovers(tmp_path) == []
    dropped = params.model_copy(update={"drop": [], "drop_unknown": True})
    outcome = build_binary(Context(), dropped)  # type: ignore[arg-type]
    assert isinstance(outcome, Done)
    without = "without --add-module=/nowhere/geoip2 --with-gone --with-old=a b"
    assert without in outcome.detail
    again = build_binary(Context(), dropped)  # type: ignore[arg-type]
    assert f"taken from the cache {without}" in str(again)


def test_an_argument_that_is_not_there_cannot_be_dropped(tmp_path: Path) -> None:
    params = wish(tmp_path, KNOWN, drop=["--with-typo"])
    with pytest.raises(Refused, match="--with-typo: the running nginx has no such argument"):
        build_binary(Context(), params)  # type: ignore[arg-type]


def test_the_compilers_own_error_is_told_and_nothing_is_left(tmp_path: Path) -> None:
    params = wish(tmp_path, KNOWN, PROGRAM.replace("puts(", "puts(undeclared_thing, ", 1))
    with pytest.raises(Failed, match=r"does not compile: .*error: .*undeclared_thing"):
        build_binary(Context(), params)  # type: ignore[arg-type]
    assert leftovers(tmp_path) == []
    assert not Path(params.target).exists()


def test_what_the_build_host_lacks_is_listed_before_anything_is_unpacked(tmp_path: Path) -> None:
    context, params = Context(), wish(tmp_path, f"{KNOWN} --with-cc=no-such-compiler")
    with pytest.raises(
        Refused, match=r"build: cannot build nginx there, it lacks no-such-compiler"
    ):
        build_binary(context, params)  # type: ignore[arg-type]
    assert context.hosts["build"].acts == []


def test_a_source_that_changed_since_it_was_asked_for_is_refused(tmp_path: Path) -> None:
    params = wish(tmp_path, KNOWN)
    Path(params.source).write_bytes(b"another")
    with pytest.raises(Refused, match=r"expected SHA-256 .* as when the job was planned"):
        build_binary(Context(), params)  # type: ignore[arg-type]
    Path(params.source).unlink()
    with pytest.raises(Refused, match="cannot be read on the worker's machine"):
        build_binary(Context(), params)  # type: ignore[arg-type]


def test_what_is_no_nginx_has_no_arguments(tmp_path: Path) -> None:
    params = wish(tmp_path, KNOWN)
    like = params.like.model_copy(update={"binary": "/bin/true"})
    with pytest.raises(Refused, match="expected the version and arguments of nginx"):
        build_binary(Context(), params.model_copy(update={"like": like}))  # type: ignore[arg-type]
