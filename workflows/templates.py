"""Put values into the texts of a fleet file: `{version}`, `{address}`, `{name}`.

Nothing but a word in braces is a variable: no attributes, no format specifications. `{{word}}`
stands for `{word}`, and `${word}` is the shell's own and stays as it is. A value that goes into
shell text may hold no character that means something to a shell.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from workflows.problems import Problem, nearest
from workflows.values import has_control, is_ipv6, shown
from workflows.yamlfile import KeyPath

_TOKEN = re.compile(
    r"\{\{(?P<literal>[A-Za-z_][A-Za-z0-9_]*)\}\}|(?<!\$)\{(?P<word>[A-Za-z_][A-Za-z0-9_]*)\}",
    re.ASCII,
)
# A leading "-" would be an option, a leading "~" somebody's home.
_SHELL_SAFE = re.compile(r"(?:[A-Za-z0-9._:/@+,=%][A-Za-z0-9._:/@+,=%~-]*)?", re.ASCII)
_SHELL_KEYS = frozenset({"run", "undo", "facts"})


class TemplateError(Exception):
    """A text cannot be expanded; `path` is added on the way up."""

    def __init__(self, message: str, path: KeyPath = ()) -> None:
        super().__init__(message, path)
        self.problem = Problem(path, message)


def variables(text: str) -> set[str]:
    """Return the variables that a text uses."""
    return {match["word"] for match in _TOKEN.finditer(text) if match["word"] is not None}


def variables_in(tree: Any) -> set[str]:
    """Return the variables used anywhere in plain data."""
    if isinstance(tree, str):
        return variables(tree)
    if isinstance(tree, dict):
        return set().union(*(variables_in(item) for item in tree.values()))
    if isinstance(tree, list):
        return set().union(*(variables_in(item) for item in tree))
    return set()


def expand(text: str, values: Mapping[str, str], *, shell: bool = False, url: bool = False) -> str:
    """Expand a text's variables.

    `shell`: the text is run by a shell. `url`: an IPv6 {address} gets its brackets.

    Raises:
        TemplateError: a variable has no value, or its value is not allowed there.
    """

    def value_of(match: re.Match[str]) -> str:
        if match["literal"] is not None:
            return "{" + match["literal"] + "}"
        name = match["word"]
        if name not in values:
            raise TemplateError(
                f"{{{name}}} has no value: give one by --set {name}=…, or under vars"
                f"{_meant(name, values)}"
            )
        value = values[name]
        if has_control(value):
            raise TemplateError(
                f"the value of {{{name}}} holds a control character or a line break: {shown(value)}"
            )
        if shell and _SHELL_SAFE.fullmatch(value) is None:
            raise TemplateError(
                f"the value of {{{name}}} goes to a shell and may hold only letters, digits and "
                f"._:/@+,=%~- (no leading - or ~), not {shown(value)}"
            )
        return f"[{value}]" if url and name == "address" and is_ipv6(value) else value

    return _TOKEN.sub(value_of, text)


def expand_tree(tree: Any, values: Mapping[str, str], path: KeyPath = ()) -> Any:
    """Expand every text in plain data; keys of mappings stay.

    Raises:
        TemplateError: as `expand`; its problem's path is where the text stands.
    """
    if isinstance(tree, str):
        key = next((part for part in reversed(path) if isinstance(part, str)), "")
        try:
            return expand(tree, values, shell=key in _SHELL_KEYS, url=key == "url")
        except TemplateError as error:
            raise TemplateError(error.problem.message, path) from None
    if isinstance(tree, dict):
        return {key: expand_tree(item, values, (*path, key)) for key, item in tree.items()}
    if isinstance(tree, list):
        return [expand_tree(item, values, (*path, index)) for index, item in enumerate(tree)]
    return tree


def _meant(name: str, values: Mapping[str, str]) -> str:
    hint = nearest(name, values)
    return hint if "did you mean" in hint else ""
