from __future__ import annotations

import pytest

from tasks.nginx_binary.arguments import (
    compiler_errors,
    needed_paths,
    not_there,
    parse_version_output,
    progress_of,
    rejected,
    split_arguments,
    value_of,
    without,
)

# Captured: Debian 12 and 13, Ubuntu 22.04, nginx.org, AlmaLinux 9 (shortened in the middle).
BOOKWORM = """\
nginx version: nginx/1.22.1
built with OpenSSL 3.0.17 1 Jul 2025 (running with OpenSSL 3.0.19 27 Jan 2026)
TLS SNI support enabled
configure arguments: --with-cc-opt='-g -O2 \
-ffile-prefix-map=/build/reproducible-path/nginx-1.22.1=. \
-fstack-protector-strong -Wformat -Werror=format-security -fPIC -Wdate-time -D_FORTIFY_SOURCE=2' \
--with-ld-opt='-Wl,-z,relro -Wl,-z,now -fPIC' --prefix=/usr/share/nginx \
--conf-path=/etc/nginx/nginx.conf --error-log-path=stderr --pid-path=/run/nginx.pid \
--with-compat --with-debug --with-http_ssl_module \
--with-http_geoip_module=dynamic --with-stream=dynamic
"""
JAMMY = """\
nginx version: nginx/1.18.0 (Ubuntu)
built with OpenSSL 3.0.2 15 Mar 2022
TLS SNI support enabled
configure arguments: --with-cc-opt='-g -O2 -ffile-prefix-map=/build/nginx-zctdR4/nginx-1.18.0=. \
-flto=auto -ffat-lto-objects -fdebug-prefix-map=/build/nginx-zctdR4/nginx-1.18.0=. -Wdate-time' \
--with-ld-opt='-Wl,-Bsymbolic-functions -flto=auto -Wl,-z,relro -fPIC' --prefix=/usr/share/nginx \
--add-dynamic-module=/build/nginx-zctdR4/nginx-1.18.0/debian/modules/http-geoip2 \
--with-threads
"""
ALMA = """\
nginx version: nginx/1.20.1
built by gcc 11.4.1 20231218 (Red Hat 11.4.1-3) (GCC)
configure arguments: --prefix=/usr/share/nginx --user=nginx --with-file-aio \
--with-cc-opt='-O2 -flto=auto -pipe -specs=/usr/lib/rpm/redhat/redhat-hardened-cc1 -m64 \
-march=x86-64-v2 --param=ssp-buffer-size=4' --with-ld-opt='-Wl,-z,relro -Wl,-E'
"""


def test_a_quoted_value_stays_whole_and_loses_its_quotation_marks() -> None:
    built = parse_version_output(BOOKWORM)
    assert built is not None
    assert built.version == "1.22.1"
    assert len(built.arguments) == 11
    assert built.arguments[0].startswith("--with-cc-opt=-g -O2 -ffile-prefix-map=/build/")
    assert built.arguments[0].endswith("-D_FORTIFY_SOURCE=2")
    assert built.arguments[1:3] == (
        "--with-ld-opt=-Wl,-z,relro -Wl,-z,now -fPIC",
        "--prefix=/usr/share/nginx",
    )
    assert built.arguments[-1] == "--with-stream=dynamic"


def test_a_version_with_a_word_behind_it_and_a_double_dash_inside_a_value() -> None:
    jammy, alma = parse_version_output(JAMMY), parse_version_output(ALMA)
    assert jammy is not None
    assert alma is not None
    assert (jammy.version, alma.version) == ("1.18.0", "1.20.1")
    options = value_of(alma.arguments, "--with-cc-opt")
    assert options is not None
    assert options.endswith("--param=ssp-buffer-size=4")
    assert value_of(alma.arguments, "--with-ld-opt") == "-Wl,-z,relro -Wl,-E"


def test_other_products_of_the_family_are_understood() -> None:
    built = parse_version_output("nginx version: openresty/1.25.3.1\nconfigure arguments: --with-a")
    assert built is not None
    assert (built.version, built.arguments) == ("1.25.3.1", ("--with-a",))


