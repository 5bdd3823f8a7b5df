"""Columns whose names are no Python names: one name in every reader, answer, record and document."""

import csv
import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from openapi_spec_validator import validate
from tests.support.cli import run_cli
from tests.support.paths import project_folder
from tests.support.server import Serve, Server
from tests.support.table_bodies import ARROW, CSV, PARQUET, as_arrow, as_parquet, read_table
from tests.support.trained_bundles import BundleOf

from windlass import read_ledger
from windlass.core.bundle import Bundle
from windlass.core.project_loader import load_project

PROJECT, _ = load_project(project_folder("awkward"))
NAMES = PROJECT.schema.names


@pytest.fixture(scope="module")
def bundle(bundle_of: BundleOf) -> Path:
    return bundle_of("awkward")


@pytest.fixture(scope="module")
def server(session_server: Serve, bundle: Path) -> Server:
    return session_server(bundle)


def rows() -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = PROJECT.data(3)[[*NAMES]].to_dict("records")
    return [
        record | {name: record[name].isoformat() for name in ("$since", "seen")}
        for record in records
    ]


def table() -> pa.Table:
    return pa.table({name: [row[name] for row in rows()] for name in NAMES})


def as_csv(*, header: bool = True) -> bytes:
    sink = io.StringIO()
    writer = csv.writer(sink)
    writer.writerows([NAMES] if header else [])
    writer.writerows([row.values() for row in rows()])
    return sink.getvalue().encode()


def tensors() -> list[dict[str, Any]]:
    kinds = {str: "BYTES", bool: "BOOL", int: "INT64", float: "FP64", list: "FP64"}
    return [
        {"name": name, "shape": [3, 2 if name == "vector (2)" else 1], "datatype": kinds[type(rows()[0][name])],
         "data": [row[name] for row in rows()]}
        for name in NAMES
    ]  # fmt: skip


def test_every_reader_takes_the_column_s_own_name(server: Server) -> None:
    answers = [server.client.post("/predict", json=row) for row in rows()]
    expected = [answer.json()["prediction"] for answer in answers]
    assert set(expected) == {"no", "yes"}
    batch = server.client.post("/predict_batch", json=rows())
    assert batch.json()["predictions"] == expected
    bodies = {CSV: as_csv(), ARROW: as_arrow(table()), PARQUET: as_parquet(table())}
    for kind, body in bodies.items():
        answer = server.client.post("/predict_batch", content=body, headers={"content-type": kind})
        assert read_table(answer)["prediction"].to_pylist() == expected, kind
    shapes = [
        {"dataframe_split": {"columns": NAMES, "data": [[*row.values()] for row in rows()]}},
        {"dataframe_records": rows()},
        {"instances": [[*row.values()] for row in rows()]},
        {"inputs": {name: [row[name] for row in rows()] for name in NAMES}},
    ]
    for shape in shapes:
        assert server.client.post("/invocations", json=shape).json() == {"predictions": expected}
    for header in (True, False):
        answer = server.client.post(
            "/invocations", content=as_csv(header=header), headers={"content-type": CSV}
        )
        assert answer.json() == {"predictions": expected}
    instances = server.client.post("/v1/models/awkward:predict", json={"instances": rows()})
    assert instances.json()["predictions"] == expected
    inferred = server.client.post("/v2/models/awkward/infer", json={"inputs": tensors()})
    assert inferred.json()["outputs"][0]["data"] == expected
    declared = server.client.get("/v2/models/awkward").json()["inputs"]
    assert [item["name"] for item in declared] == list(NAMES)


def test_the_name_of_the_field_in_python_is_unknown(server: Server) -> None:
    row = rows()[0]
    renamed = {"total_charges" if name == "Total Charges" else name: row[name] for name in NAMES}
    required = {"loc": ["Total Charges"], "msg": "Field required"}
    called = {"loc": ["total_charges"], "msg": "This field is called 'Total Charges'"}
    assert server.client.post("/predict", json=renamed).json()["errors"] == [required, called]
    both = server.client.post("/predict", json=row | {"total_charges": 1.0, "mine": 2.0})
    extra = {"loc": [], "msg": "Extra inputs are not permitted"}
    assert both.json()["errors"] == [called, extra]
    answer = server.client.post(
        "/invocations",
        content=as_csv().replace(b"Total Charges", b"total_charges"),
        headers={"content-type": CSV},
    )
    assert {"loc": [0, *called["loc"]], "msg": called["msg"]} in answer.json()["errors"]
    answer = server.client.post(
        "/predict_batch",
        content=as_arrow(table().rename_columns(["total_charges", *NAMES[1:]])),
        headers={"content-type": ARROW},
    )
    assert answer.status_code == 422
    assert "Total Charges" in answer.text


def test_answers_records_and_documents_have_the_column_s_own_name(
    serve: Serve, bundle: Path
) -> None:
    server = serve(bundle)
    bad = server.client.post("/predict", json=rows()[0] | {"Total Charges": -1})
    assert bad.json()["errors"][0]["loc"] == ["Total Charges"]
    server.client.post("/predict", json=rows()[0])
    server.client.post("/predict_batch", json=rows())
    server.client.post(
        "/predict_batch", content=as_parquet(table()), headers={"content-type": PARQUET}
    )
    records = read_ledger("awkward", server.home)
    assert records.num_rows == 7
    for name in NAMES:
        values = [row[name] for row in rows()]
        assert records[name].to_pylist() == [values[0], *values, *values], name
    document = server.client.get("/openapi.json").json()
    validate(document)
    assert list(document["components"]["schemas"]["awkward.Row"]["properties"]) == list(NAMES)
    assert server.client.get("/metrics").status_code == 200
    opened = Bundle.open(bundle)
    card = opened.read("card.md").decode()
    assert "| Total Charges |" in card
    assert 'it\'s "so", no: {0}\\|[1] |' in card
    assert [column["name"] for column in opened.json("profile.json")["columns"]] == [
        column.name for column in PROJECT.schema.model_columns
    ]
    assert opened.manifest.engine.name == "onnx"


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_file_is_predicted_and_its_columns_are_kept(
    bundle: Path, tmp_path: Path, suffix: str
) -> None:
    source, output = tmp_path / f"in.{suffix}", tmp_path / "out.parquet"
    source.write_bytes(as_csv() if suffix == "csv" else as_parquet(table()))
    done = run_cli(
        "predict",
        bundle,
        "--input",
        source,
        "--output",
        output,
        "--keep",
        "Total Charges,a.b",
        home=tmp_path,
    )
    assert done.code == 0, done.err

    assert pq.read_table(output).num_rows == 3
    assert {"Total Charges", "a.b"} <= set(pq.read_table(output).column_names)
