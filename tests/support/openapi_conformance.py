"""Checks a server against its own OpenAPI document."""

from collections.abc import Callable
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.core.failures import FailureGroup
from tests.support.budget import IS_CI
from tests.support.server import Server

SAMPLES = 25 if IS_CI else 4  # requests an operation, of each kind


def conformance_failures(
    server: Server, mode: GenerationMode, call: Callable[[Any], None], only: str = ""
) -> list[str]:
    """Returns where an operation is not as described. `call` sends one generated case and validates its answer.

    With `only`, a regular expression, those operations whose paths it is found in.
    """
    schema: Any = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    if only:
        schema = schema.include(path_regex=only)
    failures = []
    for result in schema.get_all_operations():
        operation = result.ok()
        inputs = [*operation.body, *operation.query, *operation.path_parameters]
        if mode is GenerationMode.NEGATIVE and not inputs:
            continue  # nothing could be wrong with it
        try:
            _check(operation, mode, call)
        except FailureGroup as group:
            failures += [f"{operation.label}: {failure}" for failure in group.exceptions]
    return failures


def _check(operation: Any, mode: GenerationMode, call: Callable[[Any], None]) -> None:
    @settings(
        max_examples=SAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def check(case: Any) -> None:
        call(case)

    check()
