"""Control in the OpenAPI document: valid, complete, and true of the running server."""

from typing import Any

import pytest
from openapi_spec_validator import validate
from schemathesis import GenerationMode
from tests.support.control import Control, SharedServer
from tests.support.openapi_conformance import conformance_failures
from tests.support.server import Server

from windlass.registry.registry import Registry


def test_the_document_is_valid(read_only: SharedServer) -> None:
    document = read_only.server.client.get("/openapi.json").json()
    validate(document)
    assert {"/train", "/iris/train", "/jobs/{job}/events", "/rollback"} <= set(document["paths"])
    assert set(document["paths"]["/jobs/{job}"]) == {"get", "delete"}


def test_every_hyperparameter_is_described(read_only: SharedServer) -> None:
    schemas = read_only.server.client.get("/openapi.json").json()["components"]["schemas"]
    logreg, forest = schemas["iris.Training"]["oneOf"]
    assert logreg["additionalProperties"] is False
    assert (logreg["required"], forest["required"]) == ([], ["model"])
    assert forest["properties"]["model"]["const"] == "rf"
    trees = forest["properties"]["n_estimators"]
    assert (trees["minimum"], trees["maximum"], trees["default"]) == (1, 2000, 100)
    assert trees["description"] == "Number of trees"
    assert logreg["properties"]["seed"]["default"] == 42


def test_the_document_follows_the_declaration(server: Server, registry: Registry) -> None:
    def models() -> list[str]:
        schemas = server.client.get("/openapi.json").json()["components"]["schemas"]
        return [branch["title"] for branch in schemas["iris.Training"]["oneOf"]]

    assert models() == ["logreg", "rf"]
    declaration = registry.declaration("iris")
    registry.declare(declaration.model_copy(update={"models": declaration.models[1:]}))
    assert models() == ["rf"]
    assert server.client.post("/train", json={"C": 1.0}).status_code == 422


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_the_server_is_as_described(
    control: Control, registry: Registry, mode: GenerationMode
) -> None:
    """No 5xx, every status and body as documented, good requests taken and bad ones refused."""
    server = control("iris")

    def call(case: Any) -> None:
        if case.operation.path.endswith("/train"):
            case.headers["Prefer"] = "respond-async"  # nobody carries them out
            if mode is GenerationMode.POSITIVE:
                case.headers.pop("Idempotency-Key", None)  # that of another body is refused
        case.call_and_validate()

    assert (
        conformance_failures(server, mode, call, only="^/iris/") == []
    )  # at the root the same handlers answer
    server.stop()
    assert not [line for line in server.lines() if line["level"] == "error"]
