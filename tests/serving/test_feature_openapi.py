"""The OpenAPI document of features and predictions by id: valid, complete, and true of the running server."""

from typing import Any

import pytest
from openapi_spec_validator import validate
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance
from tests.support.loan_view import FEATURES
from tests.support.online_clients import MISSING, PLAIN, PROJECT
from tests.support.openapi_conformance import conformance_failures
from tests.support.server import Serve, Server
from tests.support.trained_bundles import BundleOf

MINE = r"^/(features|predict/|predict_by_id|get-online-features)"
KEY = "Zq3vJx9LmT7wRb2NcY5hKd8PfG4sAe6U"


def test_the_document_is_valid(clients_server: Server) -> None:
    document = clients_server.client.get("/openapi.json").json()
    validate(document)
    for prefix in ("", "/clients"):
        assert {"get"} == document["paths"][f"{prefix}/features/{{id}}"].keys()
        for path in ("features", "predict/{id}", "predict_by_id", "get-online-features"):
            assert "post" in document["paths"][f"{prefix}/{path}"]
    entity, at = document["paths"]["/features/{id}"]["get"]["parameters"]
    assert entity["schema"] == {"$ref": "#/components/schemas/clients.EntityId"}
    assert document["components"]["schemas"]["clients.EntityId"]["type"] == "integer"
    assert (at["name"], at["schema"]["enum"]) == ("at", ["latest", "next"])
    features = document["components"]["schemas"]["clients.Features"]["properties"]["features"]
    assert list(features["properties"]) == list(FEATURES)
    assert "view `clients`" in document["info"]["description"]


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_the_server_is_as_described(clients_server: Server, mode: GenerationMode) -> None:
    """No 5xx, every status and body as documented, good requests taken and bad ones refused."""

    def call(case: Any) -> None:
        if mode is GenerationMode.POSITIVE and case.path_parameters:
            case.path_parameters["id"] = PLAIN  # any other is unknown
        if mode is GenerationMode.POSITIVE:
            case.query.pop("version", None)
        # to JSON Schema 3.0 is an integer; in rows and ids of ours it is none
        strict = "." in str(case.body)
        case.call_and_validate(excluded_checks=[positive_data_acceptance] if strict else [])

    assert conformance_failures(clients_server, mode, call, only=MINE) == []


def test_answers_are_as_described(clients_server: Server) -> None:
    """Those with somebody unknown, and with somebody known."""
    import schemathesis

    schema: Any = schemathesis.openapi.from_url(f"{clients_server.url}/openapi.json")
    for path, body in (
        ("/features", [PLAIN, 1, MISSING]),
        ("/predict_by_id", {"ids": [PLAIN, 1, MISSING]}),
        ("/get-online-features", {"features": ["clients:age"], "entities": {"id": [PLAIN, 1]}}),
    ):
        case = schema[path]["POST"].Case(body=body, media_type="application/json")
        case.call_and_validate()


def test_they_take_a_key_that_may_predict(
    serve: Serve, clients_server: Server, bundle_of: BundleOf
) -> None:
    keyed = serve(
        PROJECT,
        home=clients_server.home,
        options=["--no-worker"],
        WINDLASS_AUTH="required",
        WINDLASS_API_KEYS=f"shop:predict:{KEY}",
    )
    for method, path, body in (
        ("GET", f"/features/{PLAIN}", None),
        ("POST", "/features", [PLAIN]),
        ("POST", f"/predict/{PLAIN}", None),
        ("POST", "/predict_by_id", [PLAIN]),
        (
            "POST",
            "/get-online-features",
            {"features": ["clients:age"], "entities": {"id": [PLAIN]}},
        ),
    ):
        assert keyed.client.request(method, path, json=body).status_code == 401
        answer = keyed.client.request(method, path, json=body, headers={"X-API-Key": KEY})
        assert answer.status_code == 200
    document = keyed.client.get("/openapi.json").json()
    assert document["paths"]["/features/{id}"]["get"]["security"]
