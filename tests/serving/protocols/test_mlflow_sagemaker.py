"""SageMaker's container contract and MLflow's scoring server: `/ping`, `/invocations`, `/version`."""

import json
from typing import Any

import httpx
import pytest
from tests.support.server import FLOWER, LOAN, OTHER_FLOWER, Server

import windlass

BOTH = [FLOWER, OTHER_FLOWER]
VALUES = [list(row.values()) for row in BOTH]
NAMES = list(FLOWER)
ANSWER = {"predictions": ["setosa", "virginica"]}
CSV = "5.1,3.5,1.4,0.2\n6.7,3.0,5.2,2.3\n"
HEADER = ",".join(NAMES) + "\n"


def invoke(
    server: Server, body: str | bytes, kind: str = "text/csv", **headers: str
) -> httpx.Response:
    return server.client.post(
        "/invocations", content=body, headers={"content-type": kind, **headers}
    )


def test_ping(iris_server: Server) -> None:
    answer = iris_server.client.get("/ping")
    assert answer.status_code == 200
    assert answer.content == b""
    assert iris_server.client.get("/health").status_code == 200
    assert iris_server.client.get("/version").text == windlass.__version__


SHAPES: list[dict[str, Any]] = [
    {"dataframe_split": {"columns": NAMES, "data": VALUES}},
    {"dataframe_split": {"index": [7, 8], "columns": NAMES, "data": VALUES}},
    {"dataframe_split": {"columns": NAMES[::-1], "data": [row[::-1] for row in VALUES]}},
    {"dataframe_records": BOTH},
    {"instances": BOTH},
    {"instances": VALUES},
    {"inputs": {name: [row[name] for row in BOTH] for name in NAMES}},
    {"inputs": BOTH},
    {"inputs": VALUES},
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("params", [{}, {"params": {"temperature": 1}}, {"params": None}])
def test_each_shape(iris_server: Server, shape: dict[str, Any], params: dict[str, Any]) -> None:
    answer = iris_server.client.post("/invocations", json=shape | params)
    assert answer.status_code == 200, answer.text
    assert answer.json() == ANSWER


@pytest.mark.parametrize(
    "body",
    [
        {}, {"instances": BOTH, "inputs": BOTH},
        {"dataframe_split": {"columns": [], "data": []}, "dataframe_records": []},
        {"params": {}}, {"rows": BOTH}, {"instances": BOTH, "extra": 1},
    ],
)  # fmt: skip
def test_exactly_one_shape(iris_server: Server, body: dict[str, Any]) -> None:
    answer = iris_server.client.post("/invocations", json=body)
    assert answer.status_code == 400
    assert "exactly one of dataframe_split" in answer.json()["detail"]


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": 5}, {"dataframe_split": {}}, {"dataframe_split": {"columns": NAMES}},
        {"dataframe_split": {"columns": NAMES, "data": [[1, 2]]}}, {"inputs": {"sepal_length": 5}},
        {"dataframe_split": {"columns": NAMES, "data": [5]}}, {"inputs": "hunter2"}, {"inputs": None},
        {"dataframe_split": {"columns": NAMES[:3], "data": [[1, 2, 3]]}}, {"inputs": {}}, {"instances": [[]]},
        {"dataframe_split": {"columns": ["sepal_length"] * 4, "data": VALUES}}, {"instances": ["hunter2"]},
        {"dataframe_split": {"columns": [1, 2, 3, 4], "data": VALUES}}, {"dataframe_records": FLOWER},
        {"dataframe_split": {"columns": [[], {}, None, 4], "data": VALUES}}, {"dataframe_records": [[]]},
        {"inputs": {name: [1.0] * (1 + index) for index, name in enumerate(NAMES)}}, {"instances": []},
        {"dataframe_records": [FLOWER | {"petal_width": "hunter2"}]},
    ],
    ids=str,
)  # fmt: skip
def test_refused(iris_server: Server, body: dict[str, Any]) -> None:
    answer = iris_server.client.post("/invocations", json=body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"]
    assert "hunter2" not in answer.text


@pytest.mark.parametrize(
    "body",
    [
        CSV, HEADER + CSV, CSV.rstrip("\n"), CSV.replace("\n", "\r\n"), CSV.replace("\n", "\r"),
        "\ufeff" + HEADER + CSV,
        (HEADER + CSV).replace("\n", "\r"), (HEADER + CSV).replace("\n", "\r\n"),
        HEADER.upper().lower() + '"5.1","3.5","1.4","0.2"\n6.7,3.0,5.2,2.3\n', "\n" + CSV + "\n\n",
        ",".join(NAMES[::-1]) + "\n0.2,1.4,3.5,5.1\n2.3,5.2,3.0,6.7\n",
    ],
    ids=repr,
)  # fmt: skip
def test_csv(iris_server: Server, body: str) -> None:
    answer = invoke(iris_server, body)
    assert answer.status_code == 200, answer.text
    assert answer.json() == ANSWER


@pytest.mark.parametrize("kind", ["text/csv; charset=utf-8", "Text/CSV", "text/csv;header=present"])
def test_csv_with_parameters(iris_server: Server, kind: str) -> None:
    assert invoke(iris_server, HEADER + CSV, kind).json() == ANSWER


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("", 400), ("\n", 400), (HEADER, 400), (b"\xff\xfe1", 400), ('"', 400), ('"a\n', 400), ("a,b,c\n", 422),
        ("1,2,3\n", 422), ("1,2,3,4,5\n", 422), ("5.1,3.5,1.4,hunter2\n", 422), ("5.1,3.5,1.4,\n", 422),
        ("5.1,3.5,1.4,nan\n", 422), ("5.1,3.5,1.4,inf\n", 422), ("5.1,3.5,1.4,99\n", 422),
        (HEADER + "5.1,3.5\n", 422), ("petal_width,colour\n1,2\n", 422), ("x" * 200_000, 422),
        ("\x00,\x00,\x00,\x00\n", 422), ('5.1,3.5,1.4,"' + "9" * 200_000 + '"\n', 422),
    ],
    ids=lambda value: repr(value)[:30],
)  # fmt: skip
def test_csv_refused(iris_server: Server, body: str | bytes, status: int) -> None:
    answer = invoke(iris_server, body)
    assert answer.status_code in {400, 413, 422}
    assert answer.status_code == status or len(body) > 1000
    assert "hunter2" not in answer.text


