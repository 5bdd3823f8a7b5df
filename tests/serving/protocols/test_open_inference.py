"""The Open Inference Protocol V2 and its binary extension, over plain HTTP."""

import json
import math
import struct
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.open_inference import BOTH, INFER, error, expected, matrix, version
from tests.support.server import FLOWER, LOAN, OTHER_FLOWER, Serve, Server
from tests.support.trained_bundles import BundleOf

import windlass
from windlass.core.bundle import Bundle

__all__ = ["expected", "version"]  # fixtures

MATRIX = {"name": "flowers", "shape": [2, 4], "datatype": "FP64"}


def columns(rows: list[dict[str, Any]], datatype: str = "FP64") -> list[dict[str, Any]]:
    """A tensor a column."""
    return [
        {
            "name": name,
            "shape": [len(rows), 1],
            "datatype": datatype,
            "data": [row[name] for row in rows],
        }
        for name in rows[0]
    ]


@pytest.mark.parametrize("slash", ["", "/"])
def test_server(iris_server: Server, slash: str) -> None:
    body = iris_server.client.get(f"/v2{slash}").json()
    assert body == {
        "name": "windlass", "version": windlass.__version__, "extensions": ["binary_tensor_data", "classification"],
    }  # fmt: skip


@pytest.mark.parametrize("slash", ["", "/"])
def test_health(iris_server: Server, slash: str) -> None:
    for what in ("live", "ready"):
        answer = iris_server.client.get(f"/v2/health/{what}{slash}")
        assert answer.status_code == 200
        assert answer.json() == {what: True}


def test_model_ready(iris_server: Server, version: str) -> None:
    for path in ("/v2/models/iris/ready", f"/v2/models/iris/versions/{version}/ready"):
        assert iris_server.client.get(path).json() == {"name": "iris", "ready": True, "live": True}


def test_metadata(iris_server: Server, version: str) -> None:
    for path in ("/v2/models/iris", f"/v2/models/iris/versions/{version}"):
        assert iris_server.client.get(path).json() == {
            "name": "iris",
            "versions": [version],
            "platform": "onnx_onnxruntime",
            "inputs": [{"name": name, "datatype": "FP64", "shape": [-1, 1]} for name in FLOWER],
            "outputs": [
                {"name": "prediction", "datatype": "BYTES", "shape": [-1]},
                {"name": "probabilities", "datatype": "FP64", "shape": [-1, 3]},
            ],
        }


def test_metadata_of_other_kinds(mixed_server: Server, two_servers: Server) -> None:
    mixed = mixed_server.client.get("/v2/models/mixed").json()
    assert [tensor["datatype"] for tensor in mixed["inputs"]] == [
        "FP64", "INT64", "INT64", "BOOL", "BYTES", "BYTES", "BYTES", "BYTES",
    ]  # fmt: skip
    assert mixed["outputs"][0]["datatype"] == "BOOL"
    regression = two_servers.client.get("/v2/models/diabetes").json()
    assert regression["outputs"] == [{"name": "prediction", "datatype": "FP64", "shape": [-1]}]
    native = two_servers.client.get("/v2/models/native").json()
    assert native["platform"] == "sklearn"
    assert native["outputs"][0]["datatype"] == "INT64"


@pytest.mark.parametrize(
    "inputs",
    [
        columns(BOTH), columns(BOTH, "FP32"), columns(BOTH, "FP16"), [matrix()], [matrix(nested=True)],
        [columns(BOTH)[0] | {"data": [[5.1], [6.7]]}, *columns(BOTH)[1:]],
        [column | {"shape": [2]} for column in columns(BOTH)], list(reversed(columns(BOTH))),
    ],
)  # fmt: skip
def test_infer(
    iris_server: Server, version: str, expected: dict[str, Any], inputs: list[dict[str, Any]]
) -> None:
    for path in (INFER, f"{INFER}/", f"/v2/models/iris/versions/{version}/infer"):
        answer = iris_server.client.post(path, json={"id": "call-7", "inputs": inputs})
        assert answer.status_code == 200, answer.text
        shares = [share for row in expected["class_probabilities"] for share in row.values()]
        assert answer.json() == {
            "model_name": "iris",
            "model_version": version,
            "id": "call-7",
            "outputs": [
                {
                    "name": "prediction",
                    "shape": [2],
                    "datatype": "BYTES",
                    "data": expected["predictions"],
                },
                {"name": "probabilities", "shape": [2, 3], "datatype": "FP64", "data": shares},
            ],
        }


