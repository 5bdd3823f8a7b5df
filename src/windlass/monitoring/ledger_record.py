"""The record format of the ledger: encodes answered predictions, and decodes them into rows and tables.

A JSON answer is one line: `{"time", "request_id", "row" or "rows", "answer"}`. A columnar answer is one Arrow IPC
stream of its predictions and rows; what these share is in the metadata of its schema.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    import pyarrow as pa

_ROW_LINE = b'{"time":%.6f,"request_id":"%b","row":%b,"answer":%b}\n'
_ROWS_START = b'{"time":%.6f,"request_id":"%b","rows":'
# fields of an answer that say what was predicted, and the columns of a table that they are
_OUTCOME_COLUMNS = {
    "prediction": "prediction",
    "class_probabilities": "probability",
    "quantiles": "quantile",
    "is_anomaly": "is_anomaly",
}
END_OF_STREAM = b"\xff\xff\xff\xff\x00\x00\x00\x00"  # the last bytes of a complete Arrow stream


def encode_row(predicted_at: float, request_id: bytes, row: Any, answer: bytes) -> bytes:
    """Returns the line of one row and its JSON answer. `predicted_at` is in epoch seconds."""
    return _ROW_LINE % (predicted_at, request_id, orjson.dumps(row), answer)


def encode_rows(predicted_at: float, request_id: bytes, rows: bytes, answer: bytes) -> bytes:
    """Returns the line of several rows, a JSON array, and their JSON answer. `predicted_at` is in epoch seconds."""
    start = _ROWS_START % (predicted_at, request_id)
    # a join of megabytes lets go of the interpreter, and formatting does not
    return b"".join((start, rows, b',"answer":', answer, b"}\n"))


def decode_line(line: bytes) -> Iterator[dict[str, Any]]:
    """Yields a dict of column values for each row of a line."""
    record = orjson.loads(line)
    answer = record["answer"]
    shared = {
        "request_id": record.get("request_id"),
        "predicted_at": datetime.fromtimestamp(record["time"], UTC),
        "model_version": answer["model_version"],
        "latency_ms": answer["latency_ms"],
    }
    name = answer["prediction_id"]
    if "row" in record:
        yield _cells(record["row"], shared, name, answer)
        return
    for index, row in enumerate(record["rows"]):
        outcome = {
            "prediction" if field == "predictions" else field: values[index]
            for field, values in answer.items()
            if field == "predictions" or field in _OUTCOME_COLUMNS
        }
        yield _cells(row, shared, f"{name}.{index}", outcome)


def _cells(
    row: dict[str, Any], shared: dict[str, Any], prediction_id: str, outcome: dict[str, Any]
) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for field, column in _OUTCOME_COLUMNS.items():
        if field in outcome:
            columns |= _flat(column, outcome[field])
    return {"prediction_id": prediction_id, **shared, **columns, **row}


def _flat(column: str, value: Any) -> dict[str, Any]:
    """Returns a value of an answer as columns: an object has one for each of its members, named behind its own."""
    if not isinstance(value, dict):
        return {column: value}
    return {
        name: cell
        for key, member in value.items()
        for name, cell in _flat(f"{column}_{key}", member).items()
    }


@dataclass(frozen=True)
class TableMetadata:
    """What all rows of one columnar answer share."""

    prediction_id: str
    request_id: str
    predicted_at: float  # epoch seconds
    model_version: str
    latency_ms: float


def encode_table(
    metadata: TableMetadata, batches: Iterable["tuple[pa.RecordBatch, pa.RecordBatch]"]
) -> memoryview:
    """Returns the Arrow stream of a columnar answer.

    `batches` holds, for each part of the answer, its predictions and the rows they were made from, of equal length.
    Where both have a column of one name, the row's is written.
    """
    import pyarrow as pa

    texts = {
        "prediction_id": metadata.prediction_id,
        "request_id": metadata.request_id,
        "predicted_at": f"{metadata.predicted_at:.6f}",
        "model_version": metadata.model_version,
        "latency_ms": f"{metadata.latency_ms:.3f}",
    }
    sink = pa.BufferOutputStream()
    writer = None
    for predictions, rows in batches:
        columns = _columns(predictions) | _columns(rows)
        batch = pa.RecordBatch.from_arrays(list(columns.values()), list(columns))
        writer = writer or pa.ipc.new_stream(sink, batch.schema.with_metadata(texts))
        writer.write_batch(batch)
    assert writer is not None
    writer.close()
    return memoryview(sink.getvalue())


def decode_table(stream: "pa.Table") -> "pa.Table":
    """Returns the rows of a columnar answer, its metadata as columns of each row."""
    import pyarrow as pa

    texts = {key.decode(): value.decode() for key, value in (stream.schema.metadata or {}).items()}
    count = stream.num_rows
    values = {
        "prediction_id": [f"{texts['prediction_id']}.{index}" for index in range(count)],
        "request_id": [texts.get("request_id")] * count,
        "predicted_at": [datetime.fromtimestamp(float(texts["predicted_at"]), UTC)] * count,
        "model_version": [texts["model_version"]] * count,
        "latency_ms": [float(texts["latency_ms"])] * count,
    }
    columns = {name: pa.array(values[name], kind) for name, kind in metadata_types().items()}
    return pa.table(columns | _columns(stream))


def _columns(batch: "pa.RecordBatch | pa.Table") -> dict[str, Any]:
    return dict(zip(batch.schema.names, batch.columns, strict=True))


def metadata_types() -> dict[str, "pa.DataType"]:
    """Returns the columns that describe a prediction, beside its outcome and its row, and their Arrow types."""
    import pyarrow as pa

    return {
        "prediction_id": pa.string(),
        "request_id": pa.string(),
        "predicted_at": pa.timestamp("us", "UTC"),
        "model_version": pa.string(),
        "latency_ms": pa.float64(),
    }
