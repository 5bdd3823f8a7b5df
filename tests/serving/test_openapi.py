"""The OpenAPI document: valid, complete, and true of the running server."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from openapi_spec_validator import validate
from schemathesis import GenerationMode
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import positive_data_acceptance
from tests.running import Server

VAGUE = "/infer", "/invocations"  # whose tensors and lists must agree with one another
SAMPLES = 25  # requests an operation, of each kind


@pytest.mark.parametrize("name", ["iris_server", "mixed_server", "two_servers"])
def test_the_document_is_valid(request: pytest.FixtureRequest, name: str) -> None:
    server: Server = request.getfixturevalue(name)
    document = server.client.get("/openapi.json").json()
    validate(document)
    names = [
        operation["operationId"]
        for path in document["paths"].values()
        for operation in path.values()
    ]
    assert len(names) == len(set(names))


def test_every_field_is_described(iris_server: Server) -> None:
    schemas = iris_server.client.get("/openapi.json").json()["components"]["schemas"]
    row = schemas["iris.Row"]
    assert row["additionalProperties"] is False
    assert row["required"] == list(row["properties"])
    width = row["properties"]["sepal_width"]
    assert width["type"] == "number"
    assert (width["minimum"], width["maximum"], width["x-unit"]) == (0.1, 15, "cm")
    assert "Width of the sepal" in width["description"]


@pytest.mark.parametrize("name", ["iris_server", "mixed_server"])
@pytest.mark.parametrize("mode", list(GenerationMode))
def test_the_server_is_as_described(
    request: pytest.FixtureRequest, name: str, mode: GenerationMode
) -> None:
    """No 5xx, every status and body as documented, good requests taken and bad ones refused."""
    server: Server = request.getfixturevalue(name)
    schema: Any = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    failures = []
    for found in schema.get_all_operations():
        operation = found.ok()
        inputs = [*operation.body, *operation.query, *operation.path_parameters]
        if mode is GenerationMode.NEGATIVE and not inputs:
            continue  # nothing could be wrong with it
        try:
            _check(operation, mode, whole=name == "iris_server")
        except FailureGroup as group:
            failures += [f"{operation.label}: {failure}" for failure in group.exceptions]
    assert failures == []


def _check(operation: Any, mode: GenerationMode, *, whole: bool) -> None:
    """`whole` says that every rule of the row is in its schema; the range of a date is not."""

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
        described = case.media_type in (None, "application/json") and not case.path.endswith(VAGUE)
        case.call_and_validate(
            excluded_checks=[] if described and whole else [positive_data_acceptance]
        )

    check()
