"""The arguments that an nginx was configured with, as `nginx -V` prints them. Pure.

configure (auto/options) prints an argument as it was given, and puts single quotes around the
whole value when there is a space in it. It escapes nothing, so this is no shell text: a backslash
or a quotation mark inside is the value's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_VERSION = re.compile(r"^nginx version: (?P<product>[^\s/]+)/(?P<version>\S+)", re.MULTILINE)
_ARGUMENTS = re.compile(r"^configure arguments:(?P<text>.*)$", re.MULTILINE)
# A quoted value goes up to the quotation mark behind which the next argument begins, or the end.
_ARGUMENT = re.compile(
    r"(?P<name>--[^\s=]+)(?:=(?:'(?P<quoted>.*?)'(?=\s+--|\s*$)|(?P<plain>\S*)))?"
)


@dataclass(frozen=True)
class Built:
    """What an nginx says about itself."""

    version: str
    arguments: tuple[str, ...]


def parse_version_output(text: str) -> Built | None:
    """Parse the output of `nginx -V`; None when it is not one."""
    version = _VERSION.search(text)
    arguments = _ARGUMENTS.search(text)
    if version is None:
        return None
    words = split_arguments(arguments["text"]) if arguments is not None else []
    return Built(version["version"], tuple(words))


def split_arguments(text: str) -> list[str]:
    """Split a line of configure arguments into words; a quoted value stays whole, unquoted.

    Raises:
        ValueError: something stands there that is no argument.
    """
    found: list[str] = []
    at = 0
    text = text.rstrip()
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        match = _ARGUMENT.match(text, at)
        if match is None:
            raise ValueError(f"no configure argument at {text[at : at + 40]!r}")
        value = match["quoted"] if match["quoted"] is not None else match["plain"]
        found.append(match["name"] if value is None else f"{match['name']}={value}")
        at = match.end()
    return found


def name_of(argument: str) -> str:
    """Return an argument's name: `--with-cc-opt`."""
    return argument.partition("=")[0]


def value_of(arguments: Iterable[str], name: str) -> str | None:
    """Return the value of the last argument of that name, None if there is none."""
    return next((a.partition("=")[2] for a in reversed([*arguments]) if name_of(a) == name), None)


def without(arguments: Iterable[str], dropped: Iterable[str]) -> list[str]:
    """Leave out arguments that are named exactly, or by their name only."""
    gone = set(dropped)
    return [one for one in arguments if one not in gone and name_of(one) not in gone]


def not_there(arguments: Iterable[str], dropped: Iterable[str]) -> list[str]:
    """Return what should be dropped and is not among the arguments: a slip."""
    have = {part for one in arguments for part in (one, name_of(one))}
    return [one for one in dropped if one not in have]


_DIRECTORIES = re.compile(
    r"--(?P<name>add-module|add-dynamic-module|with-openssl|with-pcre|with-zlib|with-libatomic)"
    r"=(?P<directory>.+)"
)


def needed_paths(arguments: Iterable[str]) -> list[tuple[str, str]]:
    """Return arguments that name a source directory, and the path that must exist for each.

    They come from the machine that built the running binary, and rarely exist on another.
    """
    found = []
    for argument in arguments:
        match = _DIRECTORIES.fullmatch(argument)
        if match is not None and match["directory"] != "dynamic":
            inside = "/config" if match["name"].startswith("add-") else ""
            found.append((argument, match["directory"].rstrip("/") + inside))
    return found


_INVALID = re.compile(r"error: invalid option \"(?P<option>.*)\"")
_NO_CONFIG = re.compile(r"error: no (?P<directory>\S+)/config was found")


def rejected(output: str, arguments: Sequence[str]) -> list[str]:
    """Return the arguments that a failed configure complains about, as they were given."""
    invalid = _INVALID.search(output)
    if invalid is not None:
        said = invalid["option"]
        # echo has taken runs of spaces together before it was printed.
        return [a for a in arguments if a == said or " ".join(a.split()) == said][:1] or [said]
    missing = _NO_CONFIG.search(output)
    if missing is not None:
        ends = tuple(f"module={missing['directory']}{slash}" for slash in ("", "/"))
        return [a for a in arguments if a.endswith(ends)]
    return []


def progress_of(line: str) -> str | None:
    """Return the source file that a line of make's output is about to compile, if any."""
    match = re.search(r"(?:^|\s)-o\s+objs/(\S+)\.o\b", line)
    return None if match is None else f"{match[1]}.c"


def compiler_errors(output: str, most: int = 4) -> list[str]:
    """Return the lines that say why a compilation failed: errors first, else the last lines."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [
        line
        for line in lines
        if re.search(r"\b(fatal )?error:|undefined reference|cannot find -l|No space left", line)
    ]
    return (errors or lines)[:most] if errors else lines[-most:]
