"""Valid rows that the fitted pipeline rejects: 422 for exactly these rows, through every protocol and format."""

import io
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.support.server import Serve, Server
from tests.support.trained_bundles import BundleOf

from windlass import read_ledger

CLAIM: dict[str, Any] = {"amount": 900.5, "age": 44.0, "region": "north", "kind": "fire"}
OTHER: dict[str, Any] = {"amount": 120.0, "age": 21.0, "region": "Zürich", "kind": "theft"}
FAULTS: list[tuple[str, Any, str]] = [
    ("region", "Atlantis", "The model does not know this category"),
    ("kind", "flood", "The model does not know this category"),
    ("age", None, "The model does not accept a missing value here"),
    ("amount", 0.0, "The model does not accept this number"),
]
ROWS = [CLAIM, *(CLAIM | {name: value} for name, value, _ in FAULTS), OTHER]
EXPECTED = [([1 + index, name], reason) for index, (name, _, reason) in enumerate(FAULTS)]
CSV, ARROW, PARQUET = (
    "text/csv", "application/vnd.apache.arrow.stream", "application/vnd.apache.parquet",
)  # fmt: skip


@pytest.fixture(scope="module", params=["linear", "roots"])
def server(request: pytest.FixtureRequest, session_server: Serve, bundle_of: BundleOf) -> Server:
    """The claims of an ONNX model, and of the native pipeline."""
    bundle = bundle_of("strict", model=request.param)
    return session_server(bundle, options=["--allow-pickle"])


def faults_of(answer: httpx.Response) -> list[tuple[list[Any], str]]:
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert "Atlantis" not in answer.text
    return [(fault["loc"], fault["msg"]) for fault in answer.json()["errors"]]


def encoded(rows: list[dict[str, Any]], kind: str) -> bytes:
    table, sink = pa.Table.from_pylist(rows), io.BytesIO()
    if kind == CSV:
        names = list(CLAIM)
        lines = [",".join("" if row[n] is None else str(row[n]) for n in names) for row in rows]
        return "\n".join([",".join(names), *lines]).encode()
    if kind == PARQUET:
        pq.write_table(table, sink)
        return sink.getvalue()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


@pytest.mark.parametrize(("name", "value", "reason"), FAULTS)
def test_a_row_is_rejected_by_its_field(server: Server, name: str, value: Any, reason: str) -> None:
    assert server.client.post("/predict", json=CLAIM).status_code == 200
    answer = server.client.post("/predict", json=CLAIM | {name: value})
    assert faults_of(answer) == [([name], reason)]


def test_every_field_at_fault_is_named(server: Server) -> None:
    row = CLAIM | {name: value for name, value, _ in FAULTS}
    locations = {loc[0] for loc, _ in faults_of(server.client.post("/predict", json=row))}
    assert locations == {name for name, *_ in FAULTS}


def test_only_the_rows_at_fault_of_a_batch_are_named(server: Server) -> None:
    assert faults_of(server.client.post("/predict_batch", json=ROWS)) == EXPECTED
    rest = server.client.post("/predict_batch", json=[CLAIM, OTHER])
    assert len(rest.json()["predictions"]) == 2


@pytest.mark.parametrize("kind", [CSV, ARROW, PARQUET])
def test_only_the_rows_at_fault_of_a_table_are_named(server: Server, kind: str) -> None:
    headers = {"content-type": kind}
    answer = server.client.post("/predict_batch", content=encoded(ROWS, kind), headers=headers)
    assert faults_of(answer) == EXPECTED


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/models/strict:predict", {"instances": ROWS}),
        ("/invocations", {"dataframe_records": ROWS}),
        ("/invocations", {"inputs": {name: [row[name] for row in ROWS] for name in CLAIM}}),
    ],
)
def test_other_protocols_name_the_rows_too(server: Server, path: str, body: Any) -> None:
    assert faults_of(server.client.post(path, json=body)) == EXPECTED


def test_v2_names_the_rows_in_its_own_form(server: Server) -> None:
    types = {"amount": "FP64", "age": "FP64", "region": "BYTES", "kind": "BYTES"}
    inputs = [
        {"name": name, "shape": [len(ROWS)], "datatype": kind, "data": [row[name] for row in ROWS]}
        for name, kind in types.items()
    ]
    answer = server.client.post("/v2/models/strict/infer", json={"inputs": inputs})
    assert answer.status_code == 400
    locations = [f"{row}.{name}: {reason}" for (row, name), reason in EXPECTED]
    assert answer.json()["error"].split("; ")[2:] == locations  # after the detail


def test_what_is_rejected_is_not_in_the_ledger(server: Server) -> None:
    answers = [
        server.client.post("/predict", json=row) for row in (CLAIM | {"region": "Atlantis"}, CLAIM)
    ]
    ids = [answer.headers["x-request-id"] for answer in answers]
    written = read_ledger("strict", server.home)["request_id"].to_pylist()
    assert [each in written for each in ids] == [False, True]