@pytest.mark.parametrize("cells", ["9.9,0.2", "0.2,9.9"])
def test_csv_that_names_a_column_twice_is_refused(iris_server: Server, cells: str) -> None:
    header = f"{HEADER.strip()},petal_width\n"
    answer = invoke(iris_server, header + f"5.1,3.5,1.4,{cells}\n")
    assert answer.status_code == 400
    assert "Two columns have the same name" in answer.json()["detail"]


def test_csv_of_every_kind(mixed_server: Server) -> None:
    """An empty cell is null; without a header too."""
    cells = ["" if value is None else str(value) for value in LOAN.values()]
    expected = mixed_server.client.post("/predict", json=LOAN).json()["prediction"]
    for head in ("", ",".join(LOAN) + "\n"):
        answer = invoke(mixed_server, head + ",".join(cells) + "\n")
        assert answer.status_code == 200, answer.text
        assert answer.json() == {"predictions": [expected]}


@pytest.mark.parametrize(
    "kind",
    ["application/xml", "text/plain", "application/x-npy", "application/x-parquet", "image/png"],
)
def test_other_types(iris_server: Server, kind: str) -> None:
    answer = invoke(iris_server, CSV, kind)
    assert answer.status_code == 415
    assert answer.json()["detail"] == "Send one of: application/json, text/csv."


def test_headers_of_sagemaker_are_ignored(iris_server: Server) -> None:
    headers = {
        "X-Amzn-SageMaker-Custom-Attributes": "trace=1",
        "X-Amzn-SageMaker-Target-Model": "model.tar.gz",
        "X-Amzn-SageMaker-Inference-Id": "7",
    }
    assert invoke(iris_server, CSV, **headers).json() == ANSWER


@pytest.mark.parametrize(
    "accept",
    ["", "*/*", "application/json", "application/json, */*;q=0.1", "application/jsonlines"],
)
def test_accept(iris_server: Server, accept: str) -> None:
    """JSON is the answer to any other `Accept`, as of SageMaker's own containers."""
    answer = invoke(iris_server, CSV, accept=accept)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"


def test_accept_csv(iris_server: Server) -> None:
    answer = invoke(iris_server, CSV, accept="text/csv")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/csv"
    assert answer.text == "setosa\nvirginica\n"
    answer = invoke(
        iris_server, json.dumps({"instances": BOTH}), "application/json", accept="text/csv"
    )
    assert answer.text == "setosa\nvirginica\n"
