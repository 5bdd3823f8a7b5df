"""What was answered is in the ledger: through every route, across kill -9 under load, and on a full disk."""

import json
import re
import resource
import signal
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tests.support.load_clients import Load
from tests.support.server import FLOWER, LOAN, OTHER_FLOWER, SPECIES, Serve, Server
from tests.support.trained_bundles import BundleOf
from tests.support.waiting import wait_until

import windlass
from windlass.core.bundle import Bundle

ARROW = {"content-type": "application/vnd.apache.arrow.stream"}
ROW = json.dumps(FLOWER).encode()


def rows(server: Server, project: str = "iris") -> dict[str, dict[str, Any]]:
    """The ledger's rows by prediction id."""
    return {
        row["prediction_id"]: row for row in windlass.read_ledger(project, server.home).to_pylist()
    }


def as_stream(records: list[dict[str, Any]]) -> bytes:
    table = pa.Table.from_pylist(records)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def test_a_prediction_is_kept_with_its_row_and_its_answer(serve: Serve, iris: Path) -> None:
    server: Server = serve(iris)
    before = time.time()
    headers = {"x-request-id": "mine"}
    answer = server.client.post("/predict", json=OTHER_FLOWER, headers=headers).json()
    after = time.time()
    (row,) = rows(server).values()
    shares = {f"probability_{label}": answer["class_probabilities"][label] for label in SPECIES}
    assert before - 1 < row.pop("predicted_at").timestamp() < after + 1
    assert row == {
        "prediction_id": answer["prediction_id"],
        "request_id": "mine",
        "model_version": answer["model_version"],
        "latency_ms": answer["latency_ms"],
        "prediction": "virginica",
        **shares,
        **OTHER_FLOWER,
    }


def test_every_route_keeps_what_it_answers(serve: Serve, iris: Path) -> None:
    server: Server = serve(iris)
    client = server.client
    both = [FLOWER, OTHER_FLOWER]
    values = [list(row.values()) for row in both]
    columns = [
        {"name": name, "shape": [2], "datatype": "FP64", "data": [row[name] for row in both]}
        for name in FLOWER
    ]
    csv = "\n".join([",".join(FLOWER), *(",".join(map(str, row)) for row in values)]) + "\n"
    answers = [
        client.post("/predict_batch", json=both),
        client.post("/iris/predict_batch", json=both),
        client.post("/predict_batch", content=csv, headers={"content-type": "text/csv"}),
        client.post("/predict_batch", content=as_stream(both), headers=ARROW),
        client.post("/v1/models/iris:predict", json={"instances": both}),
        client.post("/v2/models/iris/infer", json={"inputs": columns}),
        client.post("/invocations", json={"dataframe_records": both}),
        client.post("/invocations", content=csv, headers={"content-type": "text/csv"}),
    ]
    assert [answer.status_code for answer in answers] == [200] * 8
    ledger = rows(server)
    for answer in answers[:1]:
        assert {f"{answer.json()['prediction_id']}.{i}" for i in range(2)} <= ledger.keys()
    for answer in answers[2:4]:
        assert {f"{answer.headers['x-prediction-id']}.{i}" for i in range(2)} <= ledger.keys()
    assert len(ledger) == 16
    given = [{name: row[name] for name in FLOWER} for row in ledger.values()]
    assert given.count(FLOWER) == given.count(OTHER_FLOWER) == 8
    assert [row["prediction"] for row in ledger.values()].count("virginica") == 8


def test_refused_rows_are_not_kept(serve: Serve, iris: Path) -> None:
    server: Server = serve(iris)
    server.client.post("/predict", json=FLOWER | {"petal_width": -1})
    server.client.post("/predict_batch", json=[FLOWER, {}])
    assert rows(server) == {}


