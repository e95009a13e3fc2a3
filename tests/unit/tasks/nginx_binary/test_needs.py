from __future__ import annotations

import pytest

from tasks.nginx_binary.needs import missing_text, needs


def headers(arguments: list[str], version: str = "1.26.3") -> list[str]:
    return [need.what for need in needs(arguments, version) if need.kind != "program"]


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ([], ["pcre2.h", "zlib.h"]),
        (["--without-pcre2"], ["pcre.h", "zlib.h"]),
        (["--with-pcre=/src/pcre", "--with-zlib=/src/zlib"], []),
        (["--with-pcre", "--without-http_gzip_module"], ["pcre2.h"]),
        (["--without-http_rewrite_module"], ["zlib.h"]),
        (["--with-stream_ssl_module"], ["pcre2.h", "zlib.h", "openssl/ssl.h"]),
        (["--with-http_ssl_module", "--with-openssl=/src/openssl"], ["pcre2.h", "zlib.h"]),
        (["--with-stream_ssl_preread_module"], ["pcre2.h", "zlib.h"]),
        (
            ["--with-http_geoip_module=dynamic", "--with-stream_geoip_module=dynamic"],
            ["pcre2.h", "zlib.h", "GeoIP.h"],
        ),
        (["--with-cc-opt=-O2 -specs=/usr/lib/x -g"], ["pcre2.h", "zlib.h", "/usr/lib/x"]),
    ],
)
def test_the_arguments_say_what_a_build_needs(arguments: list[str], wanted: list[str]) -> None:
    assert headers(arguments) == wanted


def test_before_1_21_5_nginx_knows_the_old_pcre_only() -> None:
    assert headers([], "1.20.1")[0] == "pcre.h"
    assert headers([], "1.21.5")[0] == "pcre2.h"


def test_the_compiler_is_the_one_that_was_used() -> None:
    assert needs(["--with-cc=clang-15"], "1.26.3")[0].what == "clang-15"


def test_the_message_says_what_to_install() -> None:
    missing = needs(["--with-http_geoip_module"], "1.26.3")[-2:]
    text = missing_text("web1", missing, apt=True)
    assert "it lacks zlib.h, GeoIP.h: run `apt-get install zlib1g-dev libgeoip-dev`" in text
    assert "dnf install zlib-devel GeoIP-devel" in missing_text("web1", missing, apt=False)
