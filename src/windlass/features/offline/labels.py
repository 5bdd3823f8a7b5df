"""Reads labels for a point-in-time join: frames as they are, files by declared types, as `features check` reads."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import narwhals as nw
import polars as pl
import pyarrow as pa

from windlass.core.feature_view import ViewRecord
from windlass.errors import FeatureError, counted
from windlass.features.ingest.casting import cast_columns
from windlass.features.ingest.raw_files import RawBatch, RawFile
from windlass.features.offline.snapshot import Snapshot


@dataclass(frozen=True)
class LabelColumns:
    """Columns of labels: the moments in `time`, event ids in `key` where there is one, and types of further columns."""

    time: str
    key: str | None
    dtypes: Mapping[str, pl.DataType]

    def declared(self, record: ViewRecord, snapshot: Snapshot) -> dict[str, pl.DataType]:
        """Returns the types of a file's columns: those of the events, of entity, time and key, and `dtypes`."""
        events = _event_types(snapshot)
        keys = {name: events[name] for name in record.entity_columns}
        if self.key is not None:
            keys[self.key] = events[record.event_id]
        return {**events, self.time: events[record.timestamp], **keys, **self.dtypes}


def _event_types(snapshot: Snapshot) -> dict[str, pl.DataType]:
    parts = snapshot.event_parts() or Snapshot.read(snapshot.folder).event_parts()
    return dict(pl.read_parquet_schema(parts[0]))


def timestamp_type(record: ViewRecord, snapshot: Snapshot) -> pl.DataType:
    """Returns the type of the events' timestamp: a date, or a time in UTC without a zone."""
    return _event_types(snapshot)[record.timestamp]


def labels_frame(
    record: ViewRecord, snapshot: Snapshot, labels: Any, columns: LabelColumns
) -> pl.DataFrame:
    """Returns labels, a frame of any library or the path of a file, as a polars frame. Raises FeatureError."""
    if isinstance(labels, str | Path):
        frame = read_labels(Path(labels), columns.declared(record, snapshot))
    else:
        frame = _to_polars(labels)
    _check_labels(record, frame, columns, _event_types(snapshot))
    return frame


def _to_polars(labels: Any) -> pl.DataFrame:
    """Returns a frame of any library as polars'. Raises FeatureError for what is none, or cannot be converted."""
    try:
        frame = nw.from_native(labels, eager_only=True)
        return pl.DataFrame([_column_to_polars(frame.get_column(name)) for name in frame.columns])
    except nw.exceptions.DuplicateError as error:
        names = labels.column_names if isinstance(labels, pa.Table) else labels.columns
        name, count = Counter(map(str, names)).most_common(1)[0]
        raise FeatureError(
            f"The labels have {counted(count, 'column')} called {name!r}. Name each column once."
        ) from error
    except TypeError as error:
        raise FeatureError(
            f"Labels of the type {type(labels).__name__} cannot be read. Give an Arrow table (of a dict of columns:"
            " pyarrow.table(labels)), a polars or pandas frame, or the path of a CSV or Parquet file."
        ) from error


def _column_to_polars(column: nw.Series[Any]) -> pl.Series:
    try:
        return column.to_polars()
    except (pl.exceptions.PolarsError, pa.ArrowException) as error:
        zone = getattr(column.dtype, "time_zone", None)
        remedy = (
            f"Polars does not know the time zone {zone}. Name one, such as Asia/Kolkata, or give dates."
            if zone
            else "Give all its cells one type that polars has, such as text."
        )
        raise FeatureError(f"The labels' column {column.name} cannot be read. {remedy}") from error


def _check_labels(
    record: ViewRecord,
    frame: pl.DataFrame,
    columns: LabelColumns,
    events: Mapping[str, pl.DataType],
) -> None:
    """Raise FeatureError for labels without the columns that a join needs, or with a feature's name."""
    ids = {name: events[name] for name in record.entity_columns}
    key = columns.key
    if key:
        ids[key] = events[record.event_id]
    required = {
        **{
            name: (pl.selectors.string(), "text")
            if kind == pl.String
            else (pl.selectors.integer(), "integers")
            for name, kind in ids.items()
        },
        columns.time: (pl.selectors.date() | pl.selectors.datetime(), "dates or times"),
    }
    for name, (dtypes, words) in required.items():
        if name not in frame.columns or not frame.select(pl.col(name)).select(dtypes).width:
            raise FeatureError(f"The labels need a column {name} of {words}.")
    if key and _has_invalid_keys(frame[key]):
        raise FeatureError(
            f"The labels' column {key} has nulls, or numbers beyond 64 bits. Give every label a key, or none."
        )
    duplicates = [name for name in frame.columns if name in record.features]
    if duplicates:
        raise FeatureError(
            f"The labels have a column {duplicates[0]}, as the features do. Rename or drop it."
        )


def _has_invalid_keys(keys: pl.Series) -> bool:
    keys = keys.cast(pl.Int64, strict=False) if keys.dtype.is_integer() else keys
    return keys.null_count() > 0


def read_labels(file: Path, dtypes: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """Returns the rows of a CSV or Parquet file in their order.

    Cells of CSV, and text in Parquet, become the types of `dtypes`: dates are YYYY-MM-DD. A column without a type
    stays text, as it is written; an empty cell of CSV is null. `dtypes` may have columns that the file lacks.
    Raises FeatureError for a file that cannot be read, and for the first cell that is not of its column's type.
    """
    raw = RawFile.open(file)
    batches = [_read_batch(raw, batch, dtypes) for batch in raw.batches()]
    if not batches:  # of a Parquet file without rows
        return pl.read_parquet(file)
    return pl.concat(batches)


def _read_batch(raw: RawFile, batch: RawBatch, dtypes: Mapping[str, pl.DataType]) -> pl.DataFrame:
    cells = batch.cells
    text = [name for name in cells.columns if cells[name].dtype in (pl.String, pl.Binary)]
    if raw.path.suffix.lower() == ".parquet":
        text = [name for name in text if name in dtypes]
    values, faults = cast_columns(cells, {name: dtypes.get(name, pl.String()) for name in text})
    first = faults.sort("row").head(1).to_dicts()
    if batch.broken:
        broken = batch.broken[0]
        if not first or broken.row < batch.rows[first[0]["row"]]:
            raise _refused(raw.path, broken.row + 1, "the line has too many or too few cells")
    for fault in first:
        reason = fault["reason"].removeprefix(f"{fault['column']}: ")
        raise _refused(raw.path, batch.rows[fault["row"]], f"column {fault['column']} {reason}")
    return cells.with_columns(values) if text else cells


def _refused(file: Path, row: int, reason: str) -> FeatureError:
    return FeatureError(
        f"{file}, row {row}: {reason}. Correct it; rows are counted from 1, without the header."
    )
