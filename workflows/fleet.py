"""The fleet file: read, checked as a whole, and ready to plan from.

    fleet = load_fleet(Path("fleet.yaml"))

Whatever is wrong is one UsageError with a line for each problem: file, line, key, what, and what
may have been meant.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from workflows.deploying import trial
from workflows.model import Fleet
from workflows.problems import Problem, problems_of, usage_error
from workflows.references import reference_problems
from workflows.values import written_duration
from workflows.yamlfile import read_document

__all__ = ["Fleet", "fleet_schema", "load_fleet"]


def load_fleet(path: Path | str) -> Fleet:
    """Read and check a fleet file; nothing is contacted.

    Raises:
        UsageError: it cannot be read, is no YAML, or says something that cannot be meant; one
            line for each problem.
    """
    path = Path(path).expanduser()
    document = read_document(path)
    base = path.absolute().parent
    problems: list[Problem] = []
    fleet: Fleet | None = None
    try:
        fleet = Fleet.model_validate(document.data, context={"base": base})
    except ValidationError as error:
        problems += problems_of(error, Fleet)
    problems += reference_problems(document.data)
    if problems or fleet is None:
        raise usage_error(document, problems)
    fleet.read_from(document, base)
    problems = trial(fleet)
    if problems:
        raise usage_error(document, problems)
    return fleet


def fleet_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a fleet file, for editors."""
    schema = _for_editors(Fleet.model_json_schema(by_alias=True))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Winch fleet file",
        **schema,
    }


def _for_editors(schema: Any) -> Any:
    """Write durations as people do, refuse bad keys, and drop what helps nobody."""
    if isinstance(schema, list):
        return [_for_editors(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _for_editors(item) for key, item in schema.items()}
    if isinstance(found.get("title"), str):
        del found["title"]
    if "patternProperties" in found:
        found.setdefault("additionalProperties", False)
    default = found.get("default")
    if isinstance(default, dict):
        del found["default"]
    if isinstance(default, float) and found.get("type") == "string":
        found["default"] = written_duration(default)
    return found