def test_an_id_is_made_where_none_came(iris_server: Server) -> None:
    request_id = iris_server.client.post(INFER, json={"inputs": [matrix()]}).json()["id"]
    assert isinstance(request_id, str)
    assert request_id


def test_only_the_requested_outputs_are_returned(iris_server: Server) -> None:
    for wanted in (["prediction"], ["probabilities"], ["probabilities", "prediction"]):
        request = {"inputs": [matrix()], "outputs": [{"name": name} for name in wanted]}
        outputs = iris_server.client.post(INFER, json=request).json()["outputs"]
        assert sorted(output["name"] for output in outputs) == sorted(wanted)
    request = {"inputs": [matrix()], "outputs": [{"name": "logits"}]}
    assert "prediction, probabilities" in error(iris_server.client.post(INFER, json=request))


def test_unknown_parameters_are_ignored(iris_server: Server) -> None:
    request = {"parameters": {"priority": 3}, "inputs": [matrix() | {"parameters": {"x": 1}}]}
    assert iris_server.client.post(INFER, json=request).status_code == 200


def test_every_kind_of_column(mixed_server: Server) -> None:
    datatypes = ["FP64", "INT64", "INT32", "BOOL", "BYTES", "BYTES", "BYTES", "BYTES"]
    inputs = [
        {"name": name, "shape": [1, 1], "datatype": datatype, "data": [value]}
        for (name, value), datatype in zip(LOAN.items(), datatypes, strict=True)
    ]
    answer = mixed_server.client.post("/v2/models/mixed/infer", json={"inputs": inputs}).json()
    expected = mixed_server.client.post("/predict", json=LOAN).json()
    assert answer["outputs"][0] == {
        "name": "prediction", "shape": [1], "datatype": "BOOL", "data": [expected["prediction"]],
    }  # fmt: skip
    assert answer["outputs"][1]["data"] == list(expected["class_probabilities"].values())


def test_a_matrix_of_the_columns_of_numbers_beside_the_others(mixed_server: Server) -> None:
    numbers = {
        "name": "x",
        "shape": [1, 4],
        "datatype": "FP64",
        "data": [16106.26, 25.0, None, None],
    }
    texts = [
        {"name": name, "shape": [1], "datatype": "BYTES", "data": [LOAN[name]]}
        for name in ("grade", "housing", "city", "opened")
    ]
    answer = mixed_server.client.post("/v2/models/mixed/infer", json={"inputs": [numbers, *texts]})
    expected = mixed_server.client.post("/predict", json=LOAN).json()
    assert answer.status_code == 200, answer.text
    assert answer.json()["outputs"][0]["data"] == [expected["prediction"]]


def test_a_date_is_text_and_no_number(mixed_server: Server) -> None:
    day = {"name": "opened", "shape": [1], "datatype": "INT64", "data": [11_025]}
    age = {"name": "age", "shape": [1], "datatype": "INT64", "data": [25]}
    answer = mixed_server.client.post("/v2/models/mixed/infer", json={"inputs": [day, age]})
    assert "0.opened: Input should be a valid date" in error(answer)


def bad(**changes: Any) -> dict[str, Any]:
    return {"inputs": [matrix() | changes]}


@pytest.mark.parametrize(
    "request_body",
    [
        {}, [], None, 5, {"inputs": []}, {"inputs": {}}, {"inputs": [5]}, {"inputs": [{}]}, bad(name=5),
        bad(shape=None), bad(shape=[]), bad(shape=[3, 4]), bad(shape=[-2, -4]), bad(shape=["2", 4]),
        bad(shape=[2.0, 4]), bad(shape=[2**62, 2**62]), bad(shape=[1] * 9), bad(shape=[1, 2, 4]),
        bad(datatype="FP8"), bad(datatype=None), bad(datatype="INT64"), bad(datatype="BYTES"), bad(data=None),
        bad(data="x"), bad(data=[]), bad(data=[[1, 2], 3]), bad(data=[{}] * 8), bad(data=[None] * 8),
        bad(data=["hunter2"] * 8), bad(data=[True] * 8), bad(data=[-1.0] * 8), bad(shape=[8]), bad(shape=[4, 2]),
        bad(parameters={"binary_data_size": 64}), bad(parameters={"binary_data_size": -1}),
        bad(parameters={"binary_data_size": "64"}), bad(name="sepal_length"), {"inputs": [matrix(), matrix()]},
        {"inputs": columns(BOTH)[:3]}, {"inputs": [*columns(BOTH), columns(BOTH)[0] | {"name": "colour"}]},
        {"inputs": [columns(BOTH)[0] | {"shape": [1], "data": [1]}, *columns(BOTH)[1:]]},
        {"inputs": [matrix()], "outputs": [5]}, {"inputs": [matrix()], "outputs": "prediction"},
        {"inputs": [matrix(0, 4) | {"data": []}]},
    ],
    ids=str,
)  # fmt: skip
def test_errors(iris_server: Server, request_body: Any) -> None:
    answer = iris_server.client.post(INFER, content=json.dumps(request_body))
    assert "hunter2" not in error(answer)


