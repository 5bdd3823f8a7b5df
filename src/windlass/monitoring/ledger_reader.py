"""The ledger read back as one table."""

import io
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from windlass.errors import LedgerError
from windlass.settings import Settings
from windlass.tables.writer import probability_column

_CHUNK = 20_000  # rows a chunk of the table
_END = b"\xff\xff\xff\xff\x00\x00\x00\x00"  # of an Arrow stream that was written whole
_META = {
    "prediction_id": pa.string(),
    "request_id": pa.string(),
    "predicted_at": pa.timestamp("us", "UTC"),
    "model_version": pa.string(),
    "latency_ms": pa.float64(),
}


def read_ledger(project: str, home: "Path | str | None" = None) -> pa.Table:
    """Every prediction that `project` answered, oldest first, a row each.

    `home` is WINDLASS_HOME, or `.windlass` in the working folder, unless it is given.
    Columns: `prediction_id`, `request_id`, `predicted_at`, `model_version`, `latency_ms`, `prediction`,
    `probability_<class>` (classification), and the columns of the row. A record that its process died
    writing, which was never answered, is left out. `.to_pandas()` makes a data frame of it.
    Raises LedgerError where the project has no ledger.
    """
    home = Settings.read().home if home is None else Path(home)
    folder = home / "ledger" / project
    if not folder.is_dir():
        raise LedgerError(
            f"Project {project!r} has no ledger in {home}. Serve it first, or set WINDLASS_HOME to its home."
        )
    tables: list[pa.Table] = []
    for segment in sorted(folder.iterdir()):
        if segment.suffix == ".jsonl":
            tables += _line_tables(segment)
        elif segment.suffix == ".arrows":
            tables += _stream_tables(segment)
    if not tables:
        return pa.table({name: pa.array([], kind) for name, kind in _META.items()})
    return pa.concat_tables(tables, promote_options="permissive").sort_by("predicted_at")


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
        "request_id": record.get("request_id"),
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
    content = segment.read_bytes()
    source = io.BytesIO(content)
    while source.tell() < len(content):
        try:
            table = pa.ipc.open_stream(source).read_all()
        except (pa.ArrowInvalid, OSError):
            return  # the process died here, before it answered
        if content[source.tell() - len(_END) : source.tell()] != _END:
            return  # here too, with every row written but the end
        yield _with_shared(table)


def _with_shared(table: pa.Table) -> pa.Table:
    """What the rows of an answer share, out of the stream's metadata, as the columns of a line."""
    shared = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
    count = table.num_rows
    moment = datetime.fromtimestamp(float(shared["predicted_at"]), UTC)
    values = {
        "prediction_id": [f"{shared['prediction_id']}.{index}" for index in range(count)],
        "request_id": [shared.get("request_id")] * count,
        "predicted_at": [moment] * count,
        "model_version": [shared["model_version"]] * count,
        "latency_ms": [float(shared["latency_ms"])] * count,
    }
    columns = {name: pa.array(values[name], kind) for name, kind in _META.items()}
    columns |= dict(zip(table.column_names, table.columns, strict=True))
    return pa.table(columns)
