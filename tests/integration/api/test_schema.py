"""The API keeps to its OpenAPI, whatever is sent. WINCH_SCHEMA_CASES says how many cases (5000)."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.parameters import ParameterLocation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from chatops.api.app import PREFIX
from chatops.tokens import create_token
from tests.kit.api import app_of
from tests.kit.plans import Work
from tests.kit.stack import Stack
from worker import settings as of_process

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
]
# A run that goes on has a stream that goes on: its route has tests of its own.
_WITHOUT = "/events"
_OPERATIONS = 21
_CASES = int(os.environ.get("WINCH_SCHEMA_CASES", "420"))


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Any, str]]:
    """An app with some runs, and an admin's token."""
    directory = Path(tempfile.mkdtemp(prefix="winch-"))
    stack = Stack(directory)
    with pytest.MonkeyPatch.context() as patch:
        try:
            stack.start()
            patch.setenv("WINCH_REDIS_URL", stack.redis.url)
            of_process.settings.cache_clear()
            (directory / "work").mkdir()
            for name in ("web1", "web2", "web3"):
                stack.run(Work(directory / "work").plan([name]))
            app = app_of(stack, rate_limit=1e6)
            yield app, create_token(stack.store, "fuzz", "admin", (), by="test")
        finally:
            stack.stop()
            of_process.settings.cache_clear()
            shutil.rmtree(directory)


@pytest.fixture(scope="module")
def paths(served: tuple[Any, str]) -> Any:
    app, _ = served
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    return schema.exclude(path_regex=_WITHOUT)


def test_nothing_that_can_be_sent_breaks_the_server_or_its_schema(
    served: tuple[Any, str], paths: Any
) -> None:
    _, token = served
    operations = [result.ok() for result in paths.get_all_operations()]
    assert len(operations) == _OPERATIONS
    for operation in operations:
        both = st.one_of(
            operation.as_strategy(generation_mode=mode)
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
        )

        @settings(
            max_examples=-(-_CASES // (_OPERATIONS - 1)),  # /healthz takes nothing: one case
            deadline=None,
            database=None,
            phases=[Phase.explicit, Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=both)
        def sends(case: Any) -> None:
            number = (case.path_parameters or {}).get("run_id")
            if isinstance(number, int) and number > 0:
                case.path_parameters["run_id"] = number % 4 + 1  # runs that are there, and one more
            headers = {"Authorization": f"Bearer {token}"}
            # A parameter that nobody knows is passed over, as everywhere; a body is looked at.
            body = None if case.meta is None else case.meta.components.get(ParameterLocation.BODY)
            bad = body is not None and body.mode is GenerationMode.NEGATIVE
            checks = [*CHECKS, negative_data_rejection] if bad else CHECKS
            case.call_and_validate(headers=headers, checks=checks)

        sends()


def test_the_document_says_what_is_served(served: tuple[Any, str]) -> None:
    app, _ = served
    document = app.openapi()
    assert document["openapi"].startswith("3.1")
    assert f"{PREFIX}/runs/{{run_id}}/events" in document["paths"]
