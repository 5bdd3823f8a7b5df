"""V1 of KServe and TensorFlow Serving, and Vertex AI's container contract."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.support.child_process import WINDLASS
from tests.support.server import FLOWER, LOAN, OTHER_FLOWER, Serve, Server, free_port
from tests.support.trained_bundles import BundleOf

PREDICT = "/v1/models/iris:predict"
BOTH = [FLOWER, OTHER_FLOWER]


def test_models(iris_server: Server, two_servers: Server) -> None:
    assert iris_server.client.get("/v1/models").json() == {"models": ["iris"]}
    assert iris_server.client.get("/v1/models/iris").json() == {"name": "iris", "ready": True}
    assert iris_server.client.get("/v1/models/rose").status_code == 404
    assert two_servers.client.get("/v1/models").json() == {"models": ["diabetes", "native"]}


@pytest.mark.parametrize(
    "body",
    [
        {"instances": BOTH}, {"instances": [list(row.values()) for row in BOTH]},
        {"instances": [FLOWER, list(OTHER_FLOWER.values())]}, {"instances": BOTH, "parameters": {"a": 1}},
        {"instances": BOTH, "signature_name": "serving_default"},
    ],
)  # fmt: skip
def test_predict(iris_server: Server, body: dict[str, Any]) -> None:
    answer = iris_server.client.post(PREDICT, json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"predictions": ["setosa", "virginica"]}


def test_other_kinds(mixed_server: Server) -> None:
    expected = mixed_server.client.post("/predict", json=LOAN).json()["prediction"]
    for row in (LOAN, list(LOAN.values())):
        answer = mixed_server.client.post(
            "/v1/models/mixed:predict", json={"instances": [row, LOAN]}
        )
        assert answer.json() == {"predictions": [expected, expected]}


@pytest.mark.parametrize(
    ("body", "loc"),
    [
        ({}, ["instances"]), ({"instances": None}, ["instances"]), ({"instances": {}}, ["instances"]),
        ({"instances": []}, []), ({"instances": [5]}, [0]), ({"instances": [[1, 2]]}, ["instances", 0]),
        ({"instances": [FLOWER, {}]}, [1, "sepal_length"]), ([], []), ("hunter2", []),
        ({"instances": [FLOWER | {"petal_width": "hunter2"}]}, [0, "petal_width"]),
    ],
    ids=str,
)  # fmt: skip
def test_refused(iris_server: Server, body: Any, loc: list[Any]) -> None:
    answer = iris_server.client.post(PREDICT, json=body)
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"][0]["loc"] == loc
    assert "hunter2" not in answer.text


def test_unknown_model(iris_server: Server) -> None:
    answer = iris_server.client.post("/v1/models/rose:predict", json={"instances": BOTH})
    assert answer.status_code == 404


@pytest.mark.parametrize(
    ("health", "route"),
    [
        ("/vertex/health", "/vertex/predict"),
        ("/health", "/predict"),
        ("/ping", "/v1/endpoints/7/deployedModels/9:predict"),
    ],
)
def test_vertex(serve: Serve, iris: Path, health: str, route: str) -> None:
    """Vertex AI's routes replace ours of the same path."""
    server = serve(iris, AIP_HEALTH_ROUTE=health, AIP_PREDICT_ROUTE=route, AIP_HTTP_PORT="1")
    assert server.client.get(health).status_code == 200
    answer = server.client.post(route, json={"instances": BOTH, "parameters": {}})
    assert answer.json() == {"predictions": ["setosa", "virginica"]}
    assert server.client.post("/iris/predict", json=FLOWER).json()["prediction"] == "setosa"
    openapi = server.client.get("/openapi.json").json()["paths"]
    (kind,) = openapi[route]["post"]["requestBody"]["content"].values()
    assert kind["schema"]["required"] == ["instances"]


def test_vertex_names_port_and_address(serve: Serve, iris: Path, bundle_of: BundleOf) -> None:
    port = free_port()
    variables = {"AIP_HTTP_PORT": str(port), "AIP_PREDICT_ROUTE": "/p", "AIP_HEALTH_ROUTE": "/h"}
    home = iris.parent / "vertex-home"
    server = Server([WINDLASS, "serve", iris], port, home, variables)
    try:
        server.wait("/h")
        sockets = Path(f"/proc/{server.process.pid}/net/tcp").read_text()
        assert f"00000000:{port:04X}" in sockets  # 0.0.0.0
        assert json.loads(server.client.post("/p", json={"instances": BOTH}).text)["predictions"]
    finally:
        assert server.stop() == 0
