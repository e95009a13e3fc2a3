"""What is wrong with a fleet file, in words: one line for each problem.

The one place where pydantic's errors become ours.
"""

from __future__ import annotations

import difflib
import re
import types
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from worker.errors import UsageError
from workflows.values import shown
from workflows.yamlfile import Document, KeyPath

MAX_PROBLEMS = 50
MAX_LISTED = 12
_NUMBER = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


@dataclass(frozen=True)
class Problem:
    """Something wrong, and the key where it is."""

    path: KeyPath
    message: str


def nearest(name: str, known: Iterable[str]) -> str:
    """Suggest the nearest known name, or list the known ones: `; did you mean 'web'?`."""
    names = list(known)
    close = difflib.get_close_matches(name, names[:5000], n=1, cutoff=0.6)
    if close:
        return f"; did you mean '{close[0]}'?"
    if not names:
        return "; there is none"
    more = f", … ({len(names)} in all)" if len(names) > MAX_LISTED else ""
    return f"; known: {', '.join(names[:MAX_LISTED])}{more}"


def dotted(path: KeyPath) -> str:
    """Write a key's path: `pools.web.verify[0].http.url`."""
    text = ""
    for key in path:
        if isinstance(key, int):
            text += f"[{key}]"
        elif _BARE_KEY.fullmatch(key):
            text += f".{key}" if text else key
        else:
            text += f"[{shown(key)}]"
    return text


def located(document: Document | None, problem: Problem) -> str:
    """Write a problem with file, line and key."""
    where = dotted(problem.path)
    key = f"{where}: " if where else ""
    if document is None:
        return f"fleet: {key}{problem.message}"
    return f"{document.label}:{document.line(problem.path)}: {key}{problem.message}"


def usage_error(document: Document | None, problems: Iterable[Problem]) -> UsageError:
    """Make one error of all problems: a line each, in the file's order."""
    unique = dict.fromkeys(problems)
    ordered = sorted(unique, key=lambda p: document.line(p.path)) if document else list(unique)
    lines = [located(document, problem) for problem in ordered[:MAX_PROBLEMS]]
    if len(ordered) > MAX_PROBLEMS:
        lines.append(f"… and {len(ordered) - MAX_PROBLEMS} more problems")
    return UsageError("\n".join(lines))


def problems_of(error: ValidationError, model: type[BaseModel], at: KeyPath = ()) -> list[Problem]:
    """Translate pydantic's errors; `at` is where the model stands in the file."""
    return [_problem(details, model, at) for details in error.errors(include_url=False)]


def _problem(details: Any, model: type[BaseModel], at: KeyPath) -> Problem:
    loc: KeyPath = tuple(details["loc"])
    if loc and loc[-1] == "[key]":
        loc = loc[:-1]
    message = _message(details["type"], details, details.get("ctx", {}))
    if details["type"] == "extra_forbidden":
        message += nearest(str(loc[-1]), _keys(_model_at(model, loc[:-1])))
    return Problem(at + loc, message)


def _message(kind: str, details: Any, context: dict[str, Any]) -> str:
    value, said = details["input"], str(details["msg"])
    match kind:
        case "extra_forbidden":
            text = "unknown key"
        case "missing":
            text = "is missing, and must be there"
        case "value_error":
            text = str(context.get("error", said))
        case "literal_error":
            wanted = str(context["expected"])
            close = difflib.get_close_matches(str(value), re.findall(r"'([^']*)'", wanted), n=1)
            hint = f"; did you mean '{close[0]}'?" if close else ""
            text = f"must be {wanted}, not {seen(value)}{hint}"
        case "string_pattern_mismatch":
            text = f"{seen(value)} is not allowed here (it must match {context['pattern']})"
        case "too_short":
            text = f"must hold at least {context['min_length']}, not {context['actual_length']}"
        case "too_long":
            text = f"must hold at most {context['max_length']}, not {context['actual_length']}"
        case _:
            wanted = _WANTED.get(kind) or said.removeprefix(_SHOULD_BE)
            text = f"must be {wanted}, not {seen(value)}"
    return text


_SHOULD_BE = "Input should be "
_WANTED = {
    "model_type": "a mapping (key: value)",
    "dict_type": "a mapping (key: value)",
    "list_type": "a list",
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing_size": "a smaller whole number",
    "float_type": "a duration (500ms, 30s, 5m, 1h)",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
}


def seen(value: object) -> str:
    """Name what stands in the file: a short text itself, else what it is."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return value
    return shown(value)


def _keys(model: type[BaseModel] | None) -> list[str]:
    if model is None:
        return []
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_at(model: type[BaseModel], loc: KeyPath) -> type[BaseModel] | None:
    """Follow a location to the model that stands there."""
    kind: Any = model
    for key in loc:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            field = next(
                (f for n, f in kind.model_fields.items() if key in (n, f.alias)),
                None,
            )
            kind = _bare(field.annotation) if field is not None else None
        else:
            arguments = get_args(kind)
            kind = _bare(arguments[-1]) if arguments else None
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _bare(annotation: Any) -> Any:
    """Strip Annotated and Optional."""
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation = get_args(annotation)[0]
        elif origin in (Union, types.UnionType):
            kinds = [kind for kind in get_args(annotation) if kind is not type(None)]
            annotation = kinds[0]
        else:
            return annotation
