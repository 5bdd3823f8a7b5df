"""The OpenAPI document: valid, complete, and true of the running server."""

from typing import Any

import pytest
from openapi_spec_validator import validate
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance
from tests.support.openapi_conformance import conformance_failures
from tests.support.server import Server

VAGUE = "/infer", "/invocations", ":predict"  # whose tensors and lists must agree with one another


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
    # every rule of its row is in the schema; the range of a date is not
    whole = name == "iris_server"
    # a project's routes at the root are the same handlers as those under its name
    root = r"^/(?!iris/|mixed/)" if mode is GenerationMode.NEGATIVE or whole else r"^/mixed/"

    def call(case: Any) -> None:
        described = case.media_type in (None, "application/json") and not case.path.endswith(VAGUE)
        case.call_and_validate(
            excluded_checks=[] if described and whole else [positive_data_acceptance]
        )

    assert conformance_failures(request.getfixturevalue(name), mode, call, only=root) == []
