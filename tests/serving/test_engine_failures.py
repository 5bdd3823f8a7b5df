"""An engine that fails by itself: 500, and no row is blamed; what it can still answer is answered."""

import json
from typing import Any

import onnx
import pytest
from tests.support.server import Serve, Server

from windlass.core.bundle import EngineRecord
from windlass.core.bundle_writer import seal_bundle

SCHEMA = {
    "row": {"title": "Row", "columns": [{"name": "place", "kind": "number"}]},
    "target": {"name": "price"},
}
GOOD, BROKEN = {"place": 1.0}, {"place": 7.0}


def table_of_three() -> bytes:
    """A model whose table has three places: ONNX Runtime raises for others."""
    model = onnx.parser.parse_model(
        """<ir_version: 10, opset_import: ["" : 21]>
        table (double[N, 1] numeric) => (double[N] value) {
            table = Constant<value = double[3] {10.0, 20.0, 30.0}>()
            flat = Constant<value = int64[1] {-1}>()
            place = Cast<to = 7>(numeric)
            found = Gather(table, place)
            value = Reshape(found, flat)
        }"""
    )
    return bytes(model.SerializeToString())


@pytest.fixture(scope="module")
def server(session_server: Serve, tmp_path_factory: pytest.TempPathFactory) -> Server:
    folder = tmp_path_factory.mktemp("prices") / "bundle"
    folder.mkdir()
    examples = {"rows": [GOOD], "expected": [{"value": 20.0}]}
    files: dict[str, Any] = {"schema.json": SCHEMA, "golden.json": examples, "metrics.json": {}}
    for name, value in files.items():
        (folder / name).write_text(json.dumps(value))
    (folder / "model.onnx").write_bytes(table_of_three())
    (folder / "model.joblib").write_bytes(b"never read")
    seal_bundle(
        folder,
        project="prices",
        created="2026-01-01T00:00:00+00:00",
        data_digest="d" * 64,
        engine=EngineRecord(name="onnx"),
    )
    return session_server(folder)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/predict", BROKEN),
        ("/predict?&", BROKEN),
        ("/predict_batch", [GOOD, BROKEN]),
        ("/v1/models/prices:predict", {"instances": [GOOD, BROKEN]}),
        ("/invocations", {"dataframe_records": [GOOD, BROKEN]}),
        (
            "/v2/models/prices/infer",
            {"inputs": [{"name": "place", "shape": [1], "datatype": "FP64", "data": [7.0]}]},
        ),
    ],
)
def test_a_failed_engine_blames_no_row(server: Server, path: str, body: Any) -> None:
    answer = server.client.post(path, json=body)
    assert answer.status_code == 500, answer.text
    assert "The model failed. The server's log tells why." in answer.text
    assert "errors" not in answer.json()
    assert server.client.post("/predict", json=GOOD).json()["prediction"] == 20.0


def test_a_failed_engine_blames_no_row_of_a_table(server: Server) -> None:
    answer = server.client.post(
        "/predict_batch", content="place\n1\n7\n", headers={"content-type": "text/csv"}
    )
    assert answer.status_code == 500
    assert "errors" not in answer.json()
