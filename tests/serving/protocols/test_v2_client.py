"""NVIDIA's own client of the Open Inference Protocol: `pip install tritonclient[http]`. Needed in CI only."""

import importlib
import importlib.util
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from tests.support.server import FLOWER, OTHER_FLOWER, Server

there = importlib.util.find_spec("tritonclient") is not None
pytestmark = pytest.mark.skipif(
    not there and os.environ.get("CI") != "true", reason="tritonclient is not installed"
)
FLOWERS = np.array([list(FLOWER.values()), list(OTHER_FLOWER.values())])


@pytest.fixture
def triton() -> Any:
    return importlib.import_module("tritonclient.http")


@pytest.fixture
def client(triton: Any, iris_server: Server) -> Iterator[Any]:
    client = triton.InferenceServerClient(f"127.0.0.1:{iris_server.port}")
    yield client
    client.close()


def test_health_and_metadata(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("iris")
    assert not client.is_model_ready("rose")
    assert client.get_server_metadata()["name"] == "windlass"
    assert [tensor["name"] for tensor in client.get_model_metadata("iris")["inputs"]] == list(
        FLOWER
    )


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("datatype", ["FP32", "FP64"])
def test_a_matrix(triton: Any, client: Any, binary: bool, datatype: str) -> None:
    tensor = triton.InferInput("flowers", [2, 4], datatype)
    values = FLOWERS.astype({"FP32": np.float32, "FP64": np.float64}[datatype])
    tensor.set_data_from_numpy(values, binary_data=binary)
    for wanted in (None, [triton.InferRequestedOutput("prediction", binary_data=binary)]):
        result = client.infer("iris", [tensor], outputs=wanted, request_id="7")
        assert result.get_response()["id"] == "7"
        labels = [_text(label) for label in result.as_numpy("prediction")]
        assert labels == ["setosa", "virginica"]
        shares = result.as_numpy("probabilities")
        if wanted is None:
            assert np.allclose(shares.sum(axis=1), 1)
        else:
            assert shares is None


def test_a_tensor_a_column(triton: Any, client: Any) -> None:
    tensors = []
    for index, name in enumerate(FLOWER):
        tensor = triton.InferInput(name, [2, 1], "FP64")
        tensor.set_data_from_numpy(FLOWERS[:, [index]])
        tensors.append(tensor)
    labels = client.infer("iris", tensors).as_numpy("prediction")
    assert [_text(label) for label in labels] == ["setosa", "virginica"]
    with pytest.raises(Exception, match="Field required"):
        client.infer("iris", tensors[:3])


def _text(label: bytes | str) -> str:
    return label.decode() if isinstance(label, bytes) else label