@pytest.mark.parametrize("text", ["", "sh: nginx: not found", "nginx: [emerg] no"])
def test_what_is_no_nginx_is_none(text: str) -> None:
    assert parse_version_output(text) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("--a --b=c", ["--a", "--b=c"]),
        ("  --a   --b  ", ["--a", "--b"]),
        ("--empty= --b", ["--empty=", "--b"]),
        ("--cc=' -O2' --b", ["--cc= -O2", "--b"]),
        # configure escapes nothing: quotation marks and backslashes are the value's own.
        ("--build=Bob's --b", ["--build=Bob's", "--b"]),
        ("--build='it is Bob's own' --b", ["--build=it is Bob's own", "--b"]),
        (r"--with-cc-opt='-DX=\"a b\" -g'", [r"--with-cc-opt=-DX=\"a b\" -g"]),
        (r"--with-cc-opt=-DX=\"a\"", [r"--with-cc-opt=-DX=\"a\""]),
        ("--with-cc-opt='-DX=\"$HOME `id`\" -g'", ['--with-cc-opt=-DX="$HOME `id`" -g']),
    ],
)
def test_arguments_are_split_as_configure_wrote_them(text: str, words: list[str]) -> None:
    assert split_arguments(text) == words


@pytest.mark.parametrize("text", ["-O2", "--a b", "a --b"])
def test_what_is_no_argument_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="no configure argument at"):
        split_arguments(text)


def test_arguments_are_dropped_by_their_name_or_as_they_are() -> None:
    arguments = ["--a", "--b=1", "--b=2", "--c=x y"]
    assert without(arguments, ["--b=1", "--c"]) == ["--a", "--b=2"]
    assert not_there(arguments, ["--b=1", "--c", "--d", "--a"]) == ["--d"]


def test_directories_of_the_machine_that_built_the_old_one_are_found() -> None:
    arguments = [
        "--add-dynamic-module=/build/geoip2/",
        "--with-openssl=/src/openssl-3",
        "--with-pcre",
    ]
    arguments += ["--with-pcre-jit", "--with-http_perl_module=dynamic", "--add-module=../rtmp"]
    assert needed_paths(arguments) == [
        ("--add-dynamic-module=/build/geoip2/", "/build/geoip2/config"),
        ("--with-openssl=/src/openssl-3", "/src/openssl-3"),
        ("--add-module=../rtmp", "../rtmp/config"),
    ]


@pytest.mark.parametrize(
    ("output", "found"),
    [
        ('./configure: error: invalid option "--with-ipv7"', ["--with-ipv7"]),
        ('./configure: error: invalid option "--x=a b"', ["--x=a  b"]),
        ("./configure: error: no /gone/config was found", ["--add-module=/gone"]),
        ("./configure: error: C compiler cc is not found", []),
        ("", []),
    ],
)
def test_what_configure_rejects_is_named_as_it_was_given(output: str, found: list[str]) -> None:
    arguments = ["--with-ipv7", "--x=a  b", "--add-module=/gone", "--with-threads"]
    assert rejected(output, arguments) == found


def test_make_says_what_it_compiles() -> None:
    line = "\t-o objs/src/core/nginx.o \\"
    assert progress_of(line) == "src/core/nginx.c"
    assert progress_of("cc -c -I src/core -o objs/src/os/unix/ngx_time.o src/os/x.c") == (
        "src/os/unix/ngx_time.c"
    )
    assert progress_of("make: Leaving directory") is None


def test_errors_of_the_compiler_come_before_its_other_words() -> None:
    output = (
        "a.c: In function 'x':\na.c:3:1: error: 'y' undeclared\n  3 | y\nmake: *** [a.o] Error 1"
    )
    assert compiler_errors(output) == ["a.c:3:1: error: 'y' undeclared"]
    assert compiler_errors("one\ntwo\nthree\n", 2) == ["two", "three"]
    assert compiler_errors("") == []
