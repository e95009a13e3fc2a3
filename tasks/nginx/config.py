"""What `nginx -T` and `nginx -V` print, understood as far as an upgrade depends on it. Pure."""

from __future__ import annotations

import fnmatch
import ipaddress
import posixpath
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""\s+|\#[^\n]*|(?P<open>\{)|(?P<close>\})|(?P<end>;)
    |"(?P<double>(?:\\.|[^"\\])*)"|'(?P<single>(?:\\.|[^'\\])*)'
    |(?P<word>(?:\\.|\$\{[^}]*\}|[^\s;{}"'\#\\])(?:\\.|\$\{[^}]*\}|[^\s;{}\\])*)""",
    re.VERBOSE,
)
_FILE = re.compile(r"^# configuration file (.+):$", re.MULTILINE)
_DEPTH = 20  # includes in includes


@dataclass(frozen=True)
class Directive:
    """One directive: its words, and what is in its braces."""

    words: tuple[str, ...]
    children: tuple[Directive, ...] = ()

    @property
    def name(self) -> str:
        return self.words[0]


class NotUnderstood(ValueError):
    """The text is not what nginx's grammar allows, as far as it is known here."""


def parse_dump(text: str) -> tuple[Directive, ...]:
    """Turn the output of `nginx -T` into one tree, includes put where they stand.

    Raises:
        NotUnderstood: foreign syntax (a block in another language, say).
    """
    parts = _FILE.split(text)
    files = dict(zip(parts[1::2], parts[2::2], strict=True))
    if not files:
        raise NotUnderstood("no configuration file in it")
    main = next(iter(files))
    return _expand(_parse(files[main]), files, posixpath.dirname(main), 0)


def parse_globals(text: str) -> tuple[Directive, ...]:
    """Turn what was given by `-g` into directives."""
    return _parse(text if text.rstrip().endswith((";", "}")) or not text.strip() else text + ";")


def _parse(text: str) -> tuple[Directive, ...]:
    stack: list[list[Directive]] = [[]]
    heads: list[tuple[str, ...]] = []
    words: list[str] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise NotUnderstood(f"at {text[at : at + 30]!r}")
        at = match.end()
        kind = match.lastgroup
        if kind is None:
            continue
        if kind == "open":
            heads.append(tuple(words))
            stack.append([])
            words = []
            if heads[-1] and heads[-1][0].endswith("_by_lua_block"):
                raise NotUnderstood("a block of Lua")
        elif kind == "close":
            if not heads:
                raise NotUnderstood("a brace too many")
            children = tuple(stack.pop())
            stack[-1].append(Directive(heads.pop() or ("",), children))
        elif kind == "end":
            if words:
                stack[-1].append(Directive(tuple(words)))
            words = []
        else:
            words.append(match[kind])
    if heads:
        raise NotUnderstood("a brace too few")
    return tuple(stack[0])


def _expand(
    tree: tuple[Directive, ...], files: Mapping[str, str], base: str, depth: int
) -> tuple[Directive, ...]:
    out: list[Directive] = []
    for directive in tree:
        if directive.name == "include" and len(directive.words) > 1:
            pattern = posixpath.join(base, directive.words[1])
            for path in files if depth < _DEPTH else ():
                if fnmatch.fnmatchcase(path, pattern):
                    out += _expand(_parse(files[path]), files, base, depth + 1)
        else:
            children = _expand(directive.children, files, base, depth)
            out.append(Directive(directive.words, children))
    return tuple(out)


def setting(tree: tuple[Directive, ...], name: str) -> tuple[str, ...] | None:
    """The words after a directive of the main level; None if it is not there."""
    return next((d.words[1:] for d in tree if d.name == name), None)


def listens(tree: tuple[Directive, ...], *, reuseport: bool = False) -> frozenset[str]:
    """Where a configuration listens, as facts word it: `tcp 0.0.0.0:80`, `unix /run/x.sock`.

    A name that is not an address becomes `tcp *:PORT`. `reuseport`: only where it says that.
    """
    found: set[str] = set()
    for block in tree:
        if block.name not in {"http", "stream", "mail"}:
            continue
        for server in _servers(block):
            own = [d for d in server.children if d.name == "listen" and len(d.words) > 1]
            for directive in own:
                if not reuseport or "reuseport" in directive.words:
                    found.update(_listen(directive.words[1], directive.words[2:]))
            if not own and block.name == "http" and not reuseport:
                found.update(_listen("80", ()))
    return frozenset(found)


def _servers(block: Directive) -> Iterator[Directive]:
    return (directive for directive in block.children if directive.name == "server")


def _listen(where: str, options: tuple[str, ...]) -> Iterator[str]:
    family = "udp" if {"udp", "quic"} & set(options) else "tcp"
    if where.startswith("unix:"):
        yield f"unix {where.removeprefix('unix:')}"
        return
    match = re.fullmatch(r"(?:(\[[^\]]*\]|[^:\[]*):)?(\d+)(?:-(\d+))?", where)
    host, first, last = match.groups() if match is not None else (where, "80", None)
    if host is None or host in {"*", "0.0.0.0"}:  # noqa: S104
        host = "0.0.0.0"  # noqa: S104
    elif host == "localhost":
        host = "127.0.0.1"
    elif host.startswith("["):
        host = f"[{_ipv6(host[1:-1])}]"
    elif re.fullmatch(r"\d+(\.\d+){3}", host) is None:
        host = "*"
    for port in range(int(first), int(last or first) + 1):
        yield f"{family} {host}:{port}"


def _ipv6(text: str) -> str:
    try:
        return str(ipaddress.IPv6Address(text))
    except ValueError:
        return text


def no_longer(running: frozenset[str], configured: frozenset[str]) -> list[str]:
    """Where nginx listens now and would no longer."""
    by_name = {text.rpartition(":")[2] for text in configured if " *:" in text}
    return sorted(
        where
        for where in running
        if where not in configured and where.rpartition(":")[2] not in by_name
    )


def plain_run(path: str) -> str:
    """Name a path as it is named most plainly: /var/run is /run."""
    path = posixpath.normpath(path)
    return path.removeprefix("/var") if path.startswith("/var/run/") else path


@dataclass(frozen=True)
class Build:
    """The configure arguments of a binary (`nginx -V`), quoted ones kept whole."""

    arguments: tuple[str, ...]

    def value(self, name: str) -> str | None:
        """What `--name=` says; None if it is not there."""
        start = f"--{name}="
        found = [word[len(start) :] for word in self.arguments if word.startswith(start)]
        return found[-1] if found else None

    @property
    def prefix(self) -> str:
        return self.value("prefix") or "/usr/local/nginx"

    def path(self, name: str, default: str) -> str:
        """A compiled-in path, made absolute by the prefix."""
        return posixpath.normpath(posixpath.join(self.prefix, self.value(name) or default))

    @property
    def conf_path(self) -> str:
        return self.path("conf-path", "conf/nginx.conf")

    @property
    def pid_path(self) -> str:
        return self.path("pid-path", "logs/nginx.pid")

    @property
    def features(self) -> frozenset[str]:
        """Modules and `--with-…`, compiler options apart; `=dynamic` is kept."""
        return frozenset(
            posixpath.basename(word.rstrip("/")) if word.startswith("--add-") else word
            for word in self.arguments
            if word.startswith(("--with-", "--add-"))
            and not word.startswith(("--with-cc", "--with-ld", "--with-cpu", "--with-debug"))
        )


def parse_build(text: str) -> Build:
    """Read the output of `nginx -V`."""
    line = text.partition("configure arguments:")[2].partition("\n")[0]
    try:
        return Build(tuple(shlex.split(line)))
    except ValueError:
        return Build(tuple(line.split()))