def test_a_row_of_a_table_is_kept_as_one_of_json(serve: Serve, bundle_of: BundleOf) -> None:
    """Values, types and nulls do not depend on the form that a client sends."""
    bundle = bundle_of("mixed")
    loans = [LOAN, *Bundle.open(bundle).json("golden.json")["rows"]]
    server: Server = serve(bundle)
    text = "\n".join(
        [",".join(LOAN), *(",".join(_cell(row[name]) for name in LOAN) for row in loans)]
    )
    server.client.post("/predict_batch", json=loans)
    for headers, body in ({"content-type": "text/csv"}, text.encode()), (ARROW, as_stream(loans)):
        answer = server.client.post("/predict_batch", content=body, headers=headers)
        assert answer.status_code == 200, answer.text
    ledger = [
        {name: value for name, value in row.items() if name in LOAN or "prob" in name}
        for row in rows(server, "mixed").values()
    ]
    count = len(loans)
    assert len(ledger) == 3 * count
    assert [{name: row[name] for name in LOAN} for row in ledger] == loans * 3
    assert ledger[:count] == ledger[count : 2 * count] == ledger[2 * count :]


def _cell(value: Any) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def test_the_ledger_can_be_off(serve: Serve, iris: Path) -> None:
    server: Server = serve(iris, WINDLASS_LEDGER="off")
    assert server.client.post("/predict", json=FLOWER).status_code == 200
    assert server.client.post("/predict_batch", json=[FLOWER]).status_code == 200
    assert server.client.post(
        "/predict_batch", content=as_stream([FLOWER]), headers=ARROW
    ).is_success
    assert server.client.get("/status").json()["ledger"] is False
    assert not (server.home / "ledger").exists()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_kill_under_load_loses_no_answered_prediction(
    serve: Serve, iris: Path, tmp_path: Path, workers: str
) -> None:
    result: list[str] = []
    home = tmp_path / "one-home"
    for wanted in (1, 40, 333, 1000, 2500) if workers == "1" else (500,):
        server: Server = serve(iris, home=home, options=["--workers", workers])
        with Load(server.port) as load:
            while len(load.result.ids) < wanted:
                assert server.client.get("/health").status_code == 200
            server.signal_all(signal.SIGKILL)
            server.exit_code()
        result += load.result.ids
    assert len(result) == len(set(result))
    ledger = windlass.read_ledger("iris", home)["prediction_id"].to_pylist()
    assert len(ledger) == len(set(ledger))
    assert set(result) <= set(ledger)


def test_a_full_disk_is_reported_and_recovered_from(serve: Serve, iris: Path) -> None:
    server: Server = serve(iris, WINDLASS_LOG_LEVEL="ERROR")
    first = server.client.post("/predict", json=FLOWER).json()["prediction_id"]
    (segment,) = (server.home / "ledger" / "iris").iterdir()
    size = segment.stat().st_size
    unlimited = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
    # CPython ignores SIGXFSZ, so that a write beyond the limit fails as on a full disk
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (size + 50, unlimited[1]))
    for path, body in ("/predict", FLOWER), ("/predict_batch", [FLOWER] * 3):
        refused = server.client.post(path, json=body)
        assert refused.status_code == 503, refused.text
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.headers["content-type"] == "application/problem+json"
        assert "ledger" in refused.json()["detail"]
        assert "prediction" not in refused.json()
    assert server.client.post("/v2/models/iris/infer", content=_v2()).status_code == 503
    assert segment.stat().st_size == size
    assert server.client.get("/health").status_code == 200
    for path in ("/readyz", "/ping", "/v2/health/ready", "/v2/models/iris/ready"):
        assert server.client.get(path).status_code == 503, path
    (unready,) = server.client.get("/readyz").json()["errors"]
    assert unready["loc"] == ["iris"]
    assert unready["msg"].startswith("The ledger cannot be written: ")
    assert server.client.get("/v1/models/iris").json()["ready"] is False
    assert "ledger" in server.client.get("/status").json()["reason"]
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, unlimited)
    last = server.client.post("/predict", json=FLOWER).json()["prediction_id"]
    assert list(rows(server)) == [first, last]
    server.wait("/readyz")
    metrics = server.client.get("/metrics").text
    assert 'windlass_ledger_failures_total{project="iris"} 3.0' in metrics
    assert f'windlass_ledger_bytes{{project="iris"}} {segment.stat().st_size}.0' in metrics
    reason = re.compile("File too large|No space left")
    wait_until(lambda: reason.search(server.log.read_text()), "the reason in the log")


def _v2() -> bytes:
    tensors = [
        {"name": name, "shape": [1], "datatype": "FP64", "data": [value]}
        for name, value in FLOWER.items()
    ]
    return json.dumps({"inputs": tensors}).encode()
