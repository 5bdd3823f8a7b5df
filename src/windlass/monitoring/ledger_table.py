"""The ledger read back as one table."""

import io
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from windlass.core.tables import probability_column
from windlass.errors import LedgerError

_CHUNK = 20_000  # rows a chunk of the table
_META = {
    "prediction_id": pa.string(),
    "predicted_at": pa.timestamp("us", "UTC"),
    "model_version": pa.string(),
    "latency_ms": pa.float64(),
}


def read_ledger(project: str, home: "Path | str" = ".windlass") -> pa.Table:
    """Every prediction that `project` answered, oldest segment first, a row each.

    Columns: `prediction_id`, `predicted_at`, `model_version`, `latency_ms`, `prediction`,
    `probability_<class>` (classification), and the columns of the row. A record that its process died
    writing, which was never answered, is left out. `.to_pandas()` makes a data frame of it.
    Raises LedgerError where the project has no ledger.
    """
    folder = Path(home) / "ledger" / project
    if not folder.is_dir():
        raise LedgerError(
            f"Project {project!r} has no ledger in {home}. Serve it first, or name its WINDLASS_HOME."
        )
    tables: list[pa.Table] = []
    for segment in sorted(folder.iterdir()):
        if segment.suffix == ".jsonl":
            tables += _line_tables(segment)
        elif segment.suffix == ".arrows":
            tables += _stream_tables(segment)
    if not tables:
        return pa.table({name: pa.array([], kind) for name, kind in _META.items()})
    return pa.concat_tables(tables, promote_options="permissive")


def _line_tables(segment: Path) -> Iterator[pa.Table]:
    rows: list[dict[str, Any]] = []
    with segment.open("rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                break  # the process died here, before it answered
            rows += _rows(orjson.loads(line))
            if len(rows) >= _CHUNK:
                yield _table(rows)
                rows = []
    if rows:
        yield _table(rows)


def _rows(record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    answer = record["answer"]
    shared = {
        "predicted_at": datetime.fromtimestamp(record["time"], UTC),
        "model_version": answer["model_version"],
        "latency_ms": answer["latency_ms"],
    }
    if "row" in record:
        probabilities = answer.get("class_probabilities", {})
        yield _row(
            record["row"], shared, answer["prediction_id"], answer["prediction"], probabilities
        )
        return
    shares = answer.get("class_probabilities") or [{}] * len(record["rows"])
    for index, row in enumerate(record["rows"]):
        name = f"{answer['prediction_id']}.{index}"
        yield _row(row, shared, name, answer["predictions"][index], shares[index])


def _row(
    row: dict[str, Any],
    shared: dict[str, Any],
    name: str,
    prediction: Any,
    probabilities: dict[str, float],
) -> dict[str, Any]:
    shares = {probability_column(label): share for label, share in probabilities.items()}
    return {"prediction_id": name, **shared, "prediction": prediction, **shares, **row}


def _table(rows: list[dict[str, Any]]) -> pa.Table:
    names = dict.fromkeys(name for row in rows for name in row)
    return pa.table(
        {name: pa.array([row.get(name) for row in rows], _META.get(name)) for name in names}
    )


def _stream_tables(segment: Path) -> Iterator[pa.Table]:
    source = io.BytesIO(segment.read_bytes())
    while source.tell() < len(source.getbuffer()):
        try:
            yield pa.ipc.open_stream(source).read_all()
        except pa.ArrowInvalid:
            return  # the process died here, before it answered