def test_a_bad_value_is_named(iris_server: Server) -> None:
    inputs = columns([FLOWER, OTHER_FLOWER | {"petal_width": 99.0}])
    text = error(iris_server.client.post(INFER, json={"inputs": inputs}))
    assert "1.petal_width: Input should be less than or equal to 15" in text
    assert "99" not in text


def test_unknown_models_and_versions(iris_server: Server, version: str) -> None:
    for path in ("/v2/models/rose", "/v2/models/iris/versions/v9", "/v2/models/rose/ready"):
        error(iris_server.client.get(path), 404)
    for path in ("/v2/models/rose/infer", "/v2/models/iris/versions/v9/infer"):
        error(iris_server.client.post(path, json={"inputs": [matrix()]}), 404)
    response = iris_server.client.post(f"{INFER}?version={version}", json={"inputs": [matrix()]})
    assert response.status_code == 200
    for path in (
        f"{INFER}?verison={version}",
        f"/v2/models/iris/versions/{version}/infer?version=v9",
    ):
        error(iris_server.client.post(path, json={"inputs": [matrix()]}))


def binary(request: dict[str, Any], *tails: bytes) -> tuple[bytes, dict[str, str]]:
    head = json.dumps(request).encode()
    headers = {
        "content-type": "application/octet-stream",
        "inference-header-content-length": str(len(head)),
    }
    return head + b"".join(tails), headers


def read_binary(answer: httpx.Response) -> tuple[dict[str, Any], bytes]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/octet-stream"
    length = int(answer.headers["inference-header-content-length"])
    body: dict[str, Any] = json.loads(answer.content[:length])
    return body, answer.content[length:]


@pytest.mark.parametrize(("datatype", "code", "size"), [("FP64", "d", 8), ("FP32", "f", 4)])
def test_requests_and_responses_may_be_binary(
    iris_server: Server, expected: dict[str, Any], datatype: str, code: str, size: int
) -> None:
    values = [value for row in BOTH for value in row.values()]
    spec = MATRIX | {"datatype": datatype, "parameters": {"binary_data_size": 8 * size}}
    request = {"id": "b", "inputs": [spec], "parameters": {"binary_data_output": True}}
    content, headers = binary(request, struct.pack(f"<8{code}", *values))
    body, tail = read_binary(iris_server.client.post(INFER, content=content, headers=headers))
    assert body["id"] == "b"
    labels, shares = body["outputs"]
    assert "data" not in labels
    sizes = [output["parameters"]["binary_data_size"] for output in (labels, shares)]
    assert sum(sizes) == len(tail)
    assert sizes[1] == 2 * 3 * 8
    text, offset = [], 0
    while offset < sizes[0]:
        (length,) = struct.unpack_from("<I", tail, offset)
        text.append(tail[offset + 4 : offset + 4 + length].decode())
        offset += 4 + length
    assert text == expected["predictions"]
    wanted = [share for row in expected["class_probabilities"] for share in row.values()]
    assert list(struct.unpack("<6d", tail[sizes[0] :])) == pytest.approx(wanted, abs=1e-5)


