"""The record format of the ledger: what is written is what is read."""

import io
import re
from datetime import UTC, datetime

import pyarrow as pa

from windlass.monitoring.ledger_record import (
    TableMetadata,
    decode_line,
    decode_table,
    encode_row,
    encode_rows,
    encode_table,
)

NOW = 1_700_000_000.25
ANSWER = (
    b'{"prediction":"a","class_probabilities":{"a":0.75},"model_version":"v1","latency_ms":0.5,'
    b'"prediction_id":"p"}'
)
BATCH_ANSWER = (
    b'{"predictions":[1.5,2.5],"model_version":"v1","latency_ms":0.5,"prediction_id":"p"}'
)


def test_a_row_is_a_line_of_json() -> None:
    line = encode_row(NOW, b"mine", {"x": 1.5, "n": None}, ANSWER)
    head = b'{"time":1700000000.250000,"request_id":"mine","row":{"x":1.5,"n":null},"answer":'
    assert line == head + ANSWER + b"}\n"
    (row,) = decode_line(line)
    assert row == {
        "prediction_id": "p",
        "request_id": "mine",
        "predicted_at": datetime.fromtimestamp(NOW, UTC),
        "model_version": "v1",
        "latency_ms": 0.5,
        "prediction": "a",
        "probability_a": 0.75,
        "x": 1.5,
        "n": None,
    }


def test_rows_are_one_line() -> None:
    line = encode_rows(NOW, b"mine", b'[{"x": 1.0}, {"x": 2.0}]', BATCH_ANSWER)
    assert line.count(b"\n") == 1
    rows = list(decode_line(line))
    assert [row["prediction_id"] for row in rows] == ["p.0", "p.1"]
    assert [(row["prediction"], row["x"]) for row in rows] == [(1.5, 1.0), (2.5, 2.0)]


def test_a_table_is_one_stream() -> None:
    metadata = TableMetadata("p", "mine", NOW, "v1", 0.12345)
    predictions = pa.RecordBatch.from_pydict({"prediction": [1.5, 2.5]})
    rows = pa.RecordBatch.from_pydict({"x": [1, None]})
    record = encode_table(metadata, [(predictions, rows), (predictions, rows)])
    stream = pa.ipc.open_stream(io.BytesIO(record)).read_all()
    assert re.fullmatch(rb"0\.123", stream.schema.metadata[b"latency_ms"])
    table = decode_table(stream)
    assert table["prediction_id"].to_pylist() == ["p.0", "p.1", "p.2", "p.3"]
    assert table["predicted_at"].to_pylist() == [datetime.fromtimestamp(NOW, UTC)] * 4
    assert table["x"].to_pylist() == [1, None, 1, None]
    assert table["latency_ms"].to_pylist() == [0.123] * 4
