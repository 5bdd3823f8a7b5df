"""Every kind of target through a server: all forms of an answer say the same, and the ledger has it."""

from collections.abc import Callable
from typing import Any

import httpx
import jsonschema
import pyarrow as pa
import pytest
from tests.support.server import Serve, Server
from tests.support.table_bodies import ARROW, CSV, PARQUET, as_arrow, as_csv, as_parquet, read_table
from tests.support.trained_bundles import BundleOf

import windlass
from windlass.core.bundle import Bundle

COLUMNS = {
    "plants": [
        "prediction_species",
        "probability_species_setosa",
        "probability_species_versicolor",
        "probability_species_virginica",
        "prediction_petal_width",
    ],
    "progression": ["prediction", "quantile_0.1", "quantile_0.5", "quantile_0.9"],
    "searches": ["prediction"],
    "transfers": ["prediction", "is_anomaly"],
    "vitals": [
        "prediction_fast",
        "probability_fast_yes",
        "probability_fast_no",
        "prediction_high",
        "probability_high_false",
        "probability_high_true",
    ],
}
WRITERS: dict[str, Callable[[pa.Table], bytes]] = {
    CSV: as_csv,
    ARROW: as_arrow,
    PARQUET: as_parquet,
}


@pytest.fixture(scope="module")
def bundles(bundle_of: BundleOf) -> dict[str, Bundle]:
    return {name: Bundle.open(bundle_of(name)) for name in COLUMNS}


@pytest.fixture(scope="module")
def server(session_server: Serve, bundles: dict[str, Bundle]) -> Server:
    return session_server(*(bundle.path for bundle in bundles.values()))


def _rows(bundle: Bundle) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = bundle.json("golden.json")["rows"][:5]
    return rows


def _outcome(answer: dict[str, Any]) -> dict[str, Any]:
    shared = ("model_version", "latency_ms", "prediction_id")
    return {name: value for name, value in answer.items() if name not in shared}


def _post(server: Server, path: str, **request: Any) -> httpx.Response:
    response = server.client.post(path, **request)
    assert response.status_code == 200, response.text
    return response


@pytest.mark.parametrize("name", COLUMNS)
def test_every_form_of_an_answer_says_the_same(
    server: Server, bundles: dict[str, Bundle], name: str
) -> None:
    rows, target = _rows(bundles[name]), bundles[name].target
    singles = [_outcome(_post(server, f"/{name}/predict", json=row).json()) for row in rows]
    batch = _outcome(_post(server, f"/{name}/predict_batch", json=rows).json())
    names = ["predictions" if field == "prediction" else field for field in singles[0]]
    assert batch == {
        field: [single[field.replace("predictions", "prediction")] for single in singles]
        for field in names
    }
    for kind, write in WRITERS.items():
        headers = {"content-type": kind}
        body = write(pa.Table.from_pylist(rows))
        table = read_table(_post(server, f"/{name}/predict_batch", content=body, headers=headers))
        assert table.column_names == COLUMNS[name]
        assert table.to_pylist() == [_flat(single) for single in singles], kind
    instances = _post(server, f"/v1/models/{name}:predict", json={"instances": rows}).json()
    field = "quantiles" if name == "progression" else "prediction"
    assert instances == {"predictions": [single[field] for single in singles]}
    assert (
        server.client.get(f"/v2/models/{name}")
        .json()["outputs"][0]["name"]
        .startswith("prediction")
    )
    assert len(target.predictions(target.rejected())) == 1


@pytest.mark.parametrize("name", COLUMNS)
def test_the_client_leaves_nothing_of_an_answer_out(
    server: Server, bundles: dict[str, Bundle], name: str
) -> None:
    row = _rows(bundles[name])[0]
    outcome = _outcome(_post(server, f"/{name}/predict", json=row).json())
    with windlass.Client(server.url, project=name) as client:
        answer = client.predict(row)
    assert {field: getattr(answer, field) for field in outcome} == outcome


