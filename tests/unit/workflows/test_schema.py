from __future__ import annotations

import jsonschema
import pytest
import yaml

from tests.unit.workflows.fleets import EXAMPLE, SMALL
from workflows.fleet import fleet_schema

SCHEMA = fleet_schema()


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize("text", [EXAMPLE.read_text(), SMALL])
def test_a_good_file_passes_the_schema(text: str) -> None:
    jsonschema.Draft202012Validator(SCHEMA).validate(yaml.safe_load(text))


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("drain:", "drian:"),
        ("timeout: 5m", "timeout: 5"),
        ("timeout: 5m", "timeout: 5 minutes"),
        ("max_unavailable: 1", "max_unavailable: 120%"),
        ("on_failure: rollback", "on_failure: explode"),
        ("router_id: 50", "router_id: 256"),
        ("web1: {address: 192.168.126.133}", "'we;b': {address: 192.168.126.133}"),
    ],
)
def test_a_bad_file_fails_the_schema(good: str, bad: str) -> None:
    text = EXAMPLE.read_text()
    assert good in text
    found = list(
        jsonschema.Draft202012Validator(SCHEMA).iter_errors(yaml.safe_load(text.replace(good, bad)))
    )
    assert found


def test_durations_and_keys_are_described_for_editors() -> None:
    drain = SCHEMA["$defs"]["Drain"]["properties"]["timeout"]
    assert drain["type"] == "string"
    assert drain["default"] == "5m"
    assert drain["description"] == "How long its sessions may take to end."
    for name, definition in SCHEMA["$defs"].items():
        assert definition["description"], name
        for key, value in definition["properties"].items():
            assert value.get("description") or "$ref" in value, f"{name}.{key}"
