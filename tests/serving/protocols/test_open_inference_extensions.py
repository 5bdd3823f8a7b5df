"""What Open Inference Protocol V2 leaves to extensions: Triton's index, classification, errors, order of members."""

import json
from typing import Any

import httpx
import pytest
from tests.support.open_inference import INFER, error, expected, matrix, version
from tests.support.server import Server

__all__ = ["expected", "version"]  # fixtures


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v2/nothing"), ("POST", "/v2/models/iris/nothing"), ("GET", "/v2/a/b/c/d/e"),
        ("POST", "/v2/repository/models/iris/load"), ("GET", "/v2/models/iris/config"),
        ("GET", "/v2/models/iris/stats"), ("GET", "/v2/models/stats"), ("GET", "/v2/models/none/config"),
        ("GET", "/v2/models/none/versions/v1/stats"), ("GET", "/v2/systemsharedmemory/status"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_refused_in_the_form_of_the_protocol(
    iris_server: Server, method: str, path: str
) -> None:
    assert error(iris_server.client.request(method, path), 404)


def test_a_wrong_method_is_refused_in_the_form_of_the_protocol(iris_server: Server) -> None:
    answer = iris_server.client.delete("/v2/models/iris")
    assert error(answer, 405)
    assert answer.headers["allow"] == "GET, HEAD"


def test_the_index_names_every_version(iris_server: Server, version: str) -> None:
    ready = {"name": "iris", "version": version, "state": "READY", "reason": ""}
    for body in (b"", b"{}", b'{"ready": true}', b"[]"):
        answer = iris_server.client.post("/v2/repository/index", content=body)
        assert answer.json() == [ready]
    assert error(iris_server.client.post("/v2/repository/index", content=b"{"))


def top_classes(server: Server, count: Any, name: str = "probabilities") -> httpx.Response:
    output = {"name": name, "parameters": {"classification": count}}
    return server.client.post(INFER, json={"inputs": [matrix()], "outputs": [output]})


@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_class_count_asks_for_the_most_likely_classes(
    iris_server: Server, expected: dict[str, Any], count: int
) -> None:
    (output,) = top_classes(iris_server, count).json()["outputs"]
    width = min(count, 3)
    assert (output["datatype"], output["shape"]) == ("BYTES", [2, width])
    for index, shares in enumerate(expected["class_probabilities"]):
        best = sorted(shares, key=lambda label: -shares[label])[:width]
        labels = list(shares)
        answered = output["data"][index * width : (index + 1) * width]
        assert answered == [f"{shares[label]:f}:{labels.index(label)}:{label}" for label in best]


def test_no_class_count_is_all_probabilities(iris_server: Server) -> None:
    (output,) = top_classes(iris_server, 0).json()["outputs"]
    assert (output["datatype"], output["shape"]) == ("FP64", [2, 3])


@pytest.mark.parametrize("count", [-1, 1.5, "2", True, None])
def test_a_class_count_that_is_none(iris_server: Server, count: Any) -> None:
    assert "classification" in error(top_classes(iris_server, count))


def test_a_class_count_is_of_probabilities(iris_server: Server) -> None:
    assert "probabilities" in error(top_classes(iris_server, 2, "prediction"))


def test_names_of_strangers_are_not_sent_back(iris_server: Server) -> None:
    secret = "hunter2-4111"
    tensor = {"name": secret, "shape": [1], "datatype": "FP64", "data": [1]}
    for inputs in ([matrix(), tensor], [tensor]):
        assert secret not in error(iris_server.client.post(INFER, json={"inputs": inputs}))


def test_data_may_come_before_its_shape(iris_server: Server, expected: dict[str, Any]) -> None:
    tensor = matrix()
    body = json.dumps({"inputs": [{"data": tensor.pop("data"), **tensor}], "id": "x"}).encode()
    answer = iris_server.client.post(INFER, content=body).json()
    assert answer["outputs"][0]["data"] == expected["predictions"]
