"""Categories that no training row had are counted by column, whatever protocol a row comes by."""

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.support.altered_bundles import change_json, copy_bundle
from tests.support.server import LOAN, TIMEOUT, Serve, Server, post
from tests.support.table_bodies import ARROW, CSV, PARQUET, as_arrow, as_csv, as_parquet
from tests.support.trained_bundles import BundleOf

from windlass.core.bundle import Bundle
from windlass.monitoring.metrics import ServerMetrics
from windlass.monitoring.shared_counters import SharedCounters
from windlass.serving.model import ServedModel
from windlass.serving.unseen_categories import SeenCategories
from windlass.web.offload import DaemonExecutor

UNSEEN = LOAN | {"city": "NA"}
ROWS = [LOAN, UNSEEN, LOAN | {"city": None}]  # one cell of three
LARGE = 200  # rows that are predicted off the event loop
V2_TYPES = ["FP64", "INT64", "INT32", "BOOL", "BYTES", "BYTES", "BYTES", "BYTES"]


def _table() -> pa.Table:
    return pa.Table.from_pylist(
        [row | {"opened": date.fromisoformat(row["opened"])} for row in ROWS]
    )


def _tensors() -> list[dict[str, Any]]:
    row = UNSEEN | {"children": 1, "employed": True}
    return [
        {"name": name, "shape": [1], "datatype": datatype, "data": [row[name]]}
        for name, datatype in zip(row, V2_TYPES, strict=True)
    ]


def _body(content: bytes, kind: str) -> dict[str, Any]:
    return {"content": content, "headers": {"content-type": kind}}


REQUESTS: list[tuple[str, dict[str, Any], int]] = [
    ("/predict", {"json": UNSEEN}, 1),
    ("/predict", {"json": LOAN}, 0),
    ("/predict", {"json": UNSEEN | {"age": 3}}, 0),  # refused
    ("/predict_batch", {"json": ROWS}, 1),
    ("/predict_batch", {"json": ROWS * LARGE}, LARGE),
    ("/predict_batch", _body(as_csv(_table()), CSV), 1),
    ("/predict_batch", _body(as_arrow(_table()), ARROW), 1),
    ("/predict_batch", _body(as_parquet(_table()), PARQUET), 1),
    ("/v1/models/mixed:predict", {"json": {"instances": ROWS}}, 1),
    ("/v2/models/mixed/infer", {"json": {"inputs": _tensors()}}, 1),
    ("/invocations", {"json": {"dataframe_records": ROWS}}, 1),
    ("/invocations", _body(as_csv(_table()), CSV), 1),
]


def _status(server: Server) -> Any:
    return httpx.get(f"{server.url}/status", timeout=TIMEOUT).json()["unseen_categories"]


def _samples(server: Server) -> list[tuple[dict[str, str], float]]:
    text = httpx.get(f"{server.url}/metrics", timeout=TIMEOUT).text
    return [
        (sample.labels, sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "windlass_unseen_categories_total"
    ]


def test_every_protocol_and_worker_counts_them(serve: Serve, bundle_of: BundleOf) -> None:
    server = serve(bundle_of("mixed"), options=["--workers", "2"])
    assert _status(server) == {"city": 0}
    total = 0
    for path, request, unseen in REQUESTS:
        answer = httpx.post(f"{server.url}{path}", timeout=TIMEOUT, **request)
        assert answer.status_code == (
            422 if request.get("json", {}) == UNSEEN | {"age": 3} else 200
        )
        total += unseen
        assert _status(server) == {"city": total}, (path, unseen)
    single = post("/predict", json.dumps(UNSEEN).encode())
    with (
        server.connect() as first,
        server.connect() as second,
    ):  # predicted together, or by two workers
        first.sendall(single)
        second.sendall(single)
        assert (first.answer().status, second.answer().status) == (200, 200)
    total += 2
    assert _status(server) == {"city": total}
    assert _samples(server) == [({"project": "mixed", "column": "city"}, total)]
    assert "NA" not in httpx.get(f"{server.url}/metrics", timeout=TIMEOUT).text


def test_without_columns_of_any_text_there_is_no_counter(iris_server: Server) -> None:
    assert iris_server.client.get("/status").json()["unseen_categories"] == {}
    assert _samples(iris_server) == []


def test_rows_that_are_predicted_each_by_itself_count(bundle_of: BundleOf) -> None:
    metrics = ServerMetrics(SharedCounters())
    executor = DaemonExecutor("model")
    model = ServedModel(Bundle.open(bundle_of("mixed")), executor)
    batch, unseen = model.validator.parse_batch(json.dumps(ROWS).encode())[1], "unseen_categories"
    model.predict_each(batch)
    assert getattr(metrics.snapshot(), unseen) == {}  # no server counts yet
    model.use_metrics(metrics)
    model.predict_each(batch)
    assert getattr(metrics.snapshot(), unseen) == {("mixed", model.version): {"city": 1.0}}
    executor.close()


def _forget(profile: Any) -> None:
    for column in profile["columns"]:
        column.pop("other_names", None)
        if column["name"] == "city":
            column["other"] = 5


def _drop_columns(profile: Any) -> None:
    profile["columns"] = []


@pytest.mark.parametrize("alter", [_forget, _drop_columns])
def test_bundles_that_do_not_name_all_categories(
    bundle_of: BundleOf, tmp_path: Path, alter: Callable[[Any], None]
) -> None:
    copy = copy_bundle(bundle_of("mixed"), tmp_path / "bundle")
    seen = SeenCategories(Bundle.open(change_json(copy, "profile.json", alter)))
    assert (seen.columns, seen.unknown) == ([], ["city"])
    assert seen.counter(ServerMetrics(SharedCounters()), "mixed", "v1") is None
