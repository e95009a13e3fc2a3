"""What a build needs on its host, and which packages have it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tasks.nginx_binary.arguments import name_of, value_of
from worker.errors import Refused
from worker.remote import Command, Host

# nginx looks for PCRE2 first since 1.21.5; older ones know PCRE only.
_PCRE2_SINCE = (1, 21, 5)


@dataclass(frozen=True)
class Need:
    """A program, a header, a Perl module or a file; and the package with it: Debian's, Fedora's."""

    kind: str  # program, header, perl, file
    what: str
    deb: str
    rpm: str


_ALWAYS = (
    Need("program", "make", "make", "make"),
    Need("program", "tar", "tar", "tar"),
    Need("program", "gzip", "gzip", "gzip"),
)
_BY_NAME = {
    "--with-http_xslt_module": Need("header", "libxslt/xslt.h", "libxslt1-dev", "libxslt-devel"),
    "--with-http_image_filter_module": Need("header", "gd.h", "libgd-dev", "gd-devel"),
    "--with-http_geoip_module": Need("header", "GeoIP.h", "libgeoip-dev", "GeoIP-devel"),
    "--with-stream_geoip_module": Need("header", "GeoIP.h", "libgeoip-dev", "GeoIP-devel"),
    "--with-http_perl_module": Need(
        "perl", "ExtUtils::Embed", "libperl-dev", "perl-ExtUtils-Embed perl-devel"
    ),
    "--with-google_perftools_module": Need(
        "header", "gperftools/profiler.h", "libgoogle-perftools-dev", "gperftools-devel"
    ),
}
_SSL = re.compile(r"--with-(http|mail|stream)_(ssl|v3)_module")


def needs(arguments: Sequence[str], version: str) -> list[Need]:
    """List what a build with these arguments needs, each once."""
    names = {name_of(argument) for argument in arguments}
    compiler = value_of(arguments, "--with-cc") or "cc"
    found = [Need("program", compiler.split()[0] if compiler.split() else "cc", "gcc", "gcc")]
    found += _ALWAYS
    if not names & {"--without-http_rewrite_module", "--without-pcre", "--with-pcre"} or (
        "--with-pcre" in arguments
    ):
        if "--without-pcre2" in names or _numbers(version) < _PCRE2_SINCE:
            found.append(Need("header", "pcre.h", "libpcre3-dev", "pcre-devel"))
        else:
            found.append(Need("header", "pcre2.h", "libpcre2-dev", "pcre2-devel"))
    if not names & {"--without-http_gzip_module", "--with-zlib", "--without-http"}:
        found.append(Need("header", "zlib.h", "zlib1g-dev", "zlib-devel"))
    if any(_SSL.fullmatch(name) for name in names) and "--with-openssl" not in names:
        found.append(Need("header", "openssl/ssl.h", "libssl-dev", "openssl-devel"))
    if "--with-libatomic" in arguments:  # with a value it is a source directory
        found.append(Need("header", "atomic_ops.h", "libatomic-ops-dev", "libatomic_ops-devel"))
    found += [need for name, need in _BY_NAME.items() if name in names]
    options = value_of(arguments, "--with-cc-opt") or ""
    for path in re.findall(r"-specs=(/\S+)", options):
        found.append(Need("file", path, "dpkg-dev", "redhat-rpm-config"))
    return list(dict.fromkeys(found))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


# "$1" compiler, then pairs: kind, what. Prints the pairs that are missing.
_CHECK = """
cc=$1; shift
while [ $# -gt 0 ]; do
    case $1 in
    program) command -v "$2" >/dev/null 2>&1 ;;
    header)
        case $2 in pcre2.h) define='#define PCRE2_CODE_UNIT_WIDTH 8' ;; *) define= ;; esac
        printf '%s\\n#include <stddef.h>\\n#include <stdio.h>\\n#include <%s>\\n' "$define" "$2" |
            $cc -I/usr/include/libxml2 -E - >/dev/null 2>&1 ;;
    perl) perl "-M$2" -e 1 >/dev/null 2>&1 && [ -e "$(perl -MConfig -e \
        'print "$Config{archlibexp}/CORE/EXTERN.h"')" ] ;;
    file) [ -e "$2" ] ;;
    esac || printf '%s %s\\n' "$1" "$2"
    shift 2
done
command -v apt-get >/dev/null 2>&1 && echo 'tool apt-get'
:
"""


def check_needs(host: Host, arguments: Sequence[str], version: str) -> None:
    """See that a build host has all that a build needs.

    Raises:
        Refused: names everything that is missing, and the line that installs it.
    """
    wanted = needs(arguments, version)
    compiler = wanted[0].what
    pairs = [word for need in wanted for word in (need.kind, need.what)]
    lines = host.read(Command.shell(_CHECK, compiler, *pairs)).stdout.splitlines()
    missing = [need for need in wanted if f"{need.kind} {need.what}" in lines]
    if compiler in [need.what for need in missing]:  # without it no header can be looked for
        missing = [need for need in missing if need.kind != "header"]
        missing += [need for need in wanted if need.kind == "header"]
    if missing:
        raise Refused(missing_text(host.name, missing, apt="tool apt-get" in lines))


def missing_text(host: str, missing: Sequence[Need], *, apt: bool) -> str:
    """Say what is missing and how to get it."""
    things = ", ".join(need.what for need in missing)
    packages = " ".join(dict.fromkeys(need.deb if apt else need.rpm for need in missing))
    install = "apt-get install" if apt else "dnf install"
    return (
        f"{host}: cannot build nginx there, it lacks {things}: run `{install} {packages}` on it, "
        "or choose another machine by --build-host; nothing was changed"
    )