def _flat(outcome: dict[str, Any]) -> dict[str, Any]:
    """An answer as the columns of a table."""
    columns = {"class_probabilities": "probability", "quantiles": "quantile"}
    flat: dict[str, Any] = {}

    def add(name: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, member in value.items():
                add(f"{name}_{key}", member)
        else:
            flat[name] = value

    for field, value in outcome.items():
        add(columns.get(field, field), value)
    return flat


@pytest.mark.parametrize("name", COLUMNS)
def test_answers_are_as_openapi_describes_them(
    server: Server, bundles: dict[str, Bundle], name: str
) -> None:
    document = server.client.get("/openapi.json").json()
    rows = _rows(bundles[name])
    for schema, path, body in (
        ("Prediction", "predict", rows[0]),
        ("Predictions", "predict_batch", rows),
    ):
        answer = _post(server, f"/{name}/{path}", json=body).json()
        described = document["components"]["schemas"][f"{name}.{schema}"]
        jsonschema.validate(answer, described)
        assert set(described["properties"]) == set(answer)


def test_tensors_hold_what_the_answers_do(server: Server, bundles: dict[str, Bundle]) -> None:
    for name in ("transfers", "vitals", "progression"):
        rows = _rows(bundles[name])
        columns = bundles[name].schema.row.columns
        inputs = [
            {
                "name": column.name,
                "datatype": "BYTES" if column.is_text else "FP64",
                "shape": [len(rows)],
                "data": [row[column.name] for row in rows],
            }
            for column in columns
        ]
        answer = _post(server, f"/v2/models/{name}/infer", json={"inputs": inputs}).json()
        outputs = {output["name"]: output for output in answer["outputs"]}
        batch = _post(server, f"/{name}/predict_batch", json=rows).json()
        if name == "transfers":
            assert outputs["prediction"]["data"] == batch["predictions"]
            assert outputs["is_anomaly"]["datatype"] == "BOOL"
            assert outputs["is_anomaly"]["data"] == batch["is_anomaly"]
        elif name == "vitals":
            high = [row["high"] for row in batch["predictions"]]
            assert outputs["prediction_high"]["data"] == high
            assert outputs["probabilities_fast"]["shape"] == [len(rows), 2]
        else:
            quantiles = [value for row in batch["quantiles"] for value in row.values()]
            assert outputs["quantiles"]["data"] == quantiles
            assert outputs["quantiles"]["shape"] == [len(rows), 3]


def test_status_counts_classes_of_outputs_and_anomalies(
    server: Server, bundles: dict[str, Bundle]
) -> None:
    def counts(name: str) -> tuple[int, dict[str, int]]:
        status = server.client.get(f"/{name}/status").json()
        return status["predictions"], status["class_mix"]

    for name in ("vitals", "transfers"):
        before, mix_before = counts(name)
        _post(server, f"/{name}/predict_batch", json=_rows(bundles[name]))
        _post(server, f"/{name}/predict", json=_rows(bundles[name])[0])
        after, mix = counts(name)
        assert after - before == 6
        added = {label: mix[label] - mix_before[label] for label in mix}
        if name == "transfers":
            assert sum(added.values()) == 6
            assert set(added) == {"normal", "anomaly"}
        else:
            assert added["fast=yes"] + added["fast=no"] == 6
            assert added["high=true"] + added["high=false"] == 6


@pytest.mark.parametrize("name", COLUMNS)
def test_the_ledger_has_the_columns_of_a_table(
    bundles: dict[str, Bundle], server: Server, name: str
) -> None:
    rows = _rows(bundles[name])
    body = as_arrow(pa.Table.from_pylist(rows))
    _post(server, f"/{name}/predict_batch", content=body, headers={"content-type": ARROW})
    _post(server, f"/{name}/predict_batch", json=rows)
    ledger = windlass.read_ledger(name, server.home)
    table = ledger.select(COLUMNS[name]).to_pylist()
    assert table[-5:] == table[-10:-5]
    assert ledger.column_names.count("prediction") == (COLUMNS[name][0] == "prediction")