def test_binary_of_some(mixed_server: Server) -> None:
    """BYTES, BOOL and integers in binary, others in JSON; one output in binary, in the requested order."""
    text = LOAN["city"].encode()
    packed = {
        "age": ("INT16", struct.pack("<h", LOAN["age"])),
        "city": ("BYTES", struct.pack("<I", len(text)) + text),
        "employed": ("BOOL", b"\x01"),
    }
    inputs, tails = [], []
    for name, value in LOAN.items():
        if name in packed:
            datatype, tail = packed[name]
            tails.append(tail)
            more: dict[str, Any] = {"parameters": {"binary_data_size": len(tail)}}
        else:
            datatype = "FP64" if name == "income" else "INT64" if name == "children" else "BYTES"
            more = {"data": [value]}
        inputs.append({"name": name, "shape": [1], "datatype": datatype, **more})
    outputs = [
        {"name": "prediction", "parameters": {"binary_data": True}},
        {"name": "probabilities"},
    ]
    content, headers = binary({"inputs": inputs, "outputs": outputs}, *tails)
    answer = mixed_server.client.post("/v2/models/mixed/infer", content=content, headers=headers)
    body, tail = read_binary(answer)
    expected = mixed_server.client.post("/predict", json=LOAN | {"employed": True}).json()
    assert tail == (b"\x01" if expected["prediction"] else b"\x00")
    assert body["outputs"][1]["data"] == list(expected["class_probabilities"].values())


def income_of(value: float) -> tuple[bytes, dict[str, str]]:
    """A loan whose income travels in binary."""
    income = {
        "name": "income",
        "shape": [1],
        "datatype": "FP64",
        "parameters": {"binary_data_size": 8},
    }
    other_inputs = [
        {
            "name": name,
            "shape": [1],
            "datatype": {int: "INT64", str: "BYTES"}.get(type(value), "BOOL"),
            "data": [value],
        }
        for name, value in LOAN.items()
        if name != "income"
    ]
    return binary({"inputs": [income, *other_inputs]}, struct.pack("<d", value))


def test_binary_numbers_that_are_none(mixed_server: Server, iris_server: Server) -> None:
    """NaN is a missing number, refused where none may be missing; infinity is refused everywhere."""
    for value in (math.nan, math.inf, -math.inf):
        spec = MATRIX | {"parameters": {"binary_data_size": 64}}
        content, headers = binary({"inputs": [spec]}, struct.pack("<8d", *([value] * 8)))
        error(iris_server.client.post(INFER, content=content, headers=headers))
        content, headers = income_of(value)
        answer = mixed_server.client.post(
            "/v2/models/mixed/infer", content=content, headers=headers
        )
        if not math.isnan(value):
            error(answer)
            continue
        expected = mixed_server.client.post("/predict", json=LOAN | {"income": None}).json()
        shares = list(expected["class_probabilities"].values())
        assert answer.json()["outputs"][1]["data"] == shares


@pytest.mark.parametrize("length", ["-1", "x", "99999", "", "1.0"])
def test_a_wrong_length_of_the_json_part(iris_server: Server, length: str) -> None:
    content, headers = binary({"inputs": [matrix()]})
    headers["inference-header-content-length"] = length
    error(iris_server.client.post(INFER, content=content, headers=headers))


@pytest.mark.parametrize("size", [0, 63, 65, 10**12])
def test_a_wrong_binary_size(iris_server: Server, size: int) -> None:
    spec = MATRIX | {"parameters": {"binary_data_size": size}}
    content, headers = binary({"inputs": [spec]}, bytes(64))
    error(iris_server.client.post(INFER, content=content, headers=headers))


def test_binary_text_cut_short(mixed_server: Server) -> None:
    for tail in (
        b"\x01",
        struct.pack("<I", 9) + b"ab",
        struct.pack("<I", 2**32 - 1),
        struct.pack("<I", 2) + b"\xff\xff",
    ):
        spec = {
            "name": "city",
            "shape": [1],
            "datatype": "BYTES",
            "parameters": {"binary_data_size": len(tail)},
        }
        content, headers = binary({"inputs": [spec]}, tail)
        error(mixed_server.client.post("/v2/models/mixed/infer", content=content, headers=headers))


def test_regression(two_servers: Server, bundle_of: BundleOf) -> None:
    rows = Bundle.open(bundle_of("diabetes")).json("golden.json")["rows"][:2]
    answer = two_servers.client.post(
        "/v2/models/diabetes/infer", json={"inputs": columns(rows)}
    ).json()
    expected = two_servers.client.post("/diabetes/predict_batch", json=rows).json()
    assert answer["outputs"] == [
        {"name": "prediction", "shape": [2], "datatype": "FP64", "data": expected["predictions"]}
    ]


def test_too_large(serve: Serve, iris: Path) -> None:
    server = serve(iris, WINDLASS_MAX_BODY_MB="0.01")
    answer = server.client.post(INFER, content=b" " * 20_000)
    error(answer, 413)
    assert answer.headers["connection"] == "close"
